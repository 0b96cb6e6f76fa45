"""`velas exchanges`: which venues, feeds and stores can be used, and what venues can do."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Literal

import attrs

from velas.cli.exits import DONE, say
from velas.cli.options import Common, velas_command
from velas.cli.output import Justify, count, emit_json, show_table, write
from velas.cli.session import settings_of
from velas.errors import AdapterError, VelasError

if TYPE_CHECKING:
    from velas.models import Capabilities
    from velas.settings import Settings

__all__ = ["command"]

FeedKind = Literal["socket", "polling"]
_COLUMNS: tuple[tuple[str, Justify], ...] = (
    ("exchange", "left"),
    ("rows/page", "right"),
    ("weight", "right"),
    ("per minute", "right"),
    ("orders", "left"),
    ("live by", "left"),
    ("intervals", "left"),
)


@attrs.frozen
class _Venue:
    name: str
    feed: FeedKind | None  # None: it cannot be told
    capabilities: Capabilities | None
    error: str | None = None


@attrs.frozen
class _Feeds:
    """The venues with a socket: installed by name, and those of each catalog."""

    installed: tuple[str, ...]
    catalogs: dict[str, list[str]]
    error: str | None = None

    def kind(self, name: str) -> FeedKind | None:
        if name in self.installed or any(name in found for found in self.catalogs.values()):
            return "socket"
        return "polling" if self.error is None else None


@velas_command("exchanges")
def command(common: Common) -> int:
    """List the installed venues with what they can do, feeds and stores; no network.

    Live candles come over a socket where there is a feed for the venue, else by polling.
    With --exchange also that one, for venues that only a catalog knows.
    """
    from velas.registry import catalogs, known

    settings = settings_of(common)
    names = list(known("exchanges"))
    if common.exchange is not None and common.exchange not in names:
        names.append(common.exchange)
    feeds = _feeds()
    venues = [_venue(settings, name, feeds.kind(name)) for name in names]
    generic = {name: sorted(found) for name, found in catalogs().items()}
    if common.as_json:
        emit_json(
            {
                "exchanges": [_document(venue) for venue in venues],
                "catalogs": generic,
                "feeds": list(feeds.installed),
                "feed_catalogs": feeds.catalogs,
                "stores": list(known("stores")),
            }
        )
    else:
        _show(venues, generic, feeds)
        write()
        for what, found in (("feeds", feeds.installed), ("stores", known("stores"))):
            write(f"{what}: {', '.join(found) or 'none installed'}")
    if feeds.error is not None:
        say(f"velas: {feeds.error}")
    return DONE


def _feeds() -> _Feeds:
    from velas.registry import catalogs, known

    try:
        found = {name: sorted(venues) for name, venues in catalogs("feeds").items()}
    except AdapterError as error:  # the list is also for finding out what is broken
        return _Feeds(known("feeds"), {}, str(error))
    return _Feeds(known("feeds"), found)


def _venue(settings: Settings, name: str, feed: FeedKind | None) -> _Venue:
    from velas.registry import open_exchange
    from velas.settings import Rest

    try:
        # nothing is asked; at one address all would share one budget
        opened = open_exchange(attrs.evolve(settings, exchange=name, rest=Rest()))
    except VelasError as error:
        return _Venue(name, feed, None, str(error))
    return _Venue(name, feed, opened.capabilities)


def _show(venues: list[_Venue], generic: dict[str, list[str]], feeds: _Feeds) -> None:
    show_table(_COLUMNS, [_row(venue) for venue in venues])
    for venue in venues:
        if venue.error is not None:
            write(f"{venue.name}: {venue.error}")
    for name, found in generic.items():
        write(f"\n{count(len(found))} more venues through {name}, by the same three contracts:")
        _write_names(found)
        live = [one for one in found if feeds.kind(one) == "socket"]
        if live:
            write(f"{count(len(live))} of them have a socket feed, the others are polled:")
            _write_names(live)


def _write_names(names: list[str]) -> None:
    write(textwrap.fill(", ".join(names), 78, initial_indent="  ", subsequent_indent="  "))


def _row(venue: _Venue) -> list[str]:
    can, live = venue.capabilities, venue.feed or "?"
    if can is None:
        return [venue.name, "-", "-", "-", "-", live, "not usable as configured, see below"]
    budget = can.weight_per_minute
    return [
        venue.name,
        count(can.page_rows),
        count(can.page_weight),
        "-" if budget is None else count(budget),
        "yes" if can.orders else "no",
        live,
        " ".join(can.intervals),
    ]


def _document(venue: _Venue) -> dict[str, object]:
    can = venue.capabilities
    return {
        "name": venue.name,
        "feed": venue.feed,
        "capabilities": None if can is None else {**attrs.asdict(can)},
        "error": venue.error,
    }
