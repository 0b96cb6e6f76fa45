"""Symbol spelling and the folder names made of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from velas.errors import ConfigError
from velas.symbols import near_matches, series_key, spellings


@pytest.mark.parametrize(
    ("symbol", "key"),
    [
        ("BTCUSDT", "BTCUSDT"),
        ("BTC/USDT", "BTCUSDT"),
        ("BTC/USDT:USDT", "BTCUSDT"),
        ("BTC/USDT:USDT-261225", "BTCUSDT_261225"),
        ("BTCUSDT_261225", "BTCUSDT_261225"),
        ("BTC/USD:BTC", "BTCUSD_BTC"),
        ("BTC/USD:BTC-261225", "BTCUSD_BTC_261225"),
        ("BTC/USDT:USDT-261225-50000-C", "BTCUSDT_261225-50000-C"),
        ("1000PEPE/USDT", "1000PEPEUSDT"),
        ("BTC-USDT-SWAP", "BTC-USDT-SWAP"),
        ("币安人生USDT", "币安人生USDT"),
        ("币安人生/USDT:USDT", "币安人生USDT"),
        ("$PAC/USDT", "$PACUSDT"),
        ("BTC.D/USDT", "BTC.DUSDT"),
        ("A" * 128, "A" * 128),
    ],
)
def test_series_key_spelling_gives_the_folder(symbol: str, key: str) -> None:
    assert series_key(symbol) == key


REFUSED = [
    "",
    ".",
    "..",
    "...",
    "/",
    "//",
    "\\",
    ":",
    "../x",
    "..\\x",
    "x/../y",
    "../../etc/passwd",
    "/etc/passwd",
    "C:",
    "C:/x",
    "C:\\x",
    "a\x00b",
    "a/b\x00",
    "a b",
    "a\n",
    "a\tb",
    "a\u00a0b",
    "a\u202eb",
    "a\u200bb",
    "a\ud800",
    ".hidden",
    "x.",
    "a..b",
    "./..",
    "BTC/",
    "/USDT",
    "BTC:USDT",
    "BTC/USDT:",
    "BTC/USDT:-261225",
    "BTC/USDT:USDT-",
    "BTC/USDT/X",
    "BTC/USDT:US/DT",
    "BTC/USDT:USDT:X",
    "*",
    "a?",
    "<a>",
    'a"b',
    "a|b",
    "CON",
    "nul",
    "com1",
    "A" * 129,
    "币" * 43,
]


@pytest.mark.parametrize("symbol", REFUSED)
def test_series_key_path_trick_is_refused(symbol: str) -> None:
    with pytest.raises(ConfigError, match="cannot name a series"):
        series_key(symbol)


@pytest.mark.parametrize("symbol", [None, 5, b"BTC", ["BTC"]])
def test_series_key_no_text_is_refused(symbol: object) -> None:
    with pytest.raises(ConfigError, match="expected text such as 'BTC/USDT'"):
        series_key(symbol)  # type: ignore[arg-type]


def test_series_key_long_symbol_is_shown_short() -> None:
    with pytest.raises(ConfigError) as caught:
        series_key("A" * 100_000)
    assert len(str(caught.value)) < 400


@given(st.text(max_size=40) | st.text(alphabet="./\\:-_A\x00 ", max_size=12))
def test_series_key_never_leaves_its_folder(symbol: str) -> None:
    try:
        key = series_key(symbol)
    except ConfigError:
        return
    root = Path("/data/candles")
    assert (root / key).resolve().parent == root
    assert len(key.encode()) <= 128
    assert key.isprintable()


@given(st.from_regex(r"[A-Z0-9]{1,10}/[A-Z]{3,5}", fullmatch=True))
def test_series_key_is_the_same_for_all_spellings_and_for_itself(symbol: str) -> None:
    key = series_key(symbol)
    if key.upper() in ("CON", "PRN", "AUX", "NUL"):
        return
    quote = symbol.partition("/")[2]
    assert key == series_key(f"{symbol}:{quote}") == series_key(key)


@pytest.mark.parametrize(
    ("symbol", "linear_settle", "expected"),
    [
        ("BTC/USDT", False, ("BTC/USDT",)),
        ("BTC/USDT", True, ("BTC/USDT:USDT", "BTC/USDT")),
        ("BTC/USDT:USDT", True, ("BTC/USDT:USDT",)),
        ("BTCUSDT", True, ("BTCUSDT",)),
    ],
)
def test_spellings_name_the_perpetual_on_a_derivatives_venue(
    symbol: str, linear_settle: bool, expected: tuple[str, ...]
) -> None:
    assert spellings(symbol, linear_settle=linear_settle) == expected


KNOWN = ("BTC/USDT", "BTC/USDC", "ETH/USDT", "XBT/USD", "币安人生/USDT", "DOGE/USDT:USDT")


@pytest.mark.parametrize(
    ("symbol", "best"),
    [
        ("BTCUSTD", "BTC/USDT"),
        ("btc-usdt", "BTC/USDT"),
        ("ETHUSD", "ETH/USDT"),
        ("币安人USDT", "币安人生/USDT"),
        ("DOGEUSDT", "DOGE/USDT:USDT"),
    ],
)
def test_near_matches_best_comes_first(symbol: str, best: str) -> None:
    assert near_matches(symbol, KNOWN)[0] == best


def test_near_matches_same_letters_are_all_named() -> None:
    assert near_matches("BTCUSDT", ("BTC/USDT", "BTC-USDT")) == ("BTC/USDT", "BTC-USDT")


def test_near_matches_are_at_most_so_many() -> None:
    known = [f"BTC{n}/USDT" for n in range(50)]
    assert len(near_matches("BTCUSDT", known, most=3)) == 3


@pytest.mark.parametrize("symbol", ["", "///", "zzzzzzzz", "Q" * 100_000])
def test_near_matches_nothing_similar_is_empty(symbol: str) -> None:
    assert near_matches(symbol, KNOWN) == ()
