"""`velas check-order` against a venue of this machine, a recording, and none at all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import attrs
import pytest

from velas.errors import BadRequest, Unavailable
from velas.models import Market
from velas.testing import ManualClock, StandInVenue
from velas.validation import MarketState

ROOT = Path(__file__).parents[2]
START = 1_790_000_040_000
LIMIT = ("check-order", "BTCUSDT", "--side", "buy", "--type", "limit")
LEGAL = (*LIMIT, "--quantity", "0.001", "--price", "40000")
BAD = (*LIMIT, "--quantity", "0.00012345", "--price", "40000.123", "--client-id", "no spaces")
CURABLE = (*LIMIT, "--quantity", "0.00212345", "--price", "40000.123")
PRICE = ("--reference-price", "40000")
PUBLIC = {f"/api/v3/{name}" for name in ("exchangeInfo", "avgPrice", "ticker/bookTicker", "time")}
NUMBERS = (
    "--quantity", "--price", "--stop-price", "--quote-quantity", "--iceberg-quantity",
    "--callback-rate", "--reference-price",
)  # fmt: skip


@contextmanager
def trading(monkeypatch: pytest.MonkeyPatch, market: str) -> Iterator[StandInVenue]:
    clock = ManualClock(START, auto=True)
    with StandInVenue(market, clock=clock).in_thread() as venue:  # type: ignore[arg-type]
        monkeypatch.setenv("REST_URL", venue.rest_url)
        monkeypatch.setenv("WS_URL", venue.ws_url)
        monkeypatch.setenv("EXCHANGE", f"binance_{market}")
        yield venue


@pytest.fixture
def spot(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandInVenue]:
    with trading(monkeypatch, "spot") as venue:
        yield venue


@pytest.fixture
def futures(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandInVenue]:
    with trading(monkeypatch, "futures") as venue:
        yield venue


def judged(document: dict, name: str) -> list[bool | None]:
    return [row["ok"] for row in document["rules"] if row["filter"] == name]


def test_check_order_legal_is_accepted_and_nothing_is_placed_or_written(velas, spot):
    result = velas(*LEGAL)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1] == "accepted by the rules; 1 rule not judged"
    assert result.stderr == ""
    assert spot.order_attempts == 0
    assert {one.method for one in spot.requests} == {"GET"}
    assert {one.path for one in spot.requests} <= PUBLIC
    assert list(Path().iterdir()) == []


def test_check_order_asks_spot_for_the_price_that_rules_refer_to(velas, spot):
    found = json.loads(velas("--json", *LEGAL).stdout)
    assert found["reference"]["source"] == "venue"
    assert float(found["reference"]["reference_price"]) > 0
    assert found["reference"]["mark_price"] is None
    assert judged(found, "PERCENT_PRICE_BY_SIDE") == [True]
    assert spot.count("avgPrice") == 1


def test_check_order_asks_futures_for_the_mark_price_and_the_book(velas, futures):
    order = ("check-order", "BTCUSDT", "--side", "SELL", "--type", "MARKET", "--quantity", "1")
    found = json.loads(velas("--json", *order).stdout)
    assert found["ok"] is True
    assert found["symbol"] == "BTC/USDT:USDT"
    assert (found["order"]["side"], found["order"]["type"]) == ("sell", "market")
    assert float(found["reference"]["mark_price"]) > 0
    assert judged(found, "MIN_NOTIONAL") == judged(found, "PERCENT_PRICE") == [True]


def test_check_order_with_a_reference_price_asks_the_venue_for_none(velas, futures):
    order = (*LIMIT, "--quantity", "1", "--price", "42000.1", *PRICE)
    result = velas("--json", *order)
    found = json.loads(result.stdout)
    assert result.exit_code == 1
    assert found["reference"] == {
        "source": "option", "reference_price": "40000", "mark_price": "40000",
        "best_bid": None, "best_ask": None,
    }  # fmt: skip
    assert [one["filter"] for one in found["violations"]] == ["PERCENT_PRICE"]
    assert found["nearest"]["price"] == "42000"
    assert futures.count("premiumIndex") == futures.count("bookTicker") == 0


def test_check_order_refused_tells_every_broken_rule_and_why_none_is_near(velas, spot):
    result = velas(*BAD, *PRICE)
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    failed = [line.split()[1] for line in lines if line.startswith("FAIL")]
    assert sorted(failed) == ["CLIENT_ORDER_ID", "LOT_SIZE", "NOTIONAL", "PRICE_FILTER"]
    assert "no legal order near it: CLIENT_ORDER_ID" in result.stdout
    assert lines[-1] == "refused: 4 rules broken"


def test_check_order_refused_tells_the_nearest_legal_order(velas, spot):
    result = velas(*CURABLE, *PRICE)
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-2:] == [
        "nearest legal order: buy limit BTC/USDT: quantity 0.00212, price 40000.12",
        "refused: 2 rules broken",
    ]
    nearest = ("--quantity", "0.00212", "--price", "40000.12")
    assert velas(*LIMIT, *nearest, *PRICE).exit_code == 0


def test_check_order_json_has_exactly_its_shape(velas, spot):
    result = velas("--json", *LIMIT, "--quantity", "12.3E-5", "--price", "1E+4", *PRICE)
    assert result.exit_code == 1
    found = json.loads(result.stdout, parse_float=pytest.fail, parse_int=pytest.fail)
    order = {
        "symbol": "BTC/USDT", "side": "buy", "type": "limit", "quantity": "0.000123",
        "price": "10000", "stop_price": None, "time_in_force": None, "reduce_only": False,
        "client_id": None, "quote_quantity": None, "iceberg_quantity": None,
        "trailing_delta": None, "callback_rate": None, "close_position": False,
        "position_side": None,
    }  # fmt: skip
    assert list(found) == [
        "ok", "exchange", "symbol", "order", "reference", "rules", "violations", "not_judged",
        "nearest", "why_none", "nearest_beyond_policy",
    ]  # fmt: skip
    assert (found["ok"], found["exchange"], found["symbol"]) == (False, "binance_spot", "BTC/USDT")
    assert found["order"] == order
    step = "must be a multiple of 0.00001"
    worth = "price 10000 * quantity must be at least 5; it is 1.23"
    broken = [("LOT_SIZE", step), ("NOTIONAL", worth)]
    assert found["violations"] == [
        {"filter": name, "field": "quantity", "value": "0.000123", "rule": rule,
         "nearest": "0.0005"}
        for name, rule in broken
    ]  # fmt: skip
    assert [
        {name: row[name] for name in ("filter", "field", "value", "rule", "nearest")}
        for row in found["rules"]
        if row["ok"] is False
    ] == found["violations"]
    assert {tuple(row) for row in found["rules"]} == {
        ("filter", "field", "value", "rule", "ok", "needs", "nearest")
    }
    needs = "open_orders is not given"
    assert found["not_judged"] == [{"filter": "MAX_NUM_ORDERS", "needs": needs}]
    assert [row["needs"] for row in found["rules"] if row["ok"] is None] == [needs]
    assert found["nearest"] is None
    assert found["why_none"] == (
        "at price 10000 the smallest legal quantity is 0.0005, larger than the 0.000123 asked "
        "(policy: at most 0 % larger)"
    )


def test_check_order_json_of_a_legal_order_is_its_own_nearest(velas, spot):
    found = json.loads(velas("--json", *LEGAL).stdout)
    assert found["nearest"] == found["order"]
    assert (found["violations"], found["why_none"]) == ([], None)
    assert found["nearest_beyond_policy"] is None


def test_check_order_takes_every_field_of_an_order(velas, futures):
    result = velas(
        "--json", "check-order", "BTC/USDT", "--side", "Sell", "--type", "Stop_Loss_Limit",
        "--quantity", "1", "--price", "2", "--stop-price", "3", "--quote-quantity", "4",
        "--iceberg-quantity", "5", "--callback-rate", "6", "--trailing-delta", "7",
        "--time-in-force", "gtc", "--reduce-only", "--close-position", "--position-side", "Long",
        "--client-id", "mine", *PRICE,
    )  # fmt: skip
    assert result.exit_code == 1
    assert json.loads(result.stdout)["order"] == {
        "symbol": "BTC/USDT:USDT", "side": "sell", "type": "stop_loss_limit", "quantity": "1",
        "price": "2", "stop_price": "3", "quote_quantity": "4", "iceberg_quantity": "5",
        "callback_rate": "6", "trailing_delta": "7", "time_in_force": "GTC", "reduce_only": True,
        "close_position": True, "position_side": "long", "client_id": "mine",
    }  # fmt: skip


def test_check_order_flag_that_is_refused_stays_a_flag_in_json(velas, spot):
    found = json.loads(velas("--json", *LEGAL, "--reduce-only").stdout)
    assert [(one["field"], one["value"]) for one in found["violations"]] == [("reduce_only", True)]


@pytest.mark.parametrize(
    "order",
    [
        ("--type", "market", "--quote-quantity", "20"),
        ("--type", "stop_market", "--stop-price", "30000", "--close-position"),
    ],
)
def test_check_order_without_a_quantity_goes_where_another_field_says_it(velas, monkeypatch, order):
    market = "spot" if "market" in order else "futures"
    with trading(monkeypatch, market):
        result = velas("check-order", "BTCUSDT", "--side", "sell", *order, *PRICE)
    assert result.exit_code == 0, result.output


def test_check_order_zero_and_negative_numbers_are_judged_not_hidden(velas, spot):
    result = velas(*LIMIT, "--quantity", "0", "--price", "-1", *PRICE)
    assert result.exit_code == 1
    assert "quantity 0, price -1" in result.stdout
    assert result.stdout.count("           must be above 0\n") == 2


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("text", ["ten", "", "nan", "inf", "1,5", "1e99", "0x10"])
def test_check_order_number_that_is_none_is_one_message(velas, name, text):
    result = velas(*LIMIT, "--quantity", "1", name, text)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.count("velas: error:") == 1
    assert f"'{name}': {text!r} cannot be used; it takes a number" in result.stderr


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--side", "hold"), "'hold' is not one of 'buy', 'sell'"),
        (("--position-side", "up"), "'up' is not one of 'both', 'long', 'short'"),
        (("--type", ""), "type '': expected text that is not empty"),
        (("--client-id", ""), "client_id '': expected text"),
        (("--time-in-force", ""), "time_in_force '': expected text"),
        (("--trailing-delta", "1.5"), "'1.5' cannot be used; it takes a whole number"),
        (("--reference-price", "0"), "'0' cannot be used; it takes a number above 0"),
        (("--reference-price", "-3"), "'-3' cannot be used; it takes a number above 0"),
        (("surplus",), "surplus"),
    ],
)
def test_check_order_option_that_cannot_be_is_one_message(velas, args, words):
    result = velas(*LEGAL, *args)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.count("velas: error:") == 1
    assert words in result.stderr


@pytest.mark.parametrize("left_out", ["BTCUSDT", "--side", "--type"])
def test_check_order_without_what_it_needs_says_what(velas, left_out):
    args = list(LEGAL)
    at = args.index(left_out)
    del args[at : at + (2 if left_out.startswith("-") else 1)]
    result = velas(*args)
    assert result.exit_code == 2
    assert f"Missing {'option' if left_out.startswith('-') else 'argument'}" in result.stderr


def test_check_order_without_any_quantity_says_which_option_is_needed(velas):
    result = velas(*LIMIT, "--price", "1")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--quantity is needed, unless --quote-quantity or --close-position" in result.stderr


def test_check_order_unknown_symbol_is_usage_and_names_similar_ones(velas, spot):
    result = velas("check-order", "BTCUSDX", *LEGAL[2:])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "no market 'BTCUSDX'; similar:" in result.stderr


def test_check_order_unknown_type_is_judged_like_any_rule(velas, spot):
    result = velas("check-order", "BTCUSDT", "--side", "buy", "--type", "wish", "--quantity", "1")
    assert result.exit_code == 1
    assert "FAIL       ORDER_TYPE type wish" in result.stdout


def test_check_order_of_a_market_that_does_not_trade_is_refused(velas, spot):
    spot.change_symbol("BTCUSDT", status="BREAK")
    result = velas("--json", *LEGAL)
    assert result.exit_code == 1, result.output
    assert [one["filter"] for one in json.loads(result.stdout)["violations"]] == ["STATUS"]


def test_check_order_venue_not_reachable_is_three(velas, monkeypatch):
    monkeypatch.setenv("REST_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WS_URL", "ws://127.0.0.1:9")
    Path("once.yaml").write_text("limits: {retry_attempts: 1}\n")
    result = velas("--config", "once.yaml", *LEGAL)
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr.count("velas: error:") == 1


class Teller:
    """The fake venue with prices, or a reason why there are none."""

    def __init__(self, venue, answer: MarketState | Exception) -> None:
        self.venue, self.answer, self.name = venue, answer, "binance_spot"

    def __getattr__(self, name: str) -> object:
        return getattr(self.venue, name)

    async def __aenter__(self) -> Teller:
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def market(self, symbol: str) -> Market:
        found = await self.venue.market(symbol)
        steps = {"price": Decimal("0.01"), "amount": Decimal("0.001")}
        return attrs.evolve(found, precision=steps)

    async def market_state(self, symbol: str) -> MarketState:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_check_order_venue_that_refuses_its_prices_leaves_rules_unjudged(velas, venue, monkeypatch):
    teller = Teller(venue, BadRequest("no price of a market that rests"))
    monkeypatch.setattr("velas.registry.open_exchange", lambda settings, *, ledger=None: teller)
    result = velas("--json", *LEGAL)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["reference"]["source"] is None
    assert "gives no prices that rules refer to (no price of a market that rests)" in result.stderr


def test_check_order_venue_lost_while_asked_for_prices_is_three(velas, venue, monkeypatch):
    teller = Teller(venue, Unavailable("gone"))
    monkeypatch.setattr("velas.registry.open_exchange", lambda settings, *, ledger=None: teller)
    assert velas(*LEGAL).exit_code == 3


def test_check_order_plays_a_recording_and_leaves_prices_unjudged(velas):
    settings = {
        "exchange": "replay",
        "replay": {
            "recording": str(ROOT / "cassettes/binance_spot/tour.yaml"),
            "exchange": "binance_spot",
        },
    }
    Path("replay.yaml").write_text(json.dumps(settings))
    result = velas("--config", "replay.yaml", "--json", *LEGAL)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["reference"]["source"] is None
    assert judged(found, "PERCENT_PRICE_BY_SIDE") == [None]
    assert "--reference-price gives one" in result.stderr
    again = json.loads(velas("--config", "replay.yaml", "--json", *LEGAL, *PRICE).stdout)
    assert judged(again, "PERCENT_PRICE_BY_SIDE") == [True]


@pytest.mark.parametrize("width", [24, 40, 80, 100, 120, 200])
def test_check_order_in_any_width_cuts_nothing_off(velas, spot, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    result = velas(*BAD, *PRICE)
    assert max(map(len, result.stdout.splitlines())) <= width
    assert "…" not in result.stdout
    together = "".join(result.stdout.split())
    assert "quantity0.00012345,price40000.123,client_idnospaces" in together
    for word in ("PERCENT_PRICE_BY_SIDE", "open_orders", "0.00013", "40000.12"):
        assert word in together
    assert result.stdout.splitlines()[-1].endswith("broken")


def test_check_order_with_room_is_a_table_with_the_rules_beside(velas, spot, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    lines = velas(*CURABLE, *PRICE).stdout.splitlines()
    assert lines[3].split("  ")[-1].strip().endswith("what the rule says")
    (row,) = [line for line in lines if line.startswith("FAIL") and "PRICE_FILTER" in line]
    assert row.split()[:5] == ["FAIL", "PRICE_FILTER", "price", "40000.123", "40000.12"]
    assert row.endswith("must be a multiple of 0.01")


def test_check_order_too_small_shows_the_nearest_that_is_large_enough(velas, spot):
    order = (*LIMIT, "--quantity", "0.0001", "--price", "40000")
    result = velas(*order)
    assert result.exit_code == 1
    text = " ".join(result.stdout.split())
    assert "no legal order near it: at price 40000 the smallest legal quantity" in text
    assert "nearest legal order of a larger quantity or a worse price: buy limit" in text
    found = json.loads(velas("--json", *order).stdout)
    assert found["nearest"] is None
    assert found["nearest_beyond_policy"]["quantity"] == "0.00013"
    assert found["nearest_beyond_policy"]["price"] == "40000"
