"""The last look at an order's request: what it says, and that it is sent once."""

from __future__ import annotations

import re
from decimal import Decimal
from urllib.parse import unquote, urlsplit

import orjson

from velas.decimals import plain
from velas.errors import Unavailable, Unsupported
from velas.orders import Sending

__all__ = ["LastLook", "only_tests"]

# in plain notation: of 1e-07 neither part is a number here
_NUMBERS = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.])")
_TEST_PATH = re.compile(r"(?i)test/?$")
_TEST_BODY = re.compile(r"\bvalidate\"?[=:]\"?true\b")


class LastLook:
    """Awaited before each request of ccxt's that is to make an order; see `Reply.leaving`.

    The one that makes it carries the client id, or is at least no GET: before it leaves,
    the journal is told. It must have the order's numbers, in plain notation, and it must
    be the only one: what ccxt would round, or repeat, is not sent.
    """

    def __init__(
        self,
        client_id: str,
        numbers: tuple[Decimal, ...],
        sending: Sending,
        *,
        reduce_only: bool = False,
        by_get: bool = False,
    ) -> None:
        self.announced = False
        self._carried = False
        self._client_id = client_id
        self._numbers = numbers
        self._sending = sending
        self._reduce_only = reduce_only
        self._by_get = by_get

    async def __call__(self, method: str, url: str, body: object) -> None:
        """Look at a request, and tell the journal."""
        text = _text(url, body)
        carries = self._client_id in text
        if carries:
            if self._carried:
                raise Unavailable("ccxt would send the order a second time; it was not")
            self._check(text)
        if (carries or method != "GET" or self._by_get) and not self.announced:
            # a venue of which velas knows no time after which it executes a request no more
            await self._sending(None)
            self.announced = True
        self._carried = self._carried or carries

    def _check(self, text: str) -> None:
        written = {Decimal(one) for one in _NUMBERS.findall(text.replace(self._client_id, ""))}
        for number in self._numbers:
            if number not in written:
                raise Unsupported(f"ccxt would not send {plain(number)} as it is; nothing was sent")
        if self._reduce_only and "reduce" not in text.lower():
            raise Unsupported("ccxt would not send reduce_only; nothing was sent")


async def only_tests(method: str, url: str, body: object) -> None:
    """Refuse to send what would make an order: only tests of one may leave."""
    marked = _TEST_PATH.search(urlsplit(url).path) or _TEST_BODY.search(_text("", body))
    if method != "GET" and not marked:
        raise Unsupported("ccxt would send a real order instead of a test; nothing was sent")


def _text(url: str, body: object) -> str:
    shown = body if isinstance(body, str) else "" if body is None else orjson.dumps(body).decode()
    return unquote(f"{url} {shown}")
