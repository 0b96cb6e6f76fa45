"""A feed without a socket: any exchange, asked again and again."""

from __future__ import annotations

from velas.polling.feed import PollingFeed

__all__ = ["PollingFeed"]
