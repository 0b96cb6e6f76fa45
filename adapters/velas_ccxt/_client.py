"""One ccxt exchange object as a quiet HTTP client: its hooks, its address, its replies."""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import logging
import ssl
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import aiohttp
import certifi
from ccxt.base.errors import BaseError

from velas.clock import Clock
from velas.credentials import Credentials
from velas.errors import AuthError, BadResponse
from velas_ccxt._errors import Reply, clean, translate

__all__ = ["CcxtClient"]

_log = logging.getLogger(__name__)
_reply: ContextVar[Reply | None] = ContextVar("velas_ccxt_reply", default=None)

# ccxt logs request headers, so API keys, at DEBUG: give it a logger outside the hierarchy
_SILENT = logging.Logger("ccxt", logging.CRITICAL + 1)
_QUIET: Mapping[str, Any] = {
    "enableLastHttpResponse": False,
    "enableLastJsonResponse": False,
    "enableLastResponseHeaders": False,
    "logger": _SILENT,
    "userAgent": "velas",  # ccxt says it is python-requests
    "has": {"fetchCurrencies": False},  # a signed request at some venues
    "options": {"adjustForTimeDifference": False},
}


class _Hooks:
    """Put before a ccxt class: hands each reply to the call it belongs to.

    ccxt keeps the last reply on the exchange object, where calls that run at the same
    time overwrite one another's. A context variable is the call's own, and the tasks
    ccxt starts for it inherit it.
    """

    async def fetch(
        self, url: str, method: str = "GET", headers: Any = None, body: Any = None
    ) -> Any:
        reply = _reply.get()
        if reply is not None:
            await reply.send(method, url, body)
        return await super().fetch(url, method, headers, body)  # type: ignore[misc]

    def handle_errors(self, *args: Any) -> Any:
        try:
            return super().handle_errors(*args)  # type: ignore[misc]
        except BaseError as error:
            reply = _reply.get()
            if reply is not None:
                reply.judged = error
            raise

    def on_rest_response(
        self,
        code: int,
        reason: str,
        url: str,
        method: str,
        response_headers: dict[str, str],
        response_body: str,
        request_headers: object,
        request_body: object,
    ) -> str:
        _log.debug("%s %s: HTTP %s", method, urlsplit(url).path, code)  # no query: it may be signed
        reply = _reply.get()
        if reply is not None:
            reply.status, reply.headers, reply.body = code, response_headers, response_body
            reply.document = None
        return response_body

    def parse_json(self, http_response: str) -> Any:
        reply = _reply.get()
        if reply is not None and reply.raw and reply.status == 200:
            return None  # then ccxt neither reads nor judges the text
        document = super().parse_json(http_response)  # type: ignore[misc]
        if reply is not None:
            reply.document = document
        return document

    def parse_ohlcvs(
        self,
        ohlcvs: list[object],
        market: Any = None,
        timeframe: str = "1m",
        since: int | None = None,
        limit: int | None = None,
        tail: bool = False,
    ) -> Any:
        # ccxt drops rows it cannot place in time; broken ones are to be seen, see _mapping
        return super().parse_ohlcvs(ohlcvs, market, timeframe, None, None, tail)  # type: ignore[misc]

    async def throttle(self, cost: float | None = None) -> None:
        await self.velas_pace(float(cost or 1.0))  # type: ignore[attr-defined]


class CcxtClient:
    """A ccxt async class, sending to `url` if given, with one reply per call.

    Opens its connections at the first call, in the loop that is running then. `paced`
    keeps requests apart by what ccxt says each costs at the venue, for venues whose
    weights are only known that way.
    """

    def __init__(
        self,
        exchange_class: type,
        *,
        venue: str,
        clock: Clock,
        url: str | None = None,
        timeout_s: float = 10.0,
        config: Mapping[str, Any] | None = None,
        paced: bool = False,
        credentials: Credentials | None = None,
    ) -> None:
        extra = dict(config or {})
        options = {**_QUIET["options"], **extra.pop("options", {})}
        self.exchange: Any = _hooked(exchange_class)(
            {**_QUIET, "timeout": int(timeout_s * 1000), **extra, "options": options}
        )
        keys = credentials or Credentials()
        _sign_with(self.exchange, keys)
        known = (keys.api_key, keys.api_secret, keys.password)
        self._secrets = [one.reveal() for one in known if one is not None]
        self._venue = venue
        self._clock = clock
        self._url = url
        self._free_s = 0.0
        self.exchange.enableRateLimit = paced
        self.exchange.velas_pace = self._pace
        if url is not None:
            self.exchange.urls["api"] = _moved(self.exchange.urls["api"], url)

    def host(self, api: str | None = None) -> str:
        """Return host and port that requests go to, of one of ccxt's `api` groups."""
        urls = self.exchange.urls["api"]
        while isinstance(urls, dict):
            urls = urls.get(api) or next(iter(urls.values()), None)
        return urlsplit(str(urls).replace("{hostname}", str(self.exchange.hostname))).netloc

    async def call(
        self, reply: Reply, request: Callable[..., Awaitable[Any]], *args: Any, **kwargs: Any
    ) -> Any:
        """Await one of the exchange's methods, filling `reply`; return its result.

        Raises:
            VelasError: what the ccxt error, status and body mean; see `_errors`.
            Exception: what `reply.leaving` raised.
        """
        self._open()
        token = _reply.set(reply)
        try:
            return await request(*args, **kwargs)
        except BaseError as error:
            known = translate(error, reply, venue=self._venue, now_ms=self._clock.now_ms())
        except Exception as error:
            if error is reply.stopped:
                raise
            # ccxt's parsers assume the documented shape
            text = clean(f"ccxt cannot read the reply: {type(error).__name__} {error}")
            known = BadResponse(f"{self._venue}: {text}")
            known.__cause__ = error if reply.status else None
        finally:
            _reply.reset(token)
        _log.debug("%s: %s", self._venue, type(known).__name__)
        known.args = tuple(self._without_keys(one) for one in known.args)
        # raised out here, so that the ccxt error is not even its context: that one's text has
        # the whole address, signature included
        raise known

    def check_private(self) -> None:
        """Refuse to send an account's key where anybody on the way could read it.

        Raises:
            AuthError: requests go out by http, and not to this machine.
        """
        address = urlsplit(self._url or "")
        if address.scheme == "http" and not _is_this_machine(address.hostname or ""):
            raise AuthError(
                f"{self._venue}: rest.url is {self._url}: keys go out by https only, except to "
                "this machine"
            )

    def _without_keys(self, value: object) -> object:
        # a firewall's page may repeat them
        if isinstance(value, str):
            for secret in self._secrets:
                value = value.replace(secret, "***")
        return value

    @contextmanager
    def named(self) -> Iterator[None]:
        """Say in a `BadResponse` whose answer it was."""
        try:
            yield
        except BadResponse as error:
            raise BadResponse(f"{self._venue}: {error}") from error.__cause__

    async def close(self) -> None:
        """Close the connections."""
        session, self.exchange.session = self.exchange.session, None
        # ccxt's own close sleeps a fixed 250 ms for the transports; here they are awaited
        self.exchange.closed_by_user = True
        if session is not None:
            await session.close()
            await asyncio.sleep(0)

    async def _pace(self, cost: float) -> None:
        now_s = self._clock.monotonic_s()
        starts_s = max(now_s, self._free_s)
        self._free_s = starts_s + cost * self.exchange.rateLimit / 1000
        if starts_s > now_s:
            await self._clock.sleep(starts_s - now_s)

    def _open(self) -> None:
        exchange = self.exchange
        if exchange.session is None and not exchange.closed_by_user:
            # ccxt would open one with an option that newer Pythons warn about
            exchange.own_session = False
            exchange.ssl_context = self._tls()
            tracing = aiohttp.TraceConfig()
            tracing.on_request_redirect.append(_refuse_redirect)
            exchange.session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=exchange.ssl_context), trace_configs=[tracing]
            )
            # aiohttp silently repeats a GET or DELETE whose kept-alive connection broke; the
            # venue may have counted both, and whether to repeat is the limiter's to decide
            exchange.session._retry_connection = False

    def _tls(self) -> ssl.SSLContext | bool:
        if self._url is not None and self._url.startswith("http:"):
            return True  # aiohttp's default, read only should a redirect lead to https
        return ssl.create_default_context(cafile=certifi.where())


async def _refuse_redirect(_session: object, _context: object, params: Any) -> None:
    # a repeated order is a second one, and another host has no business with the key
    raise aiohttp.ClientError(f"redirected (HTTP {params.response.status}), which is not followed")


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _sign_with(exchange: Any, credentials: Credentials) -> None:
    for name, secret in (
        ("apiKey", credentials.api_key),
        ("secret", credentials.api_secret),
        ("password", credentials.password),
    ):
        if secret is not None:
            setattr(exchange, name, secret.reveal())


@functools.cache
def _hooked(exchange_class: type) -> type:
    return type(exchange_class.__name__, (_Hooks, exchange_class), {})


def _moved(urls: Any, url: str) -> Any:
    if isinstance(urls, dict):
        return {name: _moved(value, url) for name, value in urls.items()}
    if isinstance(urls, str):
        target, origin = urlsplit(url), urlsplit(urls)
        return urlunsplit((target.scheme, target.netloc, origin.path, origin.query, ""))
    return urls
