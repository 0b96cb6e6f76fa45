"""Secrets planted everywhere: nothing that fails, prints or serialises shows one."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import pprint
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import cattrs
import pytest
from configured import SECRET, Write, private_writer, revealed, writer

from velas import credentials as module
from velas.config import Credentials, Secret, Settings, describe, load_settings
from velas.errors import ConfigError


@pytest.fixture
def write(tmp_path: Path) -> Write:
    return writer(tmp_path)


@pytest.fixture
def private(tmp_path: Path) -> Write:
    return private_writer(tmp_path)


def chain(error: BaseException) -> Iterator[BaseException]:
    yield error
    for other in (error.__cause__, error.__context__):
        if other is not None:
            yield from chain(other)


def everything(error: BaseException) -> str:
    """Return all that a logger or a crash report could tell of an error of the loader."""
    told = [*traceback.format_exception(error)]
    for one in chain(error):
        told += [repr(one), repr(one.args), repr(vars(one))]
        for frame, _ in traceback.walk_tb(one.__traceback__):
            if frame.f_code.co_filename != __file__:
                told += [repr(value) for value in frame.f_locals.values()]
    return "\n".join(told)


LEAKS: list[Callable[[Write, Write, pytest.MonkeyPatch], object]] = [
    # the environment: unusable keys, and a good one beside another error
    lambda _w, _p, m: m.setenv("BINANCE_API_KEY", f"{SECRET}\u00e9"),
    lambda _w, _p, m: m.setenv("BINANCE_API_SECRET", f"{SECRET} {SECRET}"),
    lambda _w, _p, m: (m.setenv("BINANCE_API_KEY", SECRET), m.setenv("EXCHANGE", "A B")),
    lambda _w, _p, m: (m.setenv("BINANCE_API_KEY", SECRET), m.setenv("VELAS_CONFIG", "/nowhere")),
    lambda _w, _p, m: m.setenv("REST_URL", f"http://user:{SECRET}@host"),
    lambda _w, _p, m: m.setenv("WS_URL", f"wss://host/?listenKey={SECRET}"),
    # the private file
    lambda _w, p, m: m.setenv("VELAS_CREDENTIALS", str(p(f"BINANCE_API_KEY={SECRET}", 0o644))),
    lambda _w, p, m: m.setenv("VELAS_CREDENTIALS", str(p(f"{SECRET}"))),
    lambda _w, p, m: m.setenv("VELAS_CREDENTIALS", str(p(f"{SECRET}=".encode() + b"\xff"))),
    lambda _w, p, m: m.setenv("VELAS_CREDENTIALS", str(p(f"X_API_KEY={SECRET}\n" * 9999))),
    # the wrong file
    lambda w, _p, m: m.setenv("VELAS_CONFIG", str(w(f"api_secret: {SECRET}"))),
    lambda w, _p, m: m.setenv("VELAS_CONFIG", str(w(f"kraken: {{api_key: {SECRET}}}"))),
    lambda w, _p, m: m.setenv("VELAS_CONFIG", str(w(f"trading: {{password: {SECRET}}}"))),
    lambda w, _p, m: m.setenv("VELAS_CONFIG", str(w(f"credentials: {{api_key: {SECRET}}}"))),
    lambda w, _p, m: m.setenv("VELAS_CONFIG", str(w(f"X_API_KEY={SECRET}\n"))),
    lambda w, _p, m: m.setenv("VELAS_CONFIG", str(w(f"X_API_KEY={SECRET}: \n"))),
    lambda w, _p, m: m.setenv("VELAS_CONFIG", str(w(f"api_key: '{SECRET}"))),
    lambda w, _p, m: m.setenv("VELAS_CONFIG", str(w(f"api_key: *{SECRET}"))),
    lambda w, _p, m: m.setenv("VELAS_CONFIG", str(w(f"api_key: !{SECRET} x"))),
    lambda w, _p, m: m.setenv("VELAS_CONFIG", str(w(f"api_key: {SECRET}".encode() + b"\xff"))),
    lambda w, _p, m: m.setenv("VELAS_CONFIG", str(w(f"rest: {{url: 'http://u:{SECRET}@h'}}"))),
]
NUMBERED = pytest.mark.parametrize("plant", LEAKS, ids=range(len(LEAKS)))


@NUMBERED
def test_load_settings_no_error_shows_a_secret_even_with_its_locals(
    write: Write,
    private: Write,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    plant: Callable[..., object],
) -> None:
    caplog.set_level(logging.DEBUG)
    plant(write, private, monkeypatch)
    with pytest.raises(ConfigError) as caught:
        load_settings()
    out = capfd.readouterr()
    assert SECRET not in everything(caught.value) + caplog.text + out.out + out.err


@pytest.mark.parametrize(
    "name", ["api_key", "api_secret", "password", "api_sekret", "credentials", "rest"]
)
def test_load_settings_no_error_shows_an_argument(name: str) -> None:
    bad = {"rest": {"url": f"http://u:{SECRET}@h"}}.get(name, f"{SECRET}\u00e9")
    with pytest.raises(ConfigError) as caught:
        load_settings(environ={}, **{name: bad})
    assert SECRET not in everything(caught.value)


@pytest.mark.parametrize("value", [f"{SECRET} x", f"{SECRET}\u00e9", [SECRET], ""])
def test_credentials_made_by_hand_of_what_cannot_be_one_do_not_show_it(value: object) -> None:
    with pytest.raises(ConfigError) as caught:
        Credentials(api_key=value)  # type: ignore[arg-type]
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        pprint.pformat,
        lambda s: repr(attrs.asdict(s)),
        lambda s: json.dumps(attrs.asdict(s), default=str),
        lambda s: repr(cattrs.unstructure(s)),
        lambda s: repr(copy.deepcopy(s)),
        lambda s: json.dumps(describe(s)),
        lambda s: repr(s.sources),
        lambda s: f"{s.credentials} {s.credentials.api_key:s} {s.credentials.password!r:>9}",
        lambda s: repr(Credentials(api_key=SECRET)),
    ],
)
def test_settings_do_not_show_what_a_file_gave(
    private: Write, show: Callable[[Settings], str]
) -> None:
    path = private("".join(f"KRAKEN_{name}={SECRET}\n" for name in module._SUFFIXES.values()))
    settings = load_settings(
        environ={}, exchange="kraken", trading={"credentials_file": path, "mode": "live"}
    )
    assert revealed(settings) == (SECRET,) * 3
    assert SECRET not in show(settings)


@pytest.mark.parametrize(
    "show", [pickle.dumps, json.dumps, lambda s: s.__getstate__(), lambda s: s.__reduce_ex__(4)]
)
def test_secret_gives_its_state_to_no_serialiser(show: Callable[[object], object]) -> None:
    with pytest.raises(TypeError) as caught:
        show(Secret(SECRET))
    assert SECRET not in str(caught.value)
