"""Run the stand-in venue by hand: ``python -m velas.testing --market spot --port 8080``."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click
import orjson

from velas.errors import ConfigError

if TYPE_CHECKING:
    from velas.testing.venue.server import StandInVenue

__all__ = ["main"]

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--market", type=click.Choice(["spot", "futures"]), default="spot")
@click.option("--port", default=0, help="0 takes a free one.")
@click.option("--symbols", help="Ids separated by commas; default: 20 USDT pairs.")
@click.option("--faults", type=int, metavar="SEED", help="Break requests at random, by this seed.")
@click.option("--latency", default=0.0, metavar="SECONDS", help="Delay every answer.")
@click.option("--seed", default=1, help="Seed of the generated candles.")
@click.option("--klines", type=_FILE, multiple=True, help="Serve this CSV (named ..BTCUSDT-1h..).")
@click.option("--exchange-info", type=_FILE, help="Serve this exchangeInfo document.")
@click.option(
    "--socket-faults", type=int, metavar="SEED", help="Break connections at random, by this seed."
)
@click.option("--no-limit", is_flag=True, help="Do not enforce the weight limit.")
def main(**options: object) -> None:
    """Serve Binance's REST dialect (orders too) and streams on 127.0.0.1 until Ctrl-C."""
    try:
        venue = _venue(**options)  # type: ignore[arg-type]
        asyncio.run(_serve(venue))
    except ConfigError as error:
        raise click.UsageError(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"cannot listen: {error}") from error
    except KeyboardInterrupt:
        pass  # the way to stop it


def _venue(
    *,
    market: str,
    port: int,
    symbols: str | None,
    faults: int | None,
    latency: float,
    seed: int,
    klines: tuple[Path, ...],
    exchange_info: Path | None,
    socket_faults: int | None,
    no_limit: bool,
) -> StandInVenue:
    from velas.testing.venue.faults import FaultPlan
    from velas.testing.venue.generated import GeneratedCandles
    from velas.testing.venue.given import GivenCandles
    from velas.testing.venue.server import StandInVenue
    from velas.testing.venue.socket_plans import SocketFaultPlan

    return StandInVenue(
        "futures" if market == "futures" else "spot",
        symbols=None if symbols is None else _ids(symbols),
        exchange_info=_document(exchange_info) if exchange_info else None,
        candles=GivenCandles.from_files(klines) if klines else GeneratedCandles(seed),
        faults=None if faults is None else FaultPlan.random(faults),
        socket_faults=None if socket_faults is None else SocketFaultPlan.random(socket_faults),
        latency_s=latency,
        weight_limit=0 if no_limit else None,
        port=port,
    )


def _ids(text: str) -> list[str]:
    ids = [name.strip() for name in text.split(",") if name.strip()]
    if not ids:
        raise ConfigError(f"--symbols {text!r}: give ids such as BTCUSDT,ETHUSDT")
    return ids


def _document(path: Path) -> dict[str, object]:
    try:
        document = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise ConfigError(f"{path}: not JSON: {error}") from error
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: not an exchangeInfo document")
    return document


async def _serve(venue: StandInVenue) -> None:
    from velas.testing.venue import STAND_IN_KEY, STAND_IN_SECRET

    async with venue:
        addresses = f"{venue.rest_url} and {venue.ws_url}"
        keys = f"key {STAND_IN_KEY}, secret {STAND_IN_SECRET}"
        click.echo(f"stand-in {venue.market} venue at {addresses}, {keys} (Ctrl-C stops it)")
        await asyncio.Event().wait()


if __name__ == "__main__":
    main()
