"""`velas exchanges`: which venues, feeds and stores can be used, and what venues can do."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import attrs

from velas.cli.exits import DONE
from velas.cli.options import Common, velas_command
from velas.cli.output import Justify, count, emit_json, show_table, write
from velas.cli.session import settings_of
from velas.errors import VelasError

if TYPE_CHECKING:
    from velas.models import Capabilities
    from velas.settings import Settings

__all__ = ["command"]

_COLUMNS: tuple[tuple[str, Justify], ...] = (
    ("exchange", "left"),
    ("rows/page", "right"),
    ("weight", "right"),
    ("per minute", "right"),
    ("orders", "left"),
    ("intervals", "left"),
)


@attrs.frozen
class _Venue:
    name: str
    capabilities: Capabilities | None
    error: str | None = None


@velas_command("exchanges")
def command(common: Common) -> int:
    """List the installed venues with what they can do, feeds and stores; no network.

    With --exchange also that one, for venues that only a catalog knows.
    """
    from velas.registry import catalogs, known

    settings = settings_of(common)
    names = list(known("exchanges"))
    if common.exchange is not None and common.exchange not in names:
        names.append(common.exchange)
    venues = [_venue(settings, name) for name in names]
    generic = {name: sorted(found) for name, found in catalogs().items()}
    if common.as_json:
        emit_json(
            {
                "exchanges": [_document(venue) for venue in venues],
                "catalogs": generic,
                "feeds": list(known("feeds")),
                "stores": list(known("stores")),
            }
        )
    else:
        _show(venues, generic, {"feeds": known("feeds"), "stores": known("stores")})
    return DONE


def _venue(settings: Settings, name: str) -> _Venue:
    from velas.registry import open_exchange

    try:
        opened = open_exchange(attrs.evolve(settings, exchange=name))
    except VelasError as error:
        return _Venue(name, None, str(error))
    return _Venue(name, opened.capabilities)


def _show(
    venues: list[_Venue], generic: dict[str, list[str]], others: dict[str, tuple[str, ...]]
) -> None:
    show_table(_COLUMNS, [_row(venue.name, venue.capabilities) for venue in venues])
    for venue in venues:
        if venue.error is not None:
            write(f"{venue.name}: {venue.error}")
    for name, found in generic.items():
        write(f"\n{count(len(found))} more venues through {name}, by the same three contracts:")
        write(textwrap.fill(", ".join(found), 78, initial_indent="  ", subsequent_indent="  "))
    write()
    for what, found_names in others.items():
        write(f"{what}: {', '.join(found_names) or 'none installed'}")


def _row(name: str, can: Capabilities | None) -> list[str]:
    if can is None:
        return [name, "-", "-", "-", "-", "not usable as configured, see below"]
    budget = can.weight_per_minute
    return [
        name,
        count(can.page_rows),
        count(can.page_weight),
        "-" if budget is None else count(budget),
        "yes" if can.orders else "no",
        " ".join(can.intervals),
    ]


def _document(venue: _Venue) -> dict[str, object]:
    can = venue.capabilities
    return {
        "name": venue.name,
        "capabilities": None if can is None else {**attrs.asdict(can)},
        "error": venue.error,
    }
