"""Where the real recordings are, for the tests that use them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

__all__ = ["market_data"]


def market_data() -> Path:
    """Return the folder of recorded market data; skip the test where there is none."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "market-data"
    folder = Path(os.environ.get("VELAS_MARKET_DATA", beside))
    if not folder.is_dir():
        pytest.skip("no recorded market data beside the checkout (set VELAS_MARKET_DATA)")
    return folder
