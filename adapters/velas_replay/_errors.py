"""The one error of its own: a request that the recording has no answer for."""

from velas.errors import BadRequest, Unsupported

__all__ = ["NotRecorded"]


class NotRecorded(BadRequest, Unsupported):
    """The recording has no answer for this request; asking again gives the same."""
