"""Adapters by name: found, missing, broken, and built from settings."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from fakes import FakeExchange

import velas
from velas import registry
from velas.config import Settings, load_settings
from velas.errors import BrokenAdapter, ConfigError, MissingDependency, UnknownAdapter
from velas.testing import ManualClock

Install = Callable[..., None]


class Recorder:
    """An adapter that remembers what it was built with."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        self.args, self.kwargs = args, kwargs

    @classmethod
    def from_settings(cls, settings: Settings, **kwargs: object) -> Recorder:
        return cls(settings, **kwargs)


class Generic:
    """A catalog's factory: no class, but it has the method."""

    def __init__(self, venue: str) -> None:
        self.venue = venue

    def from_settings(self, settings: Settings, **kwargs: object) -> Recorder:
        return Recorder(self.venue, settings, **kwargs)


def catalog() -> dict[str, Generic]:
    return {name: Generic(name) for name in ("kraken", "bybit", "spot")}


def failing_catalog() -> None:
    raise RuntimeError("no list today")


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install entry points for one test: ``install("velas.feeds", "name", "module:attr")``."""
    entries: list[EntryPoint] = []

    def entry_points(*, group: str) -> list[EntryPoint]:
        return [entry for entry in entries if entry.group == group]

    def add(group: str, name: str, value: str) -> None:
        entries.append(EntryPoint(name, value, group))

    module: Any = ModuleType("pretend_adapter")
    module.Recorder, module.catalog, module.failing = Recorder, catalog, failing_catalog
    module.number = 5
    module.listing = lambda: ["kraken"]
    monkeypatch.setitem(sys.modules, "pretend_adapter", module)
    monkeypatch.setattr(registry, "entry_points", entry_points)
    return add


def broken_module(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    (folder / "velas_pretend_broken.py").write_text(text)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "velas_pretend_broken", raising=False)


# --- known and load


def test_known_names_are_sorted_and_nothing_is_loaded(install: Install) -> None:
    for name in ("b", "a", "a"):
        install("velas.exchanges", name, "not_installed_at_all:X")
    install("velas.exchange_catalogs", "c", "not_installed_at_all:X")
    assert registry.known("exchanges") == ("a", "b")
    assert registry.known("feeds") == ()


def test_load_registered_name_is_its_class(install: Install) -> None:
    install("velas.stores", "x", "pretend_adapter:Recorder")
    assert registry.load("stores", "x") is Recorder


def test_load_unknown_name_lists_the_known_and_the_nearest(install: Install) -> None:
    install("velas.exchanges", "binance_spot", "m:X")
    install("velas.exchanges", "replay", "m:X")
    with pytest.raises(UnknownAdapter) as caught:
        registry.load("exchanges", "Binance_Spto")
    assert str(caught.value) == (
        "no exchange 'Binance_Spto' (did you mean 'binance_spot'?); "
        "installed are: binance_spot, replay"
    )


def test_load_unknown_name_where_nothing_is_installed_says_none(install: Install) -> None:
    with pytest.raises(UnknownAdapter, match="no feed 'x'; installed are: none"):
        registry.load("feeds", "x")


def test_load_missing_dependency_names_the_package(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken_module(tmp_path, monkeypatch, "import surely_not_installed.part")
    install("velas.feeds", "x", "velas_pretend_broken:X")
    with pytest.raises(
        MissingDependency, match="feed 'x' needs the package 'surely_not_installed'"
    ):
        registry.load("feeds", "x")


def test_load_missing_dependency_of_an_extra_names_the_extra(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken_module(tmp_path, monkeypatch, "import surely_not_installed")
    install("velas.feeds", "x", "velas_pretend_broken:X [backtrader]")
    with pytest.raises(MissingDependency, match=r"pip install 'velas\[backtrader\]'"):
        registry.load("feeds", "x")


def test_load_adapter_whose_own_package_is_gone_is_broken(install: Install) -> None:
    install("velas.feeds", "x", "not_installed_at_all:X")
    with pytest.raises(
        BrokenAdapter, match=r"feed 'x' \(not_installed_at_all:X\) is installed but"
    ):
        registry.load("feeds", "x")


@pytest.mark.parametrize("text", ["1 / 0", "", "def (", "import velas.no_such_name_x as X; X"])
def test_load_broken_adapter_is_named_with_its_cause(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    broken_module(tmp_path, monkeypatch, text)
    install("velas.feeds", "x", "velas_pretend_broken:X")
    with pytest.raises((BrokenAdapter, MissingDependency), match="feed 'x'") as caught:
        registry.load("feeds", "x")
    assert caught.value.__cause__ is not None


# --- catalogs


def test_load_own_entry_goes_before_a_catalog(install: Install) -> None:
    install("velas.exchanges", "kraken", "pretend_adapter:Recorder")
    install("velas.exchange_catalogs", "bad", "pretend_adapter:failing")
    assert registry.load("exchanges", "kraken") is Recorder


def test_load_name_of_a_catalog_is_its_factory(install: Install) -> None:
    install("velas.exchange_catalogs", "all", "pretend_adapter:catalog")
    assert registry.load("exchanges", "kraken").venue == "kraken"


@pytest.mark.parametrize("kind", ["feeds", "stores"])
def test_load_catalog_is_for_its_own_kind_only(install: Install, kind: registry.Kind) -> None:
    install("velas.exchange_catalogs", "all", "pretend_adapter:catalog")
    with pytest.raises(UnknownAdapter):
        registry.load(kind, "kraken")


def test_load_feed_of_a_catalog_is_its_factory(install: Install) -> None:
    install("velas.feed_catalogs", "all", "pretend_adapter:catalog")
    assert registry.load("feeds", "kraken").venue == "kraken"
    with pytest.raises(UnknownAdapter):
        registry.load("exchanges", "kraken")


def test_load_feed_registered_by_itself_goes_before_a_catalog(install: Install) -> None:
    install("velas.feeds", "kraken", "pretend_adapter:Recorder")
    install("velas.feed_catalogs", "bad", "pretend_adapter:failing")
    assert registry.load("feeds", "kraken") is Recorder


def test_load_unknown_name_finds_near_ones_in_catalogs_too(install: Install) -> None:
    install("velas.exchanges", "binance_spot", "m:X")
    install("velas.exchange_catalogs", "all", "pretend_adapter:catalog")
    with pytest.raises(UnknownAdapter) as caught:
        registry.load("exchanges", "krakn")
    assert "did you mean 'kraken'?" in str(caught.value)
    assert "installed are: binance_spot, and 3 generic venues" in str(caught.value)


def test_load_broken_catalog_does_not_hide_a_working_one(
    install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    install("velas.exchange_catalogs", "bad", "pretend_adapter:failing")
    install("velas.exchange_catalogs", "good", "pretend_adapter:catalog")
    with caplog.at_level(logging.WARNING):
        assert registry.load("exchanges", "bybit").venue == "bybit"
    assert "no list today" in caplog.text


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("pretend_adapter:failing", "no list today"),
        ("pretend_adapter:number", "not callable"),
        ("pretend_adapter:listing", "returned list, no mapping"),
        ("not_installed_at_all:catalog", "does not load"),
    ],
)
def test_load_broken_catalog_is_reported_when_the_name_is_nowhere_else(
    install: Install, value: str, said: str
) -> None:
    install("velas.exchange_catalogs", "good", "pretend_adapter:catalog")
    install("velas.exchange_catalogs", "bad", value)
    with pytest.raises(BrokenAdapter, match="exchange catalog 'bad'") as caught:
        registry.load("exchanges", "okx")
    assert said in str(caught.value)


def test_catalogs_are_listed_by_name(install: Install) -> None:
    install("velas.exchange_catalogs", "all", "pretend_adapter:catalog")
    assert list(registry.catalogs()["all"]) == ["kraken", "bybit", "spot"]


def test_catalogs_broken_one_is_reported(install: Install) -> None:
    install("velas.exchange_catalogs", "bad", "pretend_adapter:failing")
    with pytest.raises(BrokenAdapter, match="no list today"):
        registry.catalogs()


def test_catalogs_of_feeds_are_their_own(install: Install) -> None:
    install("velas.exchange_catalogs", "all", "not_installed_at_all:X")
    install("velas.feed_catalogs", "live", "pretend_adapter:catalog")
    assert list(registry.catalogs("feeds")) == ["live"]
    assert registry.catalogs("stores") == {}


# --- open_*


def test_open_exchange_builds_from_settings(install: Install) -> None:
    install("velas.exchanges", "here", "pretend_adapter:Recorder")
    settings = load_settings(environ={}, exchange="here")
    opened: Any = velas.open_exchange(settings)
    assert (opened.args, opened.kwargs) == ((settings,), {"ledger": None})


def test_open_exchange_hands_on_ledger_and_clock(install: Install) -> None:
    install("velas.exchange_catalogs", "all", "pretend_adapter:catalog")
    ledger, clock = object(), object()
    opened: Any = velas.open_exchange(
        load_settings(environ={}, exchange="kraken"),
        ledger=ledger,  # type: ignore[arg-type]
        clock=clock,  # type: ignore[arg-type]
    )
    assert opened.args[0] == "kraken"
    assert opened.kwargs == {"ledger": ledger, "clock": clock}


def test_open_exchange_by_name_loads_the_settings(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("velas.exchanges", "here", "pretend_adapter:Recorder")
    monkeypatch.setenv("EXCHANGE", "elsewhere")
    monkeypatch.setenv("DATA_DIR", "d")
    opened: Any = velas.open_exchange("here")
    assert (opened.args[0].exchange, opened.args[0].data_dir) == ("here", Path("d"))


def test_open_exchange_adapter_without_factory_is_broken(install: Install) -> None:
    install("velas.exchanges", "here", "pretend_adapter:number")
    with pytest.raises(BrokenAdapter, match=r"exchange 'here' is installed but 5 has no from_sett"):
        velas.open_exchange(load_settings(environ={}, exchange="here"))


def test_open_feed_is_given_the_exchange(install: Install) -> None:
    install("velas.feeds", "binance_spot", "pretend_adapter:Recorder")
    exchange: Any = object()
    opened: Any = velas.open_feed(Settings(), exchange)
    assert (opened.args, opened.kwargs) == ((Settings(),), {"exchange": exchange})


def test_open_feed_none_installed_says_so(install: Install) -> None:
    exchange: Any = object()
    with pytest.raises(UnknownAdapter, match="no feed 'binance_spot'; installed are: none"):
        velas.open_feed(Settings(), exchange)


def test_open_feed_of_a_catalog_hands_on_the_clock(install: Install) -> None:
    install("velas.feed_catalogs", "all", "pretend_adapter:catalog")
    exchange: Any = object()
    clock: Any = object()
    settings = load_settings(environ={}, exchange="kraken")
    opened: Any = velas.open_feed(settings, exchange, clock=clock)
    assert opened.args[0] == "kraken"
    assert opened.kwargs == {"exchange": exchange, "clock": clock}


@pytest.mark.parametrize("group", ["velas.exchanges", "velas.exchange_catalogs"])
def test_open_feed_of_an_exchange_without_one_polls_it_and_says_so(
    install: Install, caplog: pytest.LogCaptureFixture, group: str
) -> None:
    catalogued = group.endswith("catalogs")
    install(group, "kraken", "pretend_adapter:" + ("catalog" if catalogued else "Recorder"))
    clock = ManualClock()
    exchange: Any = FakeExchange({}, name="kraken")
    settings = load_settings(environ={}, exchange="kraken")
    with caplog.at_level(logging.INFO, "velas.registry"):
        feed = velas.open_feed(settings, exchange, clock=clock)
    assert isinstance(feed, velas.PollingFeed)
    assert (feed.exchange, feed.clock) == (exchange, clock)
    assert "kraken: no socket feed is installed for it, so it is asked by REST" in caplog.text


def test_open_feed_that_is_broken_is_not_replaced_by_polling(install: Install) -> None:
    install("velas.exchanges", "kraken", "pretend_adapter:Recorder")
    install("velas.feed_catalogs", "bad", "pretend_adapter:failing")
    exchange: Any = object()
    with pytest.raises(BrokenAdapter, match=r"feed catalog 'bad'.*no list today"):
        velas.open_feed(load_settings(environ={}, exchange="kraken"), exchange)


def test_open_stream_is_over_the_feed_the_store_and_the_settings(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("velas.feeds", "here", "pretend_adapter:Recorder")
    monkeypatch.setattr("velas.stream.Stream", Recorder)
    exchange: Any = object()
    store: Any = object()
    clock: Any = object()
    settings = load_settings(environ={}, exchange="here", stream={"queue_size": 7})
    stream: Any = velas.open_stream(settings, exchange, store, clock=clock)
    opened, feed, kept = stream.args
    assert (opened, kept, feed.kwargs["clock"]) == (exchange, store, clock)
    expected = {"settings": settings.stream, "clock": clock, "ledger": settings.db_path}
    assert stream.kwargs == expected
    ledger: Any = object()
    stream = velas.open_stream(settings, exchange, store, ledger=ledger)
    assert stream.kwargs["ledger"] is ledger


@pytest.mark.parametrize(("name", "stored"), [(None, "binance_spot"), ("kraken", "kraken")])
def test_open_store_is_given_the_exchanges_name(
    install: Install, name: str | None, stored: str
) -> None:
    install("velas.stores", "parquet", "pretend_adapter:Recorder")
    opened: Any = velas.open_store(Settings(), exchange_name=name)
    assert (opened.args, opened.kwargs) == ((Settings(),), {"exchange": stored})


def test_open_ledger_is_at_db_path(tmp_path: Path) -> None:
    settings = load_settings(environ={}, data_dir=tmp_path / "new")
    with velas.open_ledger(settings) as ledger:
        assert ledger.path == settings.db_path == tmp_path / "new" / "velas.db"


def test_open_stream_of_a_stand_in_without_its_socket_is_refused() -> None:
    settings = load_settings(environ={}, rest={"url": "http://127.0.0.1:9"})
    with pytest.raises(ConfigError, match=r"rest\.url .* ws\.url \(or WS_URL\) is not set"):
        velas.open_stream(settings, FakeExchange({}))  # type: ignore[arg-type]


def test_open_stream_of_a_stand_ins_socket_without_its_requests_is_refused() -> None:
    settings = load_settings(environ={}, ws={"url": "ws://127.0.0.1:9"})
    with pytest.raises(ConfigError, match=r"ws\.url .* rest\.url \(or REST_URL\) is not set"):
        velas.open_stream(settings, FakeExchange({}))  # type: ignore[arg-type]


def test_open_stream_with_one_address_replaced_warns(caplog: pytest.LogCaptureFixture) -> None:
    settings = load_settings(environ={}, rest={"url": "https://mirror.invalid"})
    velas.open_stream(settings, FakeExchange({}))  # type: ignore[arg-type]
    assert "rest.url is set and ws.url is not" in caplog.text
