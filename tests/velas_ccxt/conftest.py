"""What the ccxt adapters' tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from velas.limits import reset_shared_limiters
from velas.testing import ManualClock

NOW_MS = 1_700_000_123_456


@pytest.fixture(autouse=True)
def _own_limiters() -> Iterator[None]:
    reset_shared_limiters()
    yield
    reset_shared_limiters()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW_MS, auto=True)
