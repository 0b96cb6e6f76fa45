"""What a frame can be besides data that is understood."""

from __future__ import annotations

from velas.errors import FeedError

__all__ = ["BadMessage", "NotAsked"]


class BadMessage(FeedError, ValueError):
    """A frame of another shape than the venue documents, or with an impossible value."""


class NotAsked(BadMessage):
    """A frame of a stream that was not subscribed."""
