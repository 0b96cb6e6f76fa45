"""Test kit for bots and adapters: the stand-in venue, its faults, clocks to move by hand.

Names are imported on first use, so that ``import velas.testing`` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from velas.testing.clocks import LoopClock, ManualClock, ScaledClock
    from velas.testing.venue.account import STAND_IN_KEY, STAND_IN_SECRET, Account
    from velas.testing.venue.faults import Fault, FaultPlan
    from velas.testing.venue.generated import GeneratedCandles
    from velas.testing.venue.given import GivenCandles
    from velas.testing.venue.instruments import DEFAULT_SYMBOLS, Instrument
    from velas.testing.venue.order_faults import ORDER_RATES, OrderFault
    from velas.testing.venue.order_ledger import OrderRecord
    from velas.testing.venue.series import CandleSource
    from velas.testing.venue.server import RequestRecord, StandInVenue
    from velas.testing.venue.socket_faults import SocketFault
    from velas.testing.venue.socket_plans import SocketFaultPlan
    from velas.testing.venue.socket_records import SocketRecord

__all__ = [
    "DEFAULT_SYMBOLS",
    "ORDER_RATES",
    "STAND_IN_KEY",
    "STAND_IN_SECRET",
    "Account",
    "CandleSource",
    "Fault",
    "FaultPlan",
    "GeneratedCandles",
    "GivenCandles",
    "Instrument",
    "LoopClock",
    "ManualClock",
    "OrderFault",
    "OrderRecord",
    "RequestRecord",
    "ScaledClock",
    "SocketFault",
    "SocketFaultPlan",
    "SocketRecord",
    "StandInVenue",
]

_HOMES = {
    "DEFAULT_SYMBOLS": "velas.testing.venue.instruments",
    "ORDER_RATES": "velas.testing.venue.order_faults",
    "STAND_IN_KEY": "velas.testing.venue.account",
    "STAND_IN_SECRET": "velas.testing.venue.account",
    "Account": "velas.testing.venue.account",
    "CandleSource": "velas.testing.venue.series",
    "Fault": "velas.testing.venue.faults",
    "FaultPlan": "velas.testing.venue.faults",
    "GeneratedCandles": "velas.testing.venue.generated",
    "GivenCandles": "velas.testing.venue.given",
    "Instrument": "velas.testing.venue.instruments",
    "LoopClock": "velas.testing.clocks",
    "ManualClock": "velas.testing.clocks",
    "OrderFault": "velas.testing.venue.order_faults",
    "OrderRecord": "velas.testing.venue.order_ledger",
    "RequestRecord": "velas.testing.venue.server",
    "ScaledClock": "velas.testing.clocks",
    "SocketFault": "velas.testing.venue.socket_faults",
    "SocketFaultPlan": "velas.testing.venue.socket_plans",
    "SocketRecord": "velas.testing.venue.socket_records",
    "StandInVenue": "velas.testing.venue.server",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
