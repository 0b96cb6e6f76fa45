"""Settings: four layers, secrets that are never shown, the shipped files."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest
from configured import SECRET, Write, refusal, writer

from velas import rules
from velas.config import (
    Credentials,
    History,
    Limits,
    Pair,
    Replay,
    Rest,
    Secret,
    Settings,
    Stream,
    Trading,
    VolatilityRegimes,
    Ws,
    describe,
    load_pairs,
    load_settings,
)
from velas.errors import ConfigError
from velas.yamlfile import read_yaml


@pytest.fixture
def write(tmp_path: Path) -> Write:
    return writer(tmp_path)


# --- layers


def test_load_settings_nothing_given_is_the_defaults() -> None:
    assert load_settings(environ={}) == Settings()


def test_load_settings_file_goes_over_defaults(write: Write) -> None:
    settings = load_settings(write("history: {months: 3}\nexchange: kraken"), environ={})
    assert (settings.exchange, settings.history.months) == ("kraken", 3)
    assert settings.history.intervals == ("30m", "1h", "2h")


def test_load_settings_environment_goes_over_file(write: Write) -> None:
    path = write("exchange: kraken\nrest: {url: 'http://a', timeout_s: 3}\ndata_dir: x")
    environ = {
        "EXCHANGE": "binance_futures",
        "REST_URL": "http://127.0.0.1:8000",
        "WS_URL": "ws://127.0.0.1:8001/",
        "DATA_DIR": "/srv/y",
        "DB_PATH": "/srv/z.db",
    }
    settings = load_settings(path, environ=environ)
    assert settings.exchange == "binance_futures"
    assert settings.rest == Rest(url="http://127.0.0.1:8000", timeout_s=3.0)
    assert settings.ws.url == "ws://127.0.0.1:8001"
    assert (settings.data_dir, settings.db_path) == (Path("/srv/y"), Path("/srv/z.db"))


def test_load_settings_arguments_go_over_environment() -> None:
    settings = load_settings(
        environ={"EXCHANGE": "kraken", "DATA_DIR": "a"},
        exchange="bybit",
        history={"months": 2, "parallel": None},
        data_dir=None,
    )
    assert (settings.exchange, settings.history.months) == ("bybit", 2)
    assert (settings.history.parallel, settings.data_dir) == (8, Path("a"))


def test_load_settings_argument_may_be_a_section() -> None:
    settings = load_settings(environ={}, history=History(months=7))
    assert settings.history == History(months=7)


def test_load_settings_empty_variable_counts_as_not_set() -> None:
    environ = {"EXCHANGE": "", "REST_URL": " ", "BINANCE_API_KEY": "", "VELAS_CONFIG": ""}
    assert load_settings(environ=environ) == Settings()


def test_load_settings_without_environ_reads_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXCHANGE", "kraken")
    assert load_settings().exchange == "kraken"


def test_load_settings_file_from_velas_config(write: Write) -> None:
    path = write("exchange: kraken")
    assert load_settings(environ={"VELAS_CONFIG": str(path)}).exchange == "kraken"


def test_load_settings_explicit_path_goes_over_velas_config(write: Write) -> None:
    path = write("exchange: kraken")
    settings = load_settings(path, environ={"VELAS_CONFIG": "/nowhere.yaml"})
    assert settings.exchange == "kraken"


def test_load_settings_does_not_look_for_files(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("exchange: kraken")
    monkeypatch.chdir(tmp_path)
    assert load_settings(environ={}).exchange == "binance_spot"


def test_load_settings_db_path_follows_data_dir() -> None:
    assert load_settings(environ={}, data_dir="d").db_path == Path("d/velas.db")


@pytest.mark.parametrize("text", ["", "# only a comment\n", "history:\nlimits: {}\n", "---\n"])
def test_load_settings_empty_file_or_section_says_nothing(write: Write, text: str) -> None:
    assert load_settings(write(text), environ={}) == Settings()


def test_load_settings_home_is_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    assert load_settings(environ={}, data_dir="~/c").data_dir == Path("/home/somebody/c")


# --- settings made by a program


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: History(months=0), "History.months: expected a whole number"),
        (lambda: Rest(url="x"), "Rest.url: expected http://"),
        (lambda: Ws(url="http://x"), "Ws.url: expected ws://"),
        (lambda: Stream(queue_size=0), "Stream.queue_size: "),
        (lambda: Replay(exchange="A"), "Replay.exchange: "),
        (lambda: Settings(exchange="A"), "Settings.exchange: "),
        (lambda: Limits(history_share=0.99), "must not exceed live_share"),
        (lambda: VolatilityRegimes(low=9), "thresholds must rise"),
        (lambda: attrs.evolve(Trading(), **{"mode": "on"}), "Trading.mode: expected one of off"),
        (lambda: Trading(settle_s=4), "Trading.settle_s: expected a number of at least 5, at most"),
        (lambda: Trading(resend_s=-1), "Trading.resend_s: expected a number of at least 0"),
        (lambda: Trading(recv_window_ms=0), "Trading.recv_window_ms: expected a whole number"),
    ],
)
def test_settings_made_by_hand_obey_the_same_rules(make: Callable[[], object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        make()


def test_settings_are_frozen_and_hashable() -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        Settings().exchange = "x"  # type: ignore[misc]
    assert hash(Settings()) == hash(Settings())


def test_rules_shown_null_is_said_as_in_yaml() -> None:
    assert rules.shown(None) == "null"


# --- secrets


def with_secret() -> Settings:
    return load_settings(environ={"BINANCE_API_KEY": "k", "BINANCE_API_SECRET": f" {SECRET}\n"})


def test_load_settings_secrets_from_environment_are_revealed_on_purpose() -> None:
    credentials = with_secret().credentials
    pair = {"api_key": Secret("k"), "api_secret": Secret(SECRET)}
    assert credentials == Credentials(venue="BINANCE", **pair)
    assert credentials.api_secret is not None
    assert credentials.api_secret.reveal() == SECRET


@pytest.mark.parametrize("value", [SECRET, Secret(SECRET)])
def test_load_settings_secrets_as_arguments_go_over_the_environment(value: object) -> None:
    settings = load_settings(environ={"BINANCE_API_SECRET": "other"}, api_secret=value)
    assert settings.credentials.api_secret == Secret(SECRET)
    assert settings.sources["credentials.api_secret"] == "argument"


@pytest.mark.parametrize("value", ["hun ter2", "hunter2\u00e9", "hunter2\x00", 5])
def test_load_settings_impossible_secret_is_refused_without_showing_it(value: object) -> None:
    message = refusal(api_key=value)
    assert "(value not shown) @ $.credentials.api_key (argument)" in message
    assert "hun" not in message


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        lambda s: f"{s}",
        lambda s: f"{s.credentials.api_secret}",
        lambda s: f"{s.credentials.api_secret:>20}",
        lambda s: f"{s.credentials.api_secret!s} {s.credentials.api_secret!r}",
        lambda s: repr(attrs.asdict(s)),
        lambda s: repr(attrs.astuple(s)),
        lambda s: json.dumps(attrs.asdict(s), default=str),
        lambda s: json.dumps(describe(s)),
        lambda s: repr(copy.deepcopy(s)) + repr(copy.copy(s.credentials.api_secret)),
    ],
)
def test_secret_is_not_shown(show: Callable[[Settings], str]) -> None:
    assert SECRET not in show(with_secret())


def test_secret_is_not_pickled() -> None:
    with pytest.raises(TypeError, match="a Secret is not pickled") as caught:
        pickle.dumps(with_secret())
    assert SECRET not in str(caught.value)


def test_secret_equals_only_a_secret_of_the_same_text() -> None:
    assert Secret("a") == Secret("a")
    assert hash(Secret("a")) == hash(Secret("a"))
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"


# --- describe


def test_describe_names_every_key_with_value_and_source(write: Write) -> None:
    settings = load_settings(
        write("history: {months: 3}\ntrading: {max_notional: 5}"),
        environ={"EXCHANGE": "kraken", "KRAKEN_API_KEY": "k"},
        data_dir="d",
    )
    shown = describe(settings)
    assert shown["history.months"] == {"value": 3, "source": "file"}
    assert shown["exchange"] == {"value": "kraken", "source": "environment"}
    assert shown["data_dir"] == {"value": "d", "source": "argument"}
    assert shown["db_path"] == {"value": "d/velas.db", "source": "default"}
    assert shown["history.intervals"] == {"value": ["30m", "1h", "2h"], "source": "default"}
    assert shown["trading.max_notional"] == {"value": "5", "source": "file"}
    assert shown["credentials.api_key"] == {
        "value": "set",
        "source": "environment KRAKEN_API_KEY",
    }
    assert shown["credentials.password"] == {"value": "not set", "source": "default"}
    assert shown["credentials.api_secret"] == {"value": "not set", "source": "default"}
    assert json.loads(json.dumps(shown)) == shown


# --- the shipped files


def shipped(name: str) -> Path:
    path: Path = pytest.importorskip("velas_config").path(name)
    return path


def test_example_holds_every_key_at_its_default() -> None:
    document = read_yaml(shipped("config.example.yaml"))
    keys = {
        f"{section}.{name}" if isinstance(content, dict) else str(section)
        for section, content in document.items()
        for name in (content if isinstance(content, dict) else [""])
    }
    assert keys == {key for key in describe(Settings()) if not key.startswith("credentials.")}
    assert load_settings(shipped("config.example.yaml"), environ={}) == Settings()


def test_example_explains_every_key() -> None:
    explained = False
    for line in shipped("config.example.yaml").read_text("utf-8").splitlines():
        explained = line.lstrip().startswith("#") or (explained and line != "")
        if line.endswith(":") and not line.startswith(" "):
            explained = explained or line[:-1] in {field.name for field in attrs.fields(Settings)}
            continue
        assert explained or not line, f"no comment above {line!r}"


def test_demo_is_valid_and_small() -> None:
    settings = load_settings(shipped("demo.yaml"), environ={})
    assert len(load_pairs(settings)) <= 5
    assert settings.history.months == 1


def test_config_package_unknown_file_lists_the_shipped() -> None:
    package = pytest.importorskip("velas_config")
    with pytest.raises(FileNotFoundError, match=r"shipped are: config\.example\.yaml, demo\.yaml"):
        package.path("nope.yaml")
    assert "exchange:" in package.read("config.example.yaml")


# --- pairs


def pairs_settings(path: Path, **history: object) -> Settings:
    return load_settings(environ={}, pairs_file=path, history=history)


def test_load_pairs_shipped_are_twenty_usdt_pairs_with_sectors() -> None:
    pytest.importorskip("velas_config")
    pairs = load_pairs(Settings())
    assert len(pairs) == 20
    assert all(pair.symbol.endswith("/USDT") and pair.sector for pair in pairs)


def test_load_pairs_own_file_is_read_in_order(write: Write) -> None:
    path = write("pairs: [{symbol: B/USDT, sector: x}, A/USDT, {symbol: CUSDT}]", "pairs.yaml")
    assert load_pairs(pairs_settings(path)) == (Pair("B/USDT", "x"), Pair("A/USDT"), Pair("CUSDT"))


def test_load_pairs_symbols_of_the_settings_come_first(write: Write) -> None:
    path = write("pairs: [{symbol: B/USDT, sector: x}, A/USDT]", "pairs.yaml")
    settings = pairs_settings(path, symbols=["BUSDT", "Z/USDT"])
    assert load_pairs(settings) == (Pair("BUSDT", "x"), Pair("Z/USDT"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected a list of pairs, one at least @ $.pairs"),
        ("pairs: []", "expected a list of pairs, one at least @ $.pairs"),
        ("pairs: {a: b}", "expected a list of pairs, one at least @ $.pairs"),
        ("pairs: [A/USDT]\npears: 1", "unknown key 'pears'; the only one is 'pairs'"),
        ("pairs: [A/USDT, {symbol: AUSDT}]", "'AUSDT' is the same series as 'A/USDT' @ $.pairs[1]"),
        ("pairs: [../x]", "cannot name a series"),
        ("pairs: [{symbol: 5}]", "symbol 5: expected text such as 'BTC/USDT' @ $.pairs[0]"),
        ("pairs: [5]", "expected a symbol, or a mapping with the keys symbol, sector @ $.pairs[0]"),
        ("pairs: [{symbol: A, sectr: x}]", "unknown key 'sectr' (did you mean 'sector'?)"),
        ("pairs: [{sector: x}]", "the key 'symbol' is missing @ $.pairs[0]"),
        ("pairs: [{symbol: A, sector: [x]}]", "sector: expected text, not list @ $.pairs[0]"),
    ],
)
def test_load_pairs_bad_file_is_one_error(write: Write, text: str, said: str) -> None:
    path = write(text, "pairs.yaml")
    with pytest.raises(ConfigError) as caught:
        load_pairs(pairs_settings(path))
    assert said in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ")


def test_load_pairs_every_problem_is_named(write: Write) -> None:
    path = write("pairs: [5, A/USDT, AUSDT]\nx: 1", "pairs.yaml")
    with pytest.raises(ConfigError, match="3 problems"):
        load_pairs(pairs_settings(path))


def test_load_pairs_without_the_shipped_files_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr("velas.pairs.resources.files", lacking)
    with pytest.raises(ConfigError, match=r"shipped pairs\.yaml is not installed.*set pairs_file"):
        load_pairs(Settings())
