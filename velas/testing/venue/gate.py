"""Whether the venue talks to the client at all: 429 until a time, 418 when it goes on.

A refusal, by the budget or by script, holds until the time it names. Requests that
arrive within `in_flight_s` of its start were on their way and are forgiven. Of later
ones, `tolerated` are answered 429; then the address is banned for two minutes, twice as
long at each further ban, at most three days; asking while banned starts the ban anew.
"""

from __future__ import annotations

import math

import attrs

from velas.testing.venue.weights import WeightWindow

__all__ = ["Gate", "Refusal"]

_LONGEST_BAN_MS = 3 * 86_400_000


@attrs.frozen
class Refusal:
    """A 429 or 418: its text and how long to wait, None where the venue does not say.

    `scripted` tells a fault from the budget's own refusal.
    """

    status: int
    message: str
    retry_after_s: int | None
    scripted: bool


class Gate:
    """Charges requests to a window and refuses them; counts who ignored a refusal."""

    def __init__(
        self,
        window: WeightWindow,
        *,
        retry_after: bool = True,
        tolerated: int = 3,
        ban_s: float = 120.0,
        in_flight_s: float = 0.25,
    ) -> None:
        self.window = window
        self.refused = 0
        self.bans = 0
        self.ignored_retry_after = 0
        self.ignored_bans = 0
        self._retry_after = retry_after
        self._tolerated = tolerated
        self._first_ban_ms = round(ban_s * 1000)
        self._in_flight_ms = round(in_flight_s * 1000)
        self._until_ms = 0
        self._forgiven_until_ms = 0
        self._is_ban = False
        self._ban_ms = 0
        self._says_when = retry_after
        self._scripted = False
        self._went_on = 0

    def admit(self, weight: int, now_ms: int) -> Refusal | None:
        """Charge one request; return why it is refused, or None."""
        within = self.window.charge(weight, now_ms)
        if now_ms < self._until_ms:
            return self._refuse_again(now_ms)
        if within:
            return None
        self._close(self.window.next_ms(now_ms), now_ms, says_when=self._retry_after)
        return self._refusal(now_ms)

    def refuse(self, seconds: float | None, now_ms: int) -> Refusal:
        """Answer 429 by script and mean it: for `seconds`, or silently to the window's end."""
        until = self.window.next_ms(now_ms) if seconds is None else now_ms + _ms(seconds)
        self._close(until, now_ms, says_when=seconds is not None, scripted=True)
        return self._refusal(now_ms)

    def ban(self, seconds: float, now_ms: int) -> Refusal:
        """Answer 418 by script and mean it, for `seconds`."""
        self._ban(_ms(seconds), now_ms, scripted=True)
        return self._refusal(now_ms)

    def _refuse_again(self, now_ms: int) -> Refusal:
        if now_ms >= self._forgiven_until_ms:
            self._went_on += 1
            if self._is_ban:
                self.ignored_bans += 1
                self._until_ms = max(self._until_ms, now_ms + self._ban_ms)
            else:
                self.ignored_retry_after += 1
                if self._went_on > self._tolerated:
                    length = min(self._first_ban_ms * 2**self.bans, _LONGEST_BAN_MS)
                    self._ban(length, now_ms, scripted=False)
        return self._refusal(now_ms)

    def _ban(self, length_ms: int, now_ms: int, *, scripted: bool) -> None:
        self.bans += not scripted
        self._ban_ms = length_ms
        self._close(now_ms + length_ms, now_ms, says_when=True, scripted=scripted)
        self._is_ban = True

    def _close(
        self, until_ms: int, now_ms: int, *, says_when: bool, scripted: bool = False
    ) -> None:
        self._until_ms = until_ms
        self._forgiven_until_ms = now_ms + self._in_flight_ms
        self._is_ban = False
        self._says_when = says_when
        self._scripted = scripted
        self._went_on = 0

    def _refusal(self, now_ms: int) -> Refusal:
        self.refused += not self._scripted
        wait_s = max(1, math.ceil((self._until_ms - now_ms) / 1000))
        if self._is_ban:
            text = (
                f"Way too much request weight used; IP banned until {self._until_ms}. "
                "Please use the websocket for live updates to avoid bans."
            )
            return Refusal(418, text, wait_s, self._scripted)
        rule = self.window.rule
        text = (
            f"Too much request weight used; current limit is {rule['limit']} request weight per "
            f"{rule['intervalNum']} {rule['interval']}. "
            "Please use the websocket for live updates to avoid polling the API."
        )
        return Refusal(429, text, wait_s if self._says_when else None, self._scripted)


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
