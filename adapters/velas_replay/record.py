"""Record a venue's public answers: ``python -m velas_replay.record --exchange NAME``.

Writes ``tour.yaml`` and ``download.yaml`` of a short real session into a folder. With
``--stand-in`` the venue is the one of `velas.testing`, in this process, at a fixed moment.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import click
from aiohttp import ClientResponse, ClientSession
from vcr.cassette import Cassette
from vcr.record_mode import RecordMode
from vcr.stubs.aiohttp_stubs import vcr_request

from velas import registry
from velas.config import load_settings
from velas.errors import ConfigError, VelasError
from velas.symbols import series_key
from velas_replay import _route
from velas_replay._errors import NotRecorded
from velas_replay._exchange import ReplayExchange
from velas_replay._route import Send
from velas_replay._scrub import check_public, trimmed
from velas_replay._session import SESSIONS, Session
from velas_replay._tape import Label, new_cassette, save

__all__ = ["STAND_IN_MS", "STAND_IN_SEED", "STAND_IN_SYMBOLS", "main", "record"]

STAND_IN_MS = 1_748_867_670_000  # 2025-06-02 12:34:30 UTC, when the stand-in was recorded
STAND_IN_SEED = 1
STAND_IN_SYMBOLS = ("BTC/USDT", "ETH/USDT")
_MARKETS = {"binance_spot": "spot", "binance_futures": "futures"}
_ATTEMPTS = 3
_RETRY_ATTEMPTS = 3  # somebody is watching, and can start it again


@attrs.define
class _Recording:
    cassette: Cassette
    allowed: Collection[str]
    refused: ConfigError | None = None

    async def send(
        self, real: Send, session: ClientSession, method: str, url: object, **options: Any
    ) -> ClientResponse:
        headers: Mapping[str, str] = {**session.headers, **(options.get("headers") or {})}
        body = options.get("data") or options.get("json")
        try:
            check_public(method, str(url), headers, body=body, allowed=self.allowed)
        except ConfigError as error:
            self.refused = error
            raise
        response: ClientResponse = await vcr_request(self.cassette, real)(
            session, method, url, **options
        )
        return response


async def record(
    exchange: str,
    path: Path,
    session: Session,
    *,
    symbols: Sequence[str],
    rest_url: str | None = None,
    source: str = "",
    public: Collection[str] = (),
) -> int:
    """Run `session` on an exchange by name and keep what was said; return how many answers.

    What is written has been played back before: the same session, without the venue. A
    candle may close between the first and the last request, which then differ from what
    a venue whose clock stands would be asked; such a session is run again. `public` are
    paths to allow beyond those known to be public.

    Raises:
        ConfigError: something is asked for that must not be recorded.
        VelasError: the session failed.
    """
    label = source or f"the exchange {exchange}"
    left = _ATTEMPTS
    while True:
        left -= 1
        cassette = new_cassette(path, RecordMode.NEW_EPISODES)
        recorded_ms = await _run(exchange, cassette, session, symbols, rest_url, public)
        _trim(cassette, [series_key(symbol) for symbol in symbols])
        trial = path.with_suffix(".part")
        try:
            save(cassette, trial, Label(exchange, recorded_ms, label))
            async with ReplayExchange(trial, exchange=exchange) as replay:
                await session(replay, symbols)
            trial.replace(path)
            return len(cassette)
        except NotRecorded:
            if not left:
                raise
        finally:
            trial.unlink(missing_ok=True)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--exchange", required=True, help="The adapter, by name: binance_spot, kraken ...")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="The folder.")
@click.option("--rest-url", help="Ask there instead of the exchange's own address.")
@click.option("--stand-in", is_flag=True, help="Ask velas' own stand-in for Binance.")
@click.option("--symbol", "symbols", multiple=True, help="Default: BTC/USDT and ETH/USDT.")
@click.option("--public", multiple=True, metavar="PATH", help="Also record this path.")
def main(
    exchange: str,
    out: Path | None,
    rest_url: str | None,
    stand_in: bool,
    symbols: tuple[str, ...],
    public: tuple[str, ...],
) -> None:
    """Record public answers of an exchange into cassettes/<EXCHANGE>/*.yaml.

    Only public GET requests are ever made; a key, a signature, a cookie or an account's
    data cannot get into a recording.
    """
    if stand_in and rest_url is not None:
        raise click.UsageError("--stand-in and --rest-url exclude each other")
    folder = out or Path("cassettes") / exchange
    chosen = symbols or STAND_IN_SYMBOLS
    try:
        asyncio.run(_record_all(exchange, folder, chosen, rest_url, stand_in, public))
    except VelasError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)


async def _record_all(
    exchange: str,
    folder: Path,
    symbols: Sequence[str],
    rest_url: str | None,
    stand_in: bool,
    public: Collection[str],
) -> None:
    for name, session in SESSIONS.items():
        path = folder / f"{name}.yaml"
        async with _place(exchange, symbols, rest_url, stand_in) as (url, source):
            answers = await record(
                exchange, path, session, symbols=symbols, rest_url=url, source=source, public=public
            )
        click.echo(f"{path}: {answers} answers, {path.stat().st_size / 1000:.0f} kB")


@asynccontextmanager
async def _place(
    exchange: str, symbols: Sequence[str], rest_url: str | None, stand_in: bool
) -> AsyncIterator[tuple[str | None, str]]:
    if not stand_in:
        yield rest_url, f"the exchange {exchange}" if rest_url is None else "another address"
        return
    from velas.testing import GeneratedCandles, ManualClock, StandInVenue

    if exchange not in _MARKETS:
        raise ConfigError(f"--stand-in plays {' or '.join(_MARKETS)}, not {exchange!r}")
    async with StandInVenue(
        "spot" if exchange == "binance_spot" else "futures",
        symbols=[series_key(symbol) for symbol in symbols],
        candles=GeneratedCandles(STAND_IN_SEED),
        clock=ManualClock(STAND_IN_MS),
    ) as venue:
        yield venue.rest_url, "the stand-in venue of velas.testing"


async def _run(
    name: str,
    cassette: Cassette,
    session: Session,
    symbols: Sequence[str],
    rest_url: str | None,
    public: Collection[str],
) -> int:
    # environ: neither a key nor an address of the user's environment plays a part
    settings = load_settings(
        environ={},
        exchange=name,
        rest={"url": rest_url},
        limits={"retry_attempts": _RETRY_ATTEMPTS},
    )
    route = _Recording(cassette, public)
    _route.install()
    try:
        async with registry.open_exchange(settings) as exchange:
            with _route.routed(route):
                recorded_ms = await exchange.server_time_ms()
                await session(exchange, symbols)
        return recorded_ms
    except VelasError:
        if route.refused is not None:
            raise route.refused from None
        raise
    finally:
        _route.uninstall()


def _trim(cassette: Cassette, ids: Collection[str]) -> None:
    for response in cassette.responses:
        response["body"]["string"] = trimmed(response["body"]["string"], ids)


if __name__ == "__main__":
    main()
