"""A client of the stand-in's signed side that does no more than sign and send."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import aiohttp
import attrs
import orjson
from yarl import URL

from velas.testing import STAND_IN_KEY, STAND_IN_SECRET, ManualClock, StandInVenue

START = 1_790_000_040_000


@attrs.frozen
class Reply:
    """What came back; a body that is not JSON is a text."""

    status: int
    headers: dict[str, str]
    body: Any

    @property
    def code(self) -> int | None:
        """The venue's error code, None for a good answer."""
        return self.body.get("code") if isinstance(self.body, dict) else None

    @property
    def error(self) -> tuple[int, int, str]:
        """HTTP status, code and words of a refusal."""
        return self.status, self.body["code"], self.body["msg"]


class Trading:
    """Signs with the stand-in's default key by the venue's clock."""

    def __init__(self, venue: StandInVenue, session: aiohttp.ClientSession) -> None:
        self.venue = venue
        self.session = session
        self.base = "/api/v3" if venue.market == "spot" else "/fapi/v1"

    def signed(self, params: dict[str, Any], secret: str = STAND_IN_SECRET) -> str:
        """Return the parameters as sent, with time and signature."""
        text = urlencode({"timestamp": self.venue.now_ms(), **params})
        digest = hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()
        return f"{text}&signature={digest}"

    async def send(
        self, method: str, path: str, *, key: str | None = STAND_IN_KEY, **params: Any
    ) -> Reply:
        """Send a signed request: POST in the form body, others in the query."""
        payload = self.signed(params)
        if method == "POST":
            return await self.raw(method, path, data=payload, key=key)
        return await self.raw(method, f"{path}?{payload}", key=key)

    async def raw(
        self, method: str, path: str, *, data: str | None = None, key: str | None = STAND_IN_KEY
    ) -> Reply:
        """Send exactly this."""
        headers = {"Content-Type": "application/x-www-form-urlencoded"} if data else {}
        if key is not None:
            headers["X-MBX-APIKEY"] = key
        path = path if path.startswith("/") else f"{self.base}/{path}"
        url = URL(self.venue.rest_url + path, encoded=True)
        async with self.session.request(method, url, data=data, headers=headers) as answer:
            body = await answer.read()
            is_json = answer.content_type == "application/json"
            document = orjson.loads(body) if is_json else body.decode()
            return Reply(answer.status, dict(answer.headers), document)

    async def place(self, **params: Any) -> Reply:
        """Place a limit order far from the price, unless said otherwise."""
        return await self.send("POST", "order", **limit(**params))

    async def bid(self, symbol: str = "BTCUSDT") -> float:
        """Return the best bid."""
        return float((await self.ticker(symbol))["bidPrice"])

    async def ticker(self, symbol: str = "BTCUSDT") -> dict[str, str]:
        """Return the book ticker."""
        reply = await self.raw("GET", f"ticker/bookTicker?symbol={symbol}", key=None)
        body: dict[str, str] = reply.body
        return body


def limit(**params: Any) -> dict[str, Any]:
    """Return the parameters of a limit buy of BTCUSDT that rests, changed by `params`.

    None leaves one out.
    """
    known = {
        "symbol": "BTCUSDT",
        "side": "BUY",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": "0.01",
        "price": "45000",
    }
    return {name: value for name, value in {**known, **params}.items() if value is not None}


def market(**params: Any) -> dict[str, Any]:
    """Return the parameters of a market buy of BTCUSDT, changed by `params`."""
    return limit(**{"type": "MARKET", "timeInForce": None, "price": None, **params})


@asynccontextmanager
async def trading(market: Any = "spot", **options: Any) -> AsyncIterator[Trading]:
    """Run a stand-in whose clock stands still, and a client for it."""
    options.setdefault("clock", ManualClock(START, auto=True))
    venue = StandInVenue(market, **options)
    # closed for good on leaving: a leaked socket is a warning, so a failure
    async with venue, aiohttp.ClientSession() as session:
        yield Trading(venue, session)
