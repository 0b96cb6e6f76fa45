"""How many orders an account may send, by the ORDERS rows of exchangeInfo (binance-facts 2)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from velas.testing.venue import order_refusal

__all__ = ["OrderLimits"]

_LENGTHS_S = {"SECOND": 1, "MINUTE": 60, "HOUR": 3_600, "DAY": 86_400}
Rule = Mapping[str, Any]


class OrderLimits:
    """Counts the orders of one account in clock windows, those that were taken only."""

    def __init__(self) -> None:
        self._counts: dict[tuple[int, int], int] = {}

    def check(self, rules: Iterable[Rule], now_ms: int, *, retry_after: bool) -> None:
        """Refuse an order too many. Raises: Refused -1015 with HTTP 429."""
        for rule in _orders(rules):
            if self._count(rule, now_ms) >= rule["limit"]:
                length_ms = _length_ms(rule)
                wait_s = max(1, math.ceil((length_ms - now_ms % length_ms) / 1000))
                raise order_refusal.too_many_orders(
                    rule["limit"],
                    rule["intervalNum"],
                    rule["interval"],
                    wait_s if retry_after else None,
                )

    def note(self, rules: Iterable[Rule], now_ms: int) -> None:
        """Count an order that was taken."""
        for length_ms in {_length_ms(rule) for rule in _orders(rules)}:
            key = (length_ms, now_ms // length_ms)
            self._counts[key] = self._counts.get(key, 0) + 1

    def headers(self, rules: Iterable[Rule], now_ms: int) -> dict[str, str]:
        """Return the headers of an order that was taken."""
        return {
            f"X-MBX-ORDER-COUNT-{rule['intervalNum']}{rule['interval'][0]}": str(
                self._count(rule, now_ms)
            )
            for rule in _orders(rules)
        }

    def rows(self, rules: Iterable[Rule], now_ms: int) -> list[dict[str, Any]]:
        """Return the rules with their counts, as ``rateLimit/order`` has them."""
        return [{**rule, "count": self._count(rule, now_ms)} for rule in _orders(rules)]

    def _count(self, rule: Rule, now_ms: int) -> int:
        length_ms = _length_ms(rule)
        return self._counts.get((length_ms, now_ms // length_ms), 0)


def _orders(rules: Iterable[Rule]) -> list[Rule]:
    return [rule for rule in rules if rule.get("rateLimitType") == "ORDERS"]


def _length_ms(rule: Rule) -> int:
    return int(_LENGTHS_S[str(rule["interval"])] * rule["intervalNum"] * 1000)
