"""The one error of its own: a request that the recording has no answer for."""

from velas.errors import BadRequest

__all__ = ["NotRecorded"]


class NotRecorded(BadRequest):
    """The recording has no answer for this request; asking again gives the same."""
