"""cryptofeed's names and ids of our markets, without its download."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any

import attrs
from cryptofeed.defines import FUTURES, PERPETUAL, SPOT
from cryptofeed.symbols import Symbol

from velas.models import Market
from velas_cryptofeed._venues import Venue

__all__ = ["Names", "names_of"]

_WRONG = (KeyError, TypeError, ValueError, IndexError, AttributeError, ArithmeticError)
_KINDS = {"spot": SPOT, "swap": PERPETUAL, "future": FUTURES}


@attrs.frozen
class Names:
    """What cryptofeed is told: ids and facts by its name; and its name by our symbol."""

    ids: Mapping[str, str]
    info: Mapping[str, Any]
    by_symbol: Mapping[str, str]


def names_of(venue: Venue, feed_class: Any, markets: Iterable[Market]) -> Names:
    """Return the names of `markets`, each row parsed by cryptofeed itself where it can.

    Rows are parsed one by one, so that every name is known to belong to its market.
    """
    ids: dict[str, str] = {}
    info: dict[str, dict[str, Any]] = {}
    by_symbol: dict[str, str] = {}
    for market in markets:
        parsed, facts = _parsed(venue, feed_class, market)
        for name, venue_id in parsed.items():
            ids[name] = venue_id
            by_symbol.setdefault(market.symbol, name)
        for key, values in facts.items():
            if isinstance(values, Mapping):
                info.setdefault(key, {}).update(values)
    return Names(ids, info, by_symbol)


def _parsed(
    venue: Venue, feed_class: Any, market: Market
) -> tuple[Mapping[str, str], Mapping[str, Any]]:
    try:
        parsed, facts = feed_class._parse_symbol_data(venue.envelope(market))
    except _WRONG:
        parsed, facts = {}, {}
    wanted = {name: one for name, one in parsed.items() if "-" in name}
    if len(wanted) == 1:
        return wanted, facts
    name = _spelled(market)
    return {name: market.id}, {"instrument_type": {name: _KINDS.get(market.type, SPOT)}}


def _spelled(market: Market) -> str:
    kind = _KINDS.get(market.type, SPOT)
    expiry = None
    if market.expiry_ms is not None:
        expiry = dt.datetime.fromtimestamp(market.expiry_ms / 1000, dt.UTC)
    kind = PERPETUAL if kind == FUTURES and expiry is None else kind
    return str(Symbol(market.base, market.quote, type=kind, expiry_date=expiry).normalized)
