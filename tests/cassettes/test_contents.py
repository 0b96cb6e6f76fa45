"""What lies in the committed recordings, and what never may."""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import yaml

FOLDER = Path(__file__).parents[2] / "cassettes"
FILES = sorted(FOLDER.glob("*/*.yaml"))
TAPES = sorted(FOLDER.glob("*/*.tape"))
HEADERS = re.compile(r"content-type|retry-after|x-mbx-used-weight.*")
PARAMETERS = {
    "symbol", "interval", "limit", "startTime", "endTime", "fromId", "pair", "since",
}  # fmt: skip
SECRETS = {
    "a signature": r"signature|\bhmac\b",
    "a key": r"api-?_?key|mbx-apikey|listen_?key|api-?sign|x-bapi",
    "a secret": r"secret|passphrase|password|bearer |authorization",
    "a cookie": r"cookie",
    "an account": r"makercommission|cantrade|\"balances\"|walletbalance|accountalias",
    "64 hexadecimal digits": r"\b[0-9a-f]{64}\b",
    "a random text as long as a key": r"\b(?=[a-z0-9]*[0-9])(?=[a-z0-9]*[a-z])[a-z0-9]{60,}\b",
    "an address of a machine": r"127\.0\.0\.1|localhost|/home/|file:",
}
everyone = pytest.mark.parametrize(
    "path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}"
)


def found_secrets(text: str) -> list[str]:
    return [what for what, shape in SECRETS.items() if re.search(shape, text, re.IGNORECASE)]


def test_recordings_are_there_and_small() -> None:
    names = {f"{path.parent.name}/{path.name}" for path in FILES}
    assert names >= {
        "binance_spot/tour.yaml",
        "binance_spot/download.yaml",
        "binance_futures/tour.yaml",
        "binance_futures/download.yaml",
        "kraken/tour.yaml",
    }
    assert sum(path.stat().st_size for path in FILES) < 700_000


@everyone
def test_recording_has_nothing_secret(path: Path) -> None:
    assert found_secrets(path.read_text("utf-8")) == []


@everyone
def test_recording_has_only_allowed_parts(path: Path) -> None:
    document: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
    assert set(document) == {"interactions", "metadata", "version"}
    assert set(document["metadata"]) == {"exchange", "recorded_ms", "source"}
    for one in document["interactions"]:
        request, response = one["request"], one["response"]
        assert request["method"] == "GET"
        assert request["headers"] == {}
        assert request["body"] is None
        address = urlsplit(request["uri"])
        assert address.netloc == "recorded.invalid"
        assert {name for name, _ in parse_qsl(address.query)} <= PARAMETERS
        assert set(response) == {"status", "headers", "body"}
        assert all(HEADERS.fullmatch(name) for name in response["headers"]), response["headers"]
        assert response["status"]["code"] == 200


def test_tapes_are_there_and_small() -> None:
    names = {f"{path.parent.name}/{path.name}" for path in TAPES}
    assert names >= {"binance_spot/live.tape", "binance_futures/live.tape"}
    assert sum(path.stat().st_size for path in TAPES) < 150_000


@pytest.mark.parametrize("path", TAPES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_tape_has_nothing_secret(path: Path) -> None:
    assert found_secrets(gzip.decompress(path.read_bytes()).decode()) == []


@pytest.mark.parametrize(
    "planted",
    [
        "X-MBX-APIKEY: 1",
        "https://x.invalid/api/v3/klines?symbol=BTCUSDT&signature=1",
        "set-cookie: session=1",
        "Authorization: Bearer 1",
        "uri: http://127.0.0.1:8000/api/v3/time",
        '{"makerCommission":10,"balances":[]}',
        "0123456789abcdef" * 4,
        "aB3" * 22,
    ],
)
def test_search_for_secrets_finds_a_planted_one(planted: str) -> None:
    assert found_secrets(planted)


def test_readme_names_every_recording() -> None:
    readme = (FOLDER / "README.md").read_text("utf-8")
    assert all(f"{path.parent.name}/{path.name}" in readme for path in [*FILES, *TAPES])
