"""Which connection, frame and closed candle gets which fault: by script or by seed."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from velas.errors import ConfigError
from velas.testing.venue.noise import key_of
from velas.testing.venue.socket_faults import (
    REFUSALS,
    WRONG_FRAMES,
    SocketFault,
    SocketFaultKind,
)

__all__ = ["DEFAULT_SOCKET_RATES", "SERIES_KINDS", "Fate", "SeriesRules", "SocketFaultPlan"]

SERIES_KINDS: tuple[SocketFaultKind, ...] = ("withhold_close", "revise")
_OPENING_KINDS: tuple[SocketFaultKind, ...] = ("mute", "refuse")

DEFAULT_SOCKET_RATES: Mapping[SocketFaultKind, float] = {
    "mute": 0.1,  # of each connection
    "refuse": 0.1,
    "drop": 0.0005,  # of each frame
    "close": 0.0005,
    "half_open": 0.0002,
    "mute_later": 0.0002,
    "server_shutdown": 0.0002,
    "error_frame": 0.0005,
    "duplicate": 0.005,
    "reorder": 0.003,
    "delay": 0.001,
    "lose": 0.005,
    "wrong_json": 0.003,
    "withhold_close": 0.02,  # of each closed candle
    "revise": 0.02,
}


class Fate:
    """What happens to one connection, by how many frames it has delivered."""

    def __init__(self, faults: Iterator[SocketFault] | Iterable[SocketFault] = ()) -> None:
        self._coming = iter(faults)
        self._next = next(self._coming, None)

    def refusal(self) -> SocketFault | None:
        """Return the fault that refuses the connection altogether."""
        first = self._next
        return first if first is not None and first.kind == "refuse" else None

    def due(self, frames: int) -> list[SocketFault]:
        """Return what happens now that `frames` were delivered."""
        found = []
        while self._next is not None and self._next.after <= frames:
            found.append(self._next)
            self._next = next(self._coming, None)
        return found


class SocketFaultPlan:
    """Which connection, frame and closed candle gets which fault. The default has none.

    One plan belongs to one venue; `taken` counts by kind what has taken effect, also what
    a test struck by hand.
    """

    def __init__(self) -> None:
        self.taken: Counter[SocketFaultKind] = Counter()

    @classmethod
    def script(
        cls,
        connections: Iterable[SocketFault | Sequence[SocketFault] | None],
        *,
        path: str | None = None,
        series: Sequence[SocketFault] = (),
    ) -> SocketFaultPlan:
        """Give the n-th connection whose path holds `path` the n-th fault or faults.

        Then none. `series` are the faults of closed candles (`withhold_close`, `revise`),
        the same on all connections.

        Raises:
            ConfigError: a fault is on the wrong list.
        """
        return _Script(connections, path or "", series)

    @classmethod
    def random(
        cls,
        seed: int,
        *,
        rates: Mapping[SocketFaultKind, float] | None = None,
        max_in_a_row: int = 3,
        most: int | None = None,
    ) -> SocketFaultPlan:
        """Draw faults by `seed`: kind -> probability, `DEFAULT_SOCKET_RATES` if None.

        `mute` and `refuse` are drawn for each connection (at most `max_in_a_row` times in a
        row), `withhold_close` and `revise` for each closed candle, the rest for each frame.
        After `most` faults there are no more. The same connections and frames get the same
        faults; a candle's are independent of all others.

        Raises:
            ConfigError: the probabilities are negative or above 1 together.
        """
        chosen = DEFAULT_SOCKET_RATES if rates is None else rates
        return _Random(seed, chosen, max_in_a_row, most)

    def fate(self, path: str) -> Fate:
        """Return what happens to the connection that just arrived."""
        return Fate()

    def at_close(self, stream: str, number: int, open_ms: int) -> SocketFault | None:
        """Return what happens to the close frame of a series' candle `number`."""
        return None

    def note(self, fault: SocketFault) -> None:
        """Count a fault that takes effect."""
        self.taken[fault.kind] += 1


class SeriesRules:
    """Faults of closed candles: which ones they are about."""

    def __init__(self, faults: Iterable[SocketFault] = ()) -> None:
        self._rules: list[tuple[SocketFault, dict[str, int]]] = []
        for fault in faults:
            self.add(fault)

    def add(self, fault: SocketFault) -> None:
        """Count candles for this fault from the next one on."""
        if fault.kind not in SERIES_KINDS:
            raise ConfigError(f"{fault.kind} is no fault of a closed candle: {SERIES_KINDS}")
        self._rules.append((fault, {}))

    def at_close(self, stream: str, number: int) -> SocketFault | None:
        """Return the first fault that is about this candle."""
        found = None
        for fault, firsts in self._rules:
            if not fault.names(stream):
                continue
            nth = number - firsts.setdefault(stream, number) + 1
            first = fault.nth or 1
            if found is None and first <= nth < first + fault.count:
                found = fault
        return found


class _Script(SocketFaultPlan):
    def __init__(
        self,
        connections: Iterable[SocketFault | Sequence[SocketFault] | None],
        path: str,
        series: Sequence[SocketFault],
    ) -> None:
        super().__init__()
        self._connections = [_listed(entry) for entry in connections]
        self._path = path
        self._next = 0
        self._series = SeriesRules(series)

    def fate(self, path: str) -> Fate:
        if self._path not in path or self._next >= len(self._connections):
            return Fate()
        self._next += 1
        return Fate(sorted(self._connections[self._next - 1], key=lambda fault: fault.after))

    def at_close(self, stream: str, number: int, open_ms: int) -> SocketFault | None:
        return self._series.at_close(stream, number)


class _Random(SocketFaultPlan):
    def __init__(
        self,
        seed: int,
        rates: Mapping[SocketFaultKind, float],
        max_in_a_row: int,
        most: int | None,
    ) -> None:
        super().__init__()
        self._seed = seed
        self._most = most
        self._max_in_a_row = max_in_a_row
        self._opening = _share(rates, _OPENING_KINDS)
        self._closing = _share(rates, SERIES_KINDS)
        frame_kinds: list[SocketFaultKind] = [
            kind for kind in rates if kind not in _OPENING_KINDS + SERIES_KINDS
        ]
        self._framing = _share(rates, frame_kinds)
        self._connections = 0
        self._in_a_row = 0

    def fate(self, path: str) -> Fate:
        self._connections += 1
        draw = random.Random(f"{self._seed}/{self._connections}")
        kind = _pick(draw, self._opening)
        if kind is None or self._in_a_row >= self._max_in_a_row:
            self._in_a_row = 0
            return Fate(self._while_left(self._frames(draw)))
        self._in_a_row += 1
        return Fate(self._while_left(iter([_made(kind, draw, 0)])))

    def at_close(self, stream: str, number: int, open_ms: int) -> SocketFault | None:
        if not self._left:
            return None
        draw = random.Random(key_of(self._seed, stream, open_ms))
        kind = _pick(draw, self._closing)
        return None if kind is None else _made(kind, draw, 0)

    @property
    def _left(self) -> bool:
        return self._most is None or self.taken.total() < self._most

    def _while_left(self, faults: Iterator[SocketFault]) -> Iterator[SocketFault]:
        for fault in faults:
            if not self._left:
                return
            yield fault

    def _frames(self, draw: random.Random) -> Iterator[SocketFault]:
        total = sum(self._framing.values())
        frame = 0
        while total > 0:
            # the gap until something happens, instead of a draw for every frame
            frame += 1 + int(draw.expovariate(total))
            kind = draw.choices(list(self._framing), list(self._framing.values()))[0]
            yield _made(kind, draw, frame)


def _listed(entry: SocketFault | Sequence[SocketFault] | None) -> list[SocketFault]:
    faults = [entry] if isinstance(entry, SocketFault) else list(entry or ())
    for fault in faults:
        if fault.kind in SERIES_KINDS:
            raise ConfigError(f"{fault.kind} is a fault of candles: give it as `series`")
    return faults


def _share(
    rates: Mapping[SocketFaultKind, float], kinds: Sequence[SocketFaultKind]
) -> dict[SocketFaultKind, float]:
    chosen: dict[SocketFaultKind, float] = {kind: rates[kind] for kind in kinds if rates.get(kind)}
    if any(rate < 0 for rate in chosen.values()) or sum(chosen.values()) > 1:
        raise ConfigError(f"fault rates {chosen!r} must be >= 0 and sum to at most 1")
    return chosen


def _pick(draw: random.Random, rates: Mapping[SocketFaultKind, float]) -> SocketFaultKind | None:
    kinds: list[SocketFaultKind | None] = [*rates, None]
    return draw.choices(kinds, [*rates.values(), 1 - sum(rates.values())])[0]


def _made(kind: SocketFaultKind, draw: random.Random, after: int) -> SocketFault:
    match kind:
        case "close":
            return SocketFault.close(draw.choice((1000, 1001, 1008, 1011)), after=after)
        case "refuse":
            return SocketFault.refuse(draw.uniform(1.0, 20.0), draw.choice(REFUSALS))
        case "delay":
            return SocketFault.delay(draw.uniform(0.5, 10.0), after=after)
        case "server_shutdown":
            return SocketFault.server_shutdown(draw.uniform(1.0, 10.0), after=after)
        case "duplicate":
            return SocketFault.duplicate(later=draw.choice((0, 0, 3, 30)), after=after)
        case "reorder":
            return SocketFault.reorder(draw.randrange(2, 6), after=after)
        case "lose":
            return SocketFault.lose(draw.randrange(1, 5), after=after)
        case "wrong_json":
            return SocketFault.wrong_json(draw.choice(WRONG_FRAMES), after=after)
        case "error_frame":
            return SocketFault.error_frame(after=after)
        case _:
            return SocketFault(kind, after)
