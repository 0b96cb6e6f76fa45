"""Settings: four layers, one clear error, no secret shown."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from velas.interval import Interval
from velas.yamlfile import parse_yaml, read_yaml

SECRET = "hunter2-hunter2"
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_file(text: str | bytes, name: str = "config.yaml") -> Path:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write_file


def refusal(path: Path | None = None, environ: dict[str, str] | None = None, **more: object) -> str:
    with pytest.raises(ConfigError) as caught:
        load_settings(path, environ=environ or {}, **more)
    return str(caught.value)


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
        "DATA_DIR": "/tmp/y",
        "DB_PATH": "/tmp/z.db",
    }
    settings = load_settings(path, environ=environ)
    assert settings.exchange == "binance_futures"
    assert settings.rest == Rest(url="http://127.0.0.1:8000", timeout_s=3.0)
    assert settings.ws.url == "ws://127.0.0.1:8001"
    assert (settings.data_dir, settings.db_path) == (Path("/tmp/y"), Path("/tmp/z.db"))


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


# --- YAML


@pytest.mark.parametrize("mode", ["off", "test", "live"])
def test_load_settings_trading_mode_is_text_also_when_it_is_off(write: Write, mode: str) -> None:
    settings = load_settings(write(f"trading: {{mode: {mode}}}"), environ={})
    assert settings.trading.mode == mode


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("off", "off"),
        ("yes", "yes"),
        ("12:00", "12:00"),
        ("2025-01-01", "2025-01-01"),
        ("1m", "1m"),
        ("0x1F", "0x1F"),
        ("1_000", "1_000"),
        ("12", 12),
        ("-12", -12),
        ("'12'", "12"),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        (".nan", ".nan"),
        ("true", True),
        ("null", None),
        ("~", None),
        ("", None),
        ("9" * 19, 1e19),
        ("[1, [a]]", [1, ["a"]]),
        ("{b: c}", {"b": "c"}),
        ("|\n  two\n  lines\n", "two\nlines\n"),
    ],
)
def test_parse_yaml_scalar_is_what_was_written(text: str, value: object) -> None:
    assert parse_yaml(f"a: {text}", name="x") == {"a": value}


def test_parse_yaml_alias_is_the_same_value() -> None:
    assert parse_yaml("a: &x [1]\nb: *x", name="x") == {"a": [1], "b": [1]}


def test_parse_yaml_aliases_within_aliases_do_not_grow() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    assert len(parse_yaml("\n".join(lines), name="x")) == 30


def test_load_settings_value_that_holds_itself_is_refused(write: Write) -> None:
    text = "history: &h {months: &m [*m], intervals: *h}"
    assert "@ $.history.months" in refusal(write(text))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\na: 2", "the key 'a' is there twice (line 2, column 1)"),
        (
            "history:\n  months: 1\n  months: 2",
            "the key 'months' is there twice (line 3, column 3)",
        ),
        ("a: [1\nb: 2", "broken YAML: expected ',' or ']'"),
        ("a:\n\t- b", "(line 2, column 1)"),
        ("a: *nothing", "broken YAML: found undefined alias"),
        ("- 1", "expected a mapping of keys to values, not a list"),
        ("word", "expected a mapping of keys to values, not a text"),
        ("12", "expected a mapping of keys to values, not the value 12"),
        ("a: 1\n---\nb: 2", "broken YAML: but found another document"),
        ("a: !!python/object/apply:os.system [ls]", "tags such as 'tag:yaml.org,2002:python"),
        ("a: !!int x", "are refused (line 1, column 4)"),
        ("? [a]\n: 1", "a key must be plain text (line 1, column 3)"),
        ("a: \x07", "broken YAML: unacceptable character"),
        ("a: " + "[" * 5000, "broken YAML: nested too deeply"),
    ],
)
def test_load_settings_bad_yaml_is_one_error_with_the_place(
    write: Write, text: str, said: str
) -> None:
    message = refusal(write(text))
    assert said in message
    assert "config.yaml" in message


def test_load_settings_broken_yaml_does_not_quote_the_line(write: Write) -> None:
    assert SECRET not in refusal(write(f'api_secret: "{SECRET}'))


def test_load_settings_byte_order_mark_is_no_problem(write: Write) -> None:
    path = write(b"\xef\xbb\xbfexchange: kraken")
    assert load_settings(path, environ={}).exchange == "kraken"


def test_load_settings_not_utf8_is_an_error(write: Write) -> None:
    assert "not UTF-8 text (byte 10)" in refusal(write(b"exchange: \xff"))


def test_load_settings_huge_file_is_an_error(write: Write) -> None:
    assert "more than 1,048,576 bytes" in refusal(write(b"#" * (1 << 20) + b"\n"))


def test_load_settings_missing_file_is_an_error(tmp_path: Path) -> None:
    assert "nope.yaml': No such file or directory" in refusal(tmp_path / "nope.yaml")


def test_load_settings_directory_is_an_error(tmp_path: Path) -> None:
    assert "Is a directory" in refusal(tmp_path)


def test_load_settings_unreadable_file_is_an_error(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write("a: 1")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)  # chmod does not stop root
    assert "Permission denied" in refusal(path)


def test_read_yaml_nul_in_path_is_an_error() -> None:
    with pytest.raises(ConfigError, match="null byte"):
        read_yaml("a\x00b")


# --- keys, types, values


def test_load_settings_unknown_key_names_path_guess_and_choices(write: Write) -> None:
    path = write("history: {mnths: 3}")
    message = refusal(path)
    assert "unknown key 'mnths' (did you mean 'months'?)" in message
    assert "choose from intervals, symbols, months, parallel, pages_in_flight" in message
    assert message.endswith(f"@ $.history.mnths (file {path})")


@pytest.mark.parametrize("key", ["exchang", "1", "sources", "true", "<<"])
def test_load_settings_unknown_top_key_is_refused(write: Write, key: str) -> None:
    message = refusal(write(f"{key}: {{}}"))
    assert "unknown key" in message
    assert "volatility_regimes, replay" in message


@pytest.mark.parametrize("key", ["api_key", "api_secret", "BINANCE_API_SECRET", "credentials"])
def test_load_settings_secret_in_file_is_refused_without_showing_it(write: Write, key: str) -> None:
    message = refusal(write(f"{key}: {SECRET}"))
    assert "only from the environment (BINANCE_API_KEY, BINANCE_API_SECRET)" in message
    assert SECRET not in message


def test_load_settings_unknown_argument_is_refused() -> None:
    assert "unknown key 'exchnge' (did you mean 'exchange'?)" in refusal(exchnge="x")


def test_load_settings_every_problem_is_named_at_once(write: Write) -> None:
    path = write("history: {months: 0, parallel: 65, x: 1}\nlimits: 5\nexchange: A B")
    message = refusal(path, {"WS_URL": "http://x", "BINANCE_API_KEY": "a b"})
    assert message.startswith("configuration: 7 problems\n  ")
    for key in ("history.months", "history.parallel", "history.x", "limits", "exchange"):
        assert f"@ $.{key} (file {path})" in message
    assert "@ $.ws.url (environment WS_URL)" in message
    assert "@ $.credentials.api_key (environment BINANCE_API_KEY)" in message


def test_load_settings_section_that_is_no_mapping_stays_refused_under_an_argument(
    write: Write,
) -> None:
    message = refusal(write("history: 5"), history={"months": 3})
    assert "expected a mapping with the keys intervals, " in message
    assert "not 5 @ $.history" in message


BAD_VALUES = [
    ("exchange", "Binance"),
    ("exchange", "../x"),
    ("exchange", 5),
    ("exchange", ""),
    ("data_dir", ""),
    ("data_dir", "a\x00b"),
    ("data_dir", 5),
    ("data_dir", "~nobody-of-that-name/x"),
    ("db_path", True),
    ("pairs_file", []),
    ("rest.url", "ftp://host"),
    ("rest.url", "http://"),
    ("rest.url", "host:80"),
    ("rest.url", "http://host:99999"),
    ("rest.url", "http://host:0"),
    ("rest.url", "http://host:"),
    ("rest.url", "http://host/api"),
    ("rest.url", "http://ho st"),
    ("rest.url", "http://host\n"),
    ("rest.url", "http://[::1"),
    ("rest.url", "ws://host"),
    ("rest.url", 5),
    ("rest.timeout_s", 0),
    ("rest.timeout_s", 601),
    ("rest.timeout_s", True),
    ("rest.timeout_s", "5"),
    ("ws.url", "https://host"),
    ("limits.requests_per_second", 0),
    ("limits.requests_per_second", float("inf")),
    ("limits.burst_size", 0),
    ("limits.burst_size", 2.5),
    ("limits.retry_attempts", 0),
    ("limits.history_share", 1.5),
    ("limits.live_share", float("nan")),
    ("limits.max_wait_s", -1),
    ("history.intervals", []),
    ("history.intervals", "1h"),
    ("history.intervals", ["1h", "2x"]),
    ("history.intervals", ["1h", "1h"]),
    ("history.intervals", [60]),
    ("history.symbols", ["../x"]),
    ("history.symbols", [5]),
    ("history.months", 0),
    ("history.months", -1),
    ("history.months", 241),
    ("history.months", True),
    ("history.months", 1.0),
    ("history.months", "12"),
    ("history.months", None),
    ("history.parallel", 65),
    ("history.pages_in_flight", 257),
    ("stream.memory_candles", 0),
    ("stream.queue_size", 0),
    ("stream.mute_after_s", 0),
    ("stream.rotate_after_h", 25),
    ("trading.mode", False),
    ("trading.mode", "on"),
    ("trading.mode", ["off"]),
    ("trading.max_notional", 0),
    ("trading.max_notional", "much"),
    ("trading.max_notional", "NaN"),
    ("trading.max_notional", True),
    ("volatility_regimes.window", 1),
    ("volatility_regimes.low", 0),
    ("replay.recording", 1),
    ("replay.exchange", "A"),
]


@pytest.mark.parametrize(("key", "value"), BAD_VALUES)
def test_load_settings_bad_value_is_refused_with_its_path(
    write: Write, key: str, value: object
) -> None:
    path = write(json.dumps(nested(key, value)))
    message = refusal(path)
    assert message.endswith(f"@ $.{key} (file {path})")
    assert message.startswith("configuration: ")


def nested(key: str, value: object) -> dict[str, object]:
    section, dot, name = key.partition(".")
    return {section: {name: value}} if dot else {section: value}


def test_load_settings_bad_number_message_names_value_and_range(write: Write) -> None:
    assert "expected a whole number from 1 to 240, not 0 @" in refusal(
        write("history: {months: 0}")
    )


def test_load_settings_bad_interval_message_names_the_choices(write: Write) -> None:
    message = refusal(write("history: {intervals: [1h, 1H]}"))
    assert "unknown interval '1H'; choose one of 1s, 1m" in message


def test_load_settings_bad_mode_message_names_the_choices(write: Write) -> None:
    assert "expected one of off, test, live, not 'on'" in refusal(write("trading: {mode: on}"))


def test_load_settings_thresholds_out_of_order_are_refused(write: Write) -> None:
    message = refusal(write("volatility_regimes: {low: 0.9}"))
    assert "low < high < extreme, not 0.9, 0.8, 1.5 @ $.volatility_regimes" in message


def test_load_settings_shares_out_of_order_are_refused(write: Write) -> None:
    message = refusal(write("limits: {history_share: 0.9, live_share: 0.5}"))
    assert "history_share (0.9) must not exceed live_share (0.5)" in message


@pytest.mark.parametrize("url", ["http://u:hunter2@h", "http://h?token=hunter2", "x://h#hunter2"])
def test_load_settings_secret_in_url_is_refused_without_showing_it(write: Write, url: str) -> None:
    message = refusal(write(f"rest: {{url: '{url}'}}"), {"REST_URL": url})
    assert "hunter2" not in message
    assert "@ $.rest.url" in message


def test_load_settings_long_value_is_shown_short(write: Write) -> None:
    assert len(refusal(write(f"exchange: {'x' * 10_000}"))) < 400


@pytest.mark.parametrize(
    "url", ["http://h", "https://h.example:8443", "http://127.0.0.1:1/", "http://[::1]:80"]
)
def test_load_settings_url_is_accepted_without_the_last_slash(url: str) -> None:
    assert load_settings(environ={"REST_URL": url}).rest.url == url.rstrip("/")


@pytest.mark.parametrize("value", ["12.5", "'12.5'", "1250e-2"])
def test_load_settings_max_notional_is_an_exact_decimal(write: Write, value: str) -> None:
    settings = load_settings(write(f"trading: {{max_notional: {value}}}"), environ={})
    assert settings.trading.max_notional == Decimal("12.5")


def test_load_settings_intervals_may_be_objects() -> None:
    settings = load_settings(environ={}, history={"intervals": [Interval("1m")]})
    assert settings.history.intervals == ("1m",)


@given(st.dictionaries(st.text(max_size=8), st.integers() | st.text(max_size=8), max_size=4))
def test_load_settings_any_mapping_is_settings_or_a_config_error(
    document: dict[str, object],
) -> None:
    said = attempt(lambda: load_settings(environ={}, history=document))
    assert said is None or "@ $.history." in said


@given(st.text(max_size=60))
def test_parse_yaml_any_text_is_a_mapping_or_a_config_error(text: str) -> None:
    said = attempt(lambda: parse_yaml(text, name="x"))
    assert said is None or said.startswith("x: ")


def attempt(call: Callable[[], object]) -> str | None:
    try:
        call()
    except ConfigError as error:
        return str(error)
    return None


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
    assert credentials == Credentials(api_key=Secret("k"), api_secret=Secret(SECRET))
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
        environ={"EXCHANGE": "kraken", "BINANCE_API_KEY": "k"},
        data_dir="d",
    )
    shown = describe(settings)
    assert shown["history.months"] == {"value": 3, "source": "file"}
    assert shown["exchange"] == {"value": "kraken", "source": "environment"}
    assert shown["data_dir"] == {"value": "d", "source": "argument"}
    assert shown["db_path"] == {"value": "d/velas.db", "source": "default"}
    assert shown["history.intervals"] == {"value": ["30m", "1h", "2h"], "source": "default"}
    assert shown["trading.max_notional"] == {"value": "5", "source": "file"}
    assert shown["credentials.api_key"] == {"value": "set", "source": "environment"}
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
        ("", "expected a list of pairs @ $.pairs"),
        ("pairs: []", "expected a list of pairs @ $.pairs"),
        ("pairs: {a: b}", "expected a list of pairs @ $.pairs"),
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
