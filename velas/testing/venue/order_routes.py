"""What a signed endpoint is: its handler, and whether it goes on to the matching engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from velas.testing.venue.engine import Trader

__all__ = ["Handler", "Route", "Routes", "no_hiding"]

Params = Mapping[str, str]
Handler = Callable[[Trader, Params, int, int], Any]
"""Takes the account, parameters, the venue's time and for how long to hide a new order, ms."""


@attrs.frozen
class Route:
    """One endpoint. `engine`: judged by the clock again there; `places`: is a new order."""

    handler: Handler
    engine: bool = False
    places: bool = False


Routes = Mapping[tuple[str, str], Route]


def no_hiding(handler: Callable[[Trader, Params, int], Any]) -> Handler:
    """Return a handler of an endpoint that makes nothing to hide."""
    return lambda trader, params, now_ms, _hidden_ms: handler(trader, params, now_ms)
