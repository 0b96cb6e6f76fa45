from __future__ import annotations

import json

import pytest

from velas.errors import BrokenAdapter, MissingDependency


@pytest.fixture
def installed(monkeypatch):
    """What is installed, without loading a whole exchange library."""
    catalogs = {
        "exchanges": {"many": {name: object() for name in ("zaif", "kraken", "okx")}},
        "feeds": {"live": {name: object() for name in ("okx", "binance_spot")}},
    }
    names = {"exchanges": ("binance_spot", "replay"), "feeds": (), "stores": ("parquet",)}
    monkeypatch.setattr("velas.registry.catalogs", lambda kind="exchanges": catalogs[kind])
    monkeypatch.setattr("velas.registry.known", lambda kind: names[kind])


@pytest.fixture(autouse=True)
def _opened(monkeypatch, venue):
    def open_exchange(settings):
        if settings.exchange == "replay":
            raise MissingDependency("exchange 'replay' needs a recording")
        return venue

    monkeypatch.setattr("velas.registry.open_exchange", open_exchange)


def test_exchanges_lists_what_venues_can_do(velas, installed):
    result = velas("exchanges")
    assert result.exit_code == 0
    assert "1h 2h 1d" in result.stdout
    assert "replay: exchange 'replay' needs a recording" in result.stdout
    assert "3 more venues through many" in result.stdout
    assert "kraken, okx, zaif" in result.stdout
    assert "feeds: none installed\nstores: parquet" in result.stdout


def test_exchanges_json_has_capabilities_or_the_error(velas, installed):
    found = json.loads(velas("exchanges", "--json").stdout)
    spot, replay = found["exchanges"]
    assert spot["capabilities"]["page_rows"] == 10
    assert spot["error"] is None
    assert replay["capabilities"] is None
    assert found["catalogs"] == {"many": ["kraken", "okx", "zaif"]}
    assert found["stores"] == ["parquet"]


def test_exchanges_named_one_of_a_catalog_is_shown_as_well(velas, installed):
    found = json.loads(velas("--exchange", "kraken", "exchanges", "--json").stdout)
    assert [one["name"] for one in found["exchanges"]] == ["binance_spot", "replay", "kraken"]


def test_exchanges_says_which_venues_have_a_socket_and_which_are_polled(velas, installed):
    text = velas("exchanges").stdout
    rows = {line.split()[0]: line.split() for line in text.splitlines() if line.strip()}
    assert "socket" in rows["binance_spot"]
    assert "polling" in rows["replay"]
    assert "1 of them have a socket feed, the others are polled:\n  okx\n" in text


def test_exchanges_json_has_the_kind_of_feed(velas, installed):
    found = json.loads(velas("exchanges", "--json").stdout)
    assert [one["feed"] for one in found["exchanges"]] == ["socket", "polling"]
    assert found["feed_catalogs"] == {"live": ["binance_spot", "okx"]}


def test_exchanges_with_a_broken_catalog_of_feeds_still_lists_and_names_it(
    velas, installed, monkeypatch
):
    def catalogs(kind="exchanges"):
        if kind == "feeds":
            raise BrokenAdapter("feed catalog 'live' is broken")
        return {}

    monkeypatch.setattr("velas.registry.catalogs", catalogs)
    result = velas("exchanges", "--json")
    assert result.exit_code == 0
    assert [one["feed"] for one in json.loads(result.stdout)["exchanges"]] == [None, None]
    assert result.stderr == "velas: feed catalog 'live' is broken\n"


def test_exchanges_with_an_address_of_a_stand_in_warns_of_nothing(velas, monkeypatch, caplog):
    monkeypatch.setenv("REST_URL", "http://127.0.0.1:9")
    assert velas("exchanges").exit_code == 0
    assert caplog.records == []
