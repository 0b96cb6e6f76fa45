"""Numbers as the venue prints them: decimal text of a fixed length, never an exponent."""

from __future__ import annotations

import numpy as np

from velas.testing.venue.instruments import Instrument
from velas.testing.venue.series import Float64, Int64

__all__ = ["price_texts", "quantity_texts", "quote_texts"]

_QUOTE_DECIMALS = 5


def price_texts(instrument: Instrument, prices: Float64) -> list[str]:
    """Return prices rounded to the tick; spot pads them to eight decimals."""
    return _texts(prices, instrument.price_decimals, instrument.price_wire)


def quantity_texts(instrument: Instrument, steps: Int64) -> list[str]:
    """Return quantities given as whole steps."""
    decimals = instrument.quantity_decimals
    quantities: Float64 = (steps * 10.0**-decimals).astype(np.float64)
    return _texts(quantities, decimals, instrument.quantity_wire)


def quote_texts(instrument: Instrument, amounts: Float64) -> list[str]:
    """Return quote amounts."""
    return _texts(amounts, _QUOTE_DECIMALS, max(_QUOTE_DECIMALS, instrument.quantity_wire))


def _texts(values: Float64, decimals: int, wire: int) -> list[str]:
    point = "." if wire and not decimals else ""
    template = f"%.{decimals}f{point}" + "0" * (wire - decimals)
    return [template % value for value in values.tolist()]
