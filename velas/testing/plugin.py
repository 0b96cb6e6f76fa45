"""The pytest plugin: stand-in venues as fixtures. Imports nothing until one is used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from velas.testing.venue.server import StandInVenue

__all__ = ["standin_factory", "standin_futures", "standin_spot"]


@pytest.fixture
def standin_factory() -> Iterator[Callable[..., StandInVenue]]:
    """Return a function that starts a `StandInVenue`; it takes the class's arguments.

    Each runs in its own thread, so synchronous and asynchronous tests can use it, and is
    stopped when the test ends.
    """
    from velas.testing.venue.server import StandInVenue

    with ExitStack() as running:

        def start(*args: object, **options: object) -> StandInVenue:
            venue = StandInVenue(*args, **options)  # type: ignore[arg-type]
            return running.enter_context(venue.in_thread())

        yield start


@pytest.fixture
def standin_spot(standin_factory: Callable[..., StandInVenue]) -> StandInVenue:
    """Return a running stand-in for Binance Spot with 20 USDT pairs."""
    return standin_factory("spot")


@pytest.fixture
def standin_futures(standin_factory: Callable[..., StandInVenue]) -> StandInVenue:
    """Return a running stand-in for Binance USDT-M Futures with 20 USDT pairs."""
    return standin_factory("futures")
