"""Stream names, routes, chunks, addresses."""

from __future__ import annotations

from urllib.parse import unquote

from hypothesis import given
from hypothesis import strategies as st

from velas.models import Subscription
from velas_cryptofeed._streams import chunks, replace_host, stream_name

HOST = "wss://stream.binance.com:9443"
ROUTES = {"candles": "market", "trades": "market", "book_ticker": "public"}
IDS = {f"COIN{number}/USDT": f"COIN{number}USDT" for number in range(700)}


def test_stream_name_is_lower_case_but_for_the_interval_and_the_kind() -> None:
    names = [
        stream_name(Subscription("candles", "BTC/USDT", "1M"), "BTCUSDT"),
        stream_name(Subscription("trades", "BTC/USDT"), "BTCUSDT"),
        stream_name(Subscription("book_ticker", "BTC/USDT"), "BTCUSDT_261225"),
    ]
    assert names == ["btcusdt@kline_1M", "btcusdt@aggTrade", "btcusdt_261225@bookTicker"]


def test_chunks_symbol_beyond_ascii_is_percent_encoded() -> None:
    (chunk,) = chunks([Subscription("trades", "币安/USDT")], {"币安/USDT": "币安USDT"}, host=HOST)
    assert chunk.address == f"{HOST}/stream?streams=%E5%B8%81%E5%AE%89usdt@aggTrade"


def test_chunks_routes_are_apart_and_keep_their_names() -> None:
    wanted = [
        Subscription("book_ticker", "COIN1/USDT"),
        Subscription("candles", "COIN1/USDT", "1m"),
        Subscription("trades", "COIN2/USDT"),
    ]
    found = chunks(wanted, IDS, host=HOST, routes=ROUTES)
    assert [chunk.name for chunk in found] == ["public-0", "market-0"]
    assert found[1].address == (
        f"{HOST}/market/stream?streams=coin1usdt@kline_1m/coin2usdt@aggTrade"
    )


@given(
    st.lists(st.sampled_from(sorted(IDS)), unique=True, min_size=1, max_size=600),
    st.integers(1, 1000),
)
def test_chunks_every_stream_is_carried_once_within_the_limits(
    symbols: list[str], most: int
) -> None:
    wanted = [Subscription("candles", symbol, "15m") for symbol in symbols]
    found = chunks(wanted, IDS, host=HOST, most=most)
    assert [one for chunk in found for one in chunk.carries] == wanted
    named = [name for c in found for name in unquote(c.address).split("streams=")[1].split("/")]
    assert named == [stream_name(one, IDS[one.symbol]) for one in wanted]
    assert all(len(chunk.address) < 7_500 for chunk in found)
    assert all(len(chunk.carries) <= most for chunk in found)
    assert [chunk.name for chunk in found] == [f"stream-{n}" for n in range(len(found))]


def test_replace_host_keeps_the_path() -> None:
    address = "wss://ws.okx.com:8443/ws/v5/public?x=1"
    assert replace_host(address, "ws://127.0.0.1:9") == "ws://127.0.0.1:9/ws/v5/public?x=1"
    assert replace_host(address, None) == address
    assert replace_host("wss://ws.kraken.com", "ws://127.0.0.1:9/") == "ws://127.0.0.1:9"
