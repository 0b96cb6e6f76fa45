"""An exchange that answers from a recording: the same adapter, the same bytes, no network."""

from velas_replay._errors import NotRecorded
from velas_replay._exchange import ReplayExchange

__all__ = ["NotRecorded", "ReplayExchange"]
