"""What everybody who works for one stream needs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs

from velas.clock import Clock
from velas.status import Status
from velas.stream.gaps import Gaps
from velas.stream.tasks import Tasks
from velas.stream.trouble import Trouble
from velas.stream.venue_time import VenueTime

if TYPE_CHECKING:
    from velas.protocols import Exchange

__all__ = ["Desk"]


@attrs.frozen
class Desk:
    """The venue, the time, and who is to be told; shared by repair, silence, checks ..."""

    exchange: Exchange
    clock: Clock
    time: VenueTime
    tasks: Tasks
    say: Callable[[Status], None]
    trouble: Trouble
    gaps: Gaps
    counters: Counter[str]
