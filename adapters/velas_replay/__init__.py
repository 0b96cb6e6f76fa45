"""Recordings in place of a venue: the same adapters, the same bytes, no network."""

from velas_replay._errors import NotRecorded
from velas_replay._exchange import ReplayExchange
from velas_replay._feed import ReplayFeed

__all__ = ["NotRecorded", "ReplayExchange", "ReplayFeed"]
