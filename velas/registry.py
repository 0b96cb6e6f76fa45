"""Adapters by name, found through entry points and loaded on first use.

The groups `velas.exchanges`, `velas.feeds` and `velas.stores` each map a name to an
adapter class; `velas.exchange_catalogs` maps a name to a function without arguments that
returns many exchange factories by name (all of ccxt, say) and is only called when no
exchange of the wanted name is registered by itself. What is loaded must be built by a
class method (a factory object's plain method will do), without I/O:

    exchanges   from_settings(settings, *, ledger=None) -> Exchange
    feeds       from_settings(settings, *, exchange) -> Feed
    stores      from_settings(settings, *, exchange) -> Store

where a feed's `exchange` is the open `Exchange` and a store's is the name whose candles
it keeps, under ``<data_dir>/candles/<exchange>``. `velas.open_exchange` and its siblings
call them; an exchange that accepts `clock=` as well can be opened with an injected one.
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

from velas.errors import AdapterError, BrokenAdapter, MissingDependency, UnknownAdapter

if TYPE_CHECKING:
    from velas.clock import Clock
    from velas.config import Settings
    from velas.ledger import Ledger
    from velas.protocols import Exchange, Feed, Store

__all__ = [
    "CATALOGS",
    "GROUPS",
    "ExchangeFactory",
    "FeedFactory",
    "Kind",
    "StoreFactory",
    "catalogs",
    "known",
    "load",
    "open_exchange",
    "open_feed",
    "open_ledger",
    "open_store",
]

Kind = Literal["exchanges", "feeds", "stores"]
GROUPS: dict[Kind, str] = {
    "exchanges": "velas.exchanges",
    "feeds": "velas.feeds",
    "stores": "velas.stores",
}
CATALOGS = "velas.exchange_catalogs"
_STORE = "parquet"
_log = logging.getLogger(__name__)


class ExchangeFactory(Protocol):
    """What the group `velas.exchanges`, or a catalog, provides under a name."""

    def from_settings(self, settings: Settings, *, ledger: Ledger | None = None) -> Exchange:
        """Return the exchange, not yet connected; a `ledger` keeps its bans and keys."""
        ...


class FeedFactory(Protocol):
    """What the group `velas.feeds` provides under a name."""

    def from_settings(self, settings: Settings, *, exchange: Exchange) -> Feed:
        """Return the feed, not yet connected; symbols are looked up in `exchange`."""
        ...


class StoreFactory(Protocol):
    """What the group `velas.stores` provides under a name."""

    def from_settings(self, settings: Settings, *, exchange: str) -> Store:
        """Return the store of the candles of the exchange of that name."""
        ...


def known(kind: Kind) -> tuple[str, ...]:
    """Return the names registered by themselves, sorted; loads none, opens no catalog."""
    return tuple(sorted({entry.name for entry in entry_points(group=GROUPS[kind])}))


def catalogs() -> dict[str, Mapping[str, ExchangeFactory]]:
    """Return every catalog of generic venues by its name; imports what they need.

    Raises:
        MissingDependency: a catalog's package lacks a dependency.
        BrokenAdapter: a catalog fails to import or to list its venues.
    """
    return {entry.name: _open_catalog(entry) for entry in entry_points(group=CATALOGS)}


def load(kind: Kind, name: str) -> Any:
    """Return the adapter class or factory registered as `name`.

    Raises:
        UnknownAdapter: no such name; the message lists the known ones.
        MissingDependency: the adapter's package lacks a dependency.
        BrokenAdapter: it is installed but fails to import; the cause is chained.
    """
    for entry in entry_points(group=GROUPS[kind]):
        if entry.name == name:
            return _loaded(entry, f"{kind[:-1]} {name!r}")
    if kind == "exchanges":
        return _from_catalogs(name)
    raise _unknown(kind, name, ())


def open_exchange(
    settings: Settings | str,
    *,
    ledger: Ledger | None = None,
    clock: Clock | None = None,
) -> Exchange:
    """Return the exchange the settings name; enter it with ``async with``.

    A name instead of settings means `load_settings` with that exchange. `ledger` (see
    `open_ledger`) lets bans and idempotency keys survive a restart; the caller closes it.

    Raises:
        ConfigError: the settings cannot be used.
        UnknownAdapter, MissingDependency, BrokenAdapter: see `load`.
    """
    if isinstance(settings, str):
        from velas.config import load_settings

        settings = load_settings(exchange=settings)
    name = settings.exchange
    build = _builder(load("exchanges", name), f"exchange {name!r}")
    extra = {} if clock is None else {"clock": clock}
    return cast("Exchange", build(settings, ledger=ledger, **extra))


def open_feed(settings: Settings, exchange: Exchange) -> Feed:
    """Return the live feed of the exchange the settings name; errors as `open_exchange`."""
    name = settings.exchange
    build = _builder(load("feeds", name), f"feed {name!r}")
    return cast("Feed", build(settings, exchange=exchange))


def open_store(settings: Settings, *, exchange_name: str | None = None) -> Store:
    """Return the store of one exchange's candles, by default the settings' exchange."""
    build = _builder(load("stores", _STORE), f"store {_STORE!r}")
    return cast("Store", build(settings, exchange=exchange_name or settings.exchange))


def open_ledger(settings: Settings) -> Ledger:
    """Return the ledger at `db_path`, created when it is not there; a context manager."""
    from velas.ledger import Ledger

    return Ledger(settings.db_path)


def _loaded(entry: EntryPoint, what: str) -> Any:
    try:
        return entry.load()
    except ModuleNotFoundError as error:
        lacking = (error.name or "").partition(".")[0]
        if lacking in ("", entry.module.partition(".")[0]):
            raise _broken(entry, what, error) from error
        hint = f"pip install 'velas[{entry.extras[0]}]'" if entry.extras else "install it"
        raise MissingDependency(f"{what} needs the package {lacking!r}: {hint}") from error
    except Exception as error:
        raise _broken(entry, what, error) from error


def _broken(entry: EntryPoint, what: str, error: Exception) -> BrokenAdapter:
    return BrokenAdapter(f"{what} ({entry.value}) is installed but does not load: {error!r}")


def _open_catalog(entry: EntryPoint) -> Mapping[str, ExchangeFactory]:
    what = f"exchange catalog {entry.name!r}"
    catalog = _loaded(entry, what)
    try:
        venues = catalog()
    except Exception as error:
        raise _broken(entry, what, error) from error
    if not isinstance(venues, Mapping):
        raise BrokenAdapter(f"{what} ({entry.value}) returned {type(venues).__name__}, no mapping")
    return cast("Mapping[str, ExchangeFactory]", venues)


def _from_catalogs(name: str) -> ExchangeFactory:
    venues: set[str] = set()
    broken: AdapterError | None = None
    for entry in entry_points(group=CATALOGS):
        try:
            catalog = _open_catalog(entry)
        except AdapterError as error:
            _log.warning("%s", error)
            broken = error
            continue
        if name in catalog:
            return catalog[name]
        venues.update(catalog)
    if broken is not None:  # it may be the one that has the name
        raise broken
    raise _unknown("exchanges", name, venues)


def _unknown(kind: Kind, name: str, venues: set[str] | tuple[()]) -> UnknownAdapter:
    names = known(kind)
    near = difflib.get_close_matches(name.lower(), sorted({*names, *venues}), n=3)
    guess = f" (did you mean {' or '.join(map(repr, near))}?)" if near else ""
    more = f", and {len(venues)} generic venues (see `velas exchanges`)" if venues else ""
    return UnknownAdapter(
        f"no {kind[:-1]} {name!r}{guess}; installed are: {', '.join(names) or 'none'}{more}"
    )


def _builder(adapter: object, what: str) -> Callable[..., object]:
    build = getattr(adapter, "from_settings", None)
    if not callable(build):
        raise BrokenAdapter(f"{what} is installed but {adapter!r} has no from_settings()")
    return cast("Callable[..., object]", build)
