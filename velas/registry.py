"""Adapters by name, found through entry points and loaded on first use.

The groups `velas.exchanges`, `velas.feeds` and `velas.stores` each map a name to an
adapter class; `velas.exchange_catalogs` and `velas.feed_catalogs` map a name to a function
without arguments that returns many factories by name (all of ccxt, say) and is only called
when nothing of the wanted name is registered by itself. What is loaded must be built by a
class method (a factory object's plain method will do), without I/O:

    exchanges   from_settings(settings, *, ledger=None) -> Exchange
    feeds       from_settings(settings, *, exchange) -> Feed
    stores      from_settings(settings, *, exchange) -> Store

where a feed's `exchange` is the open `Exchange` and a store's is the name whose candles
it keeps, under ``<data_dir>/candles/<exchange>``. `velas.open_exchange` and its siblings
call them; an exchange or a feed that accepts `clock=` as well can be opened with an
injected one. An exchange without a feed of its name is polled (`velas.polling`).

The group `velas.backtesters` maps a name to a function ``(settings, symbol, interval) ->
BacktestResult`` that runs a sample strategy over what is stored.
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

from velas.errors import AdapterError, BrokenAdapter, ConfigError, MissingDependency, UnknownAdapter

if TYPE_CHECKING:
    from velas.clock import Clock
    from velas.config import Settings
    from velas.ledger import Ledger
    from velas.protocols import Exchange, Feed, Store
    from velas.stream import Stream

__all__ = [
    "CATALOGS",
    "GROUPS",
    "ExchangeFactory",
    "FeedFactory",
    "Kind",
    "StoreFactory",
    "catalogs",
    "check_one_venue",
    "known",
    "load",
    "open_exchange",
    "open_feed",
    "open_ledger",
    "open_store",
    "open_stream",
]

Kind = Literal["exchanges", "feeds", "stores", "backtesters"]
GROUPS: dict[Kind, str] = {
    "exchanges": "velas.exchanges",
    "feeds": "velas.feeds",
    "stores": "velas.stores",
    "backtesters": "velas.backtesters",
}
CATALOGS: dict[Kind, str] = {
    "exchanges": "velas.exchange_catalogs",
    "feeds": "velas.feed_catalogs",
}
_STORE = "parquet"
_log = logging.getLogger(__name__)


class ExchangeFactory(Protocol):
    """What the group `velas.exchanges`, or a catalog, provides under a name."""

    def from_settings(self, settings: Settings, *, ledger: Ledger | None = None) -> Exchange:
        """Return the exchange, not yet connected; a `ledger` keeps its bans and keys."""
        ...


class FeedFactory(Protocol):
    """What the group `velas.feeds`, or a catalog, provides under a name."""

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


def catalogs(
    kind: Kind = "exchanges",
) -> dict[str, Mapping[str, ExchangeFactory | FeedFactory]]:
    """Return every catalog of generic venues by its name; imports what they need.

    Raises:
        MissingDependency: a catalog's package lacks a dependency.
        BrokenAdapter: a catalog fails to import or to list its venues.
    """
    return {entry.name: _open_catalog(entry, kind) for entry in _catalog_entries(kind)}


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
    return _from_catalogs(kind, name)


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


def open_feed(settings: Settings, exchange: Exchange, *, clock: Clock | None = None) -> Feed:
    """Return the live feed of the exchange the settings name, over a socket if it has one.

    Otherwise the candles (and what else REST offers) are asked for regularly.

    Raises:
        UnknownAdapter: neither a feed nor an exchange of that name is installed.
        MissingDependency, BrokenAdapter: see `load`.
    """
    name = settings.exchange
    extra = {} if clock is None else {"clock": clock}
    try:
        adapter = load("feeds", name)
    except UnknownAdapter:
        if not _exists(name):
            raise
        from velas.polling import PollingFeed

        _log.info("%s: no socket feed is installed for it, so it is asked by REST", name)
        return PollingFeed.from_settings(settings, exchange=exchange, **extra)
    build = _builder(adapter, f"feed {name!r}")
    return cast("Feed", build(settings, exchange=exchange, **extra))


def open_stream(
    settings: Settings,
    exchange: Exchange,
    store: Store | None = None,
    *,
    ledger: Ledger | None = None,
    clock: Clock | None = None,
) -> Stream:
    """Return the live contract over the exchange's feed; enter it with ``async with``.

    With `store` every closed candle is durable before it is delivered, and what of it was
    not compared with REST yet is remembered in the settings' ledger, or in `ledger`, which
    the caller closes. Errors as `open_feed`, and:

    Raises:
        ConfigError: see `check_one_venue`.
    """
    from velas.feed import FeedAdapter
    from velas.stream import Stream

    check_one_venue(settings)
    feed = open_feed(settings, exchange, clock=clock)
    # a feed's clock may be made of the one given: that of a recording shows the tape's time
    clock = None if isinstance(feed, FeedAdapter) else clock
    known = settings.db_path if ledger is None else ledger
    return Stream(exchange, feed, store, settings=settings.stream, clock=clock, ledger=known)


def check_one_venue(settings: Settings) -> None:
    """Refuse to join the history of one venue to the live candles of another.

    Raises:
        ConfigError: one of `rest.url` and `ws.url` is a stand-in's (http, ws), and the
            other is not set.
    """
    rest, ws = settings.rest.url, settings.ws.url
    if settings.exchange == "replay" or (rest is None) == (ws is None):
        return
    lone, url = ("rest.url", rest) if rest is not None else ("ws.url", ws)
    other, variable = ("ws.url", "WS_URL") if ws is None else ("rest.url", "REST_URL")
    if str(url).startswith(("http://", "ws://")):
        raise ConfigError(
            f"{lone} is {url!r} and {other} (or {variable}) is not set: the candles of two "
            "venues would be joined; set both, a stand-in serves both at one address"
        )
    _log.warning("%s is set and %s is not: do both mean the same venue?", lone, other)


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


def _catalog_entries(kind: Kind) -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group=CATALOGS[kind])) if kind in CATALOGS else ()


def _open_catalog(entry: EntryPoint, kind: Kind) -> Mapping[str, ExchangeFactory | FeedFactory]:
    what = f"{kind[:-1]} catalog {entry.name!r}"
    catalog = _loaded(entry, what)
    try:
        venues = catalog()
    except Exception as error:
        raise _broken(entry, what, error) from error
    if not isinstance(venues, Mapping):
        raise BrokenAdapter(f"{what} ({entry.value}) returned {type(venues).__name__}, no mapping")
    return cast("Mapping[str, ExchangeFactory | FeedFactory]", venues)


def _from_catalogs(kind: Kind, name: str) -> ExchangeFactory | FeedFactory:
    venues: set[str] = set()
    broken: AdapterError | None = None
    for entry in _catalog_entries(kind):
        try:
            catalog = _open_catalog(entry, kind)
        except AdapterError as error:
            _log.warning("%s", error)
            broken = error
            continue
        if name in catalog:
            return catalog[name]
        venues.update(catalog)
    if broken is not None:  # it may be the one that has the name
        raise broken
    raise _unknown(kind, name, venues)


def _exists(exchange: str) -> bool:
    return exchange in known("exchanges") or any(
        exchange in venues for venues in catalogs("exchanges").values()
    )


def _unknown(kind: Kind, name: str, venues: set[str]) -> UnknownAdapter:
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
