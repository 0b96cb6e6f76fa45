"""Keys planted in a trading bot: no log, repr, error, recording or file has them.

Searched for are the key, its secret, and every signature the venue received.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import pprint
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
from tradekit import CLASSES, limit_order, scripted, venue_of

import velas
from velas import errors
from velas.credentials import Credentials
from velas.ledger import Ledger
from velas.orders import Journal, OrderDesk
from velas.orders.trader import Trader
from velas.settings import Settings, Trading
from velas.testing import ManualClock, StandInVenue
from velas.testing.venue.account import Account
from velas.testing.venue.faults import FaultPlan
from velas.testing.venue.order_faults import OrderFault
from velas_ccxt._client import CcxtClient
from velas_ccxt._trading import BinanceTrading
from velas_replay import record

KEY, SECRET = "planted-key-of-the-account", "planted-secret-of-the-account"
MARKETS = pytest.mark.parametrize("market", ["spot", "futures"])
OURS = (Trader, OrderDesk, Journal, BinanceTrading, CcxtClient, Credentials, Settings, Ledger)


class Told:
    """Everything that a bot's owner, or a stranger with his logs, gets to see."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def error(self, error: BaseException | None) -> None:
        seen: set[int] = set()
        while error is not None and id(error) not in seen:
            seen.add(id(error))
            self.texts += [str(error), repr(error), repr(error.args), repr(vars(error))]
            self.texts += traceback.format_exception(error)
            error = error.__cause__ or error.__context__

    def objects(self) -> None:
        """The repr of everything of ours that is alive."""
        alive = [one for one in gc.get_objects() if isinstance(one, OURS)]
        assert alive
        self.texts += [repr(one) for one in alive]
        self.texts += [pprint.pformat(one) for one in alive]

    def files(self, folder: Path) -> None:
        """The bytes of every file in a folder."""
        self.texts += [path.read_bytes().decode("latin-1") for path in folder.iterdir()]

    def check(self, *secrets: str) -> None:
        for text in self.texts:
            for secret in secrets:
                assert secret not in text, text[:300]


class _Keeper(logging.Handler):
    def __init__(self, texts: list[str]) -> None:
        super().__init__(logging.DEBUG)
        self.texts = texts

    def emit(self, record: logging.LogRecord) -> None:
        self.texts += [record.getMessage(), repr(vars(record))]


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Iterator[Told]:
    found = Told()
    keeper, root = _Keeper(found.texts), logging.getLogger()
    root.addHandler(keeper)
    # the command, where another test ran it, has chosen levels for velas' own
    for name in ("", "velas", "velas_ccxt", "velas_replay"):
        caplog.set_level(logging.DEBUG, logger=name)
    try:
        yield found
    finally:
        root.removeHandler(keeper)
    assert any("HTTP 200" in text for text in found.texts), "nothing was logged at all"
    found.check(KEY, SECRET)


def account() -> dict[str, object]:
    return {"accounts": [Account(api_key=KEY, api_secret=SECRET)]}


def opened(venue: StandInVenue, ledger: Ledger, key: str = KEY, secret: str = SECRET):
    return CLASSES[venue.market](
        url=venue.rest_url,
        clock=venue.clock,
        ledger=ledger,
        timeout_s=0.6,
        trading=Trading(mode="live"),
        credentials=Credentials(api_key=key, api_secret=secret),
    )


@MARKETS
async def test_trading_through_every_failure_tells_no_secret(
    market: str, tmp_path: Path, told: Told
) -> None:
    clock = ManualClock(auto=True)
    faults = scripted(
        market,
        OrderFault.no_answer(accepted=True),
        OrderFault.broken_off(accepted=True),
        OrderFault.gateway(502, accepted=True),
        OrderFault.backend_timeout(accepted=True),
        OrderFault.unknown_error(accepted=True),
        OrderFault.out_of_time(),
        OrderFault.too_many_orders(1.0),
        OrderFault.error(400, -2010, "Account has insufficient balance."),
        OrderFault.error(400, -1022, "Signature for this request is not valid."),
        OrderFault.error(403, 0, "forbidden"),
        OrderFault.error(451, 0, "restricted"),
    )
    with Ledger(tmp_path / "velas.db") as ledger:
        async with venue_of(market, clock, faults=faults, **account()) as venue:
            async with opened(venue, ledger) as exchange:
                for n in range(9):
                    try:
                        await exchange.create_order(await limit_order(exchange, f"intent {n}"))
                    except errors.VelasError as error:
                        told.error(error)
                    told.objects()
                await exchange.balances()
                await exchange.open_orders()
                for refused in (
                    exchange.fetch_order("BTC/USDT", "424242"),
                    exchange.cancel_order("BTC/USDT", client_id="nothing-of-that-name"),
                ):
                    with pytest.raises(errors.OrderNotFound) as raised:
                        await refused
                    told.error(raised.value)
                venue.faults = FaultPlan.script([OrderFault.gateway(502, accepted=False)] * 20)
                with pytest.raises(errors.Unavailable) as down:
                    await exchange.balances()
                told.error(down.value)
            signatures = {str(one.query.get("signature", "-")) for one in venue.requests} - {"-"}
            assert len(signatures) > 10
    told.files(tmp_path)
    told.check(*signatures)


@MARKETS
async def test_trading_with_a_wrong_key_tells_no_secret(market: str, told: Told) -> None:
    clock = ManualClock(auto=True)
    async with venue_of(market, clock, **account()) as venue:
        for key, secret in ((KEY, f"{SECRET}-wrong"), (f"{KEY}-wrong", SECRET)):
            async with opened(venue, Ledger(), key, secret) as exchange:
                request = await limit_order(exchange)
                for refused in (exchange.balances(), exchange.create_order(request)):
                    with pytest.raises(errors.AuthError) as raised:
                        await refused
                    told.error(raised.value)
                told.objects()


async def test_trading_is_not_recorded(tmp_path: Path, told: Told) -> None:
    variables = {"BINANCE_API_KEY": KEY, "BINANCE_API_SECRET": SECRET}
    settings = velas.load_settings(environ=variables, trading={"mode": "live"})

    async def session(exchange: velas.Exchange, _: object) -> None:
        await exchange.markets()
        await exchange.balances()

    with StandInVenue("spot", **account()).in_thread() as venue:  # type: ignore[arg-type]
        with pytest.raises(errors.VelasError) as raised:
            await record.record(
                "binance_spot",
                tmp_path / "signed.yaml",
                session,
                symbols=["BTC/USDT"],
                rest_url=venue.rest_url,
            )
        told.error(raised.value)
    told.texts.append(repr(settings))
    told.files(tmp_path)


async def test_journal_marks_the_account_without_telling_its_key(tmp_path: Path) -> None:
    clock = ManualClock(auto=True)
    with Ledger(tmp_path / "velas.db") as ledger:
        async with venue_of("spot", clock, **account()) as venue:
            async with opened(venue, ledger) as exchange:
                await exchange.create_order(await limit_order(exchange))
            (row,) = ledger.read("SELECT account FROM intent", ())
    name, host, mark = row[0].split()
    assert name == "binance_spot"
    assert host.startswith("127.0.0.1:")
    assert len(mark) == 12
    assert mark not in KEY


def test_event_loop_debugging_shows_no_secret(told: Told, tmp_path: Path) -> None:
    """asyncio's debug mode prints the repr of coroutines and their arguments."""

    async def main() -> None:
        clock = ManualClock(auto=True)
        async with (
            venue_of("spot", clock, **account()) as venue,
            opened(venue, Ledger()) as exchange,
        ):
            task = asyncio.ensure_future(exchange.balances())
            told.texts += [repr(task), repr(task.get_stack())]
            await task

    asyncio.run(main(), debug=True)
