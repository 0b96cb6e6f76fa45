from __future__ import annotations

import json

import pytest

from velas.errors import MissingDependency


@pytest.fixture
def installed(monkeypatch):
    """What is installed, without loading a whole exchange library."""
    catalogs = {"many": {name: object() for name in ("zaif", "kraken", "okx")}}
    names = {"exchanges": ("binance_spot", "replay"), "feeds": (), "stores": ("parquet",)}
    monkeypatch.setattr("velas.registry.catalogs", lambda: catalogs)
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
