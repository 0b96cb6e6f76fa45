"""Settings: keys, types and values that are accepted or refused, with one clear error."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from configured import SECRET, Write, refusal, writer
from hypothesis import given
from hypothesis import strategies as st

from velas.config import (
    load_settings,
)
from velas.errors import ConfigError
from velas.interval import Interval
from velas.yamlfile import parse_yaml


@pytest.fixture
def write(tmp_path: Path) -> Write:
    return writer(tmp_path)


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


@pytest.mark.parametrize(
    "key",
    ["api_key", "api_secret", "KRAKEN_API_PASSWORD", "BINANCE_API_SECRET", "credentials", "apiKey"],
)
def test_load_settings_secret_in_file_is_refused_without_showing_it(write: Write, key: str) -> None:
    message = refusal(write(f"{key}: {SECRET}"))
    assert "only from the environment (such as BINANCE_API_KEY, BINANCE_API_SECRET)" in message
    assert "or the private file that trading.credentials_file names" in message
    assert SECRET not in message


def test_load_settings_unknown_argument_is_refused() -> None:
    assert "unknown key 'exchnge' (did you mean 'exchange'?)" in refusal(exchnge="x")


def test_load_settings_every_problem_is_named_at_once(write: Write) -> None:
    path = write("history: {months: 0, parallel: 65, x: 1}\nlimits: 5\ndata_dir: ''")
    message = refusal(path, {"WS_URL": "http://x", "BINANCE_API_KEY": "a b"})
    assert message.startswith("configuration: 7 problems\n  ")
    for key in ("history.months", "history.parallel", "history.x", "limits", "data_dir"):
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
    ("trading.credentials_file", 5),
    ("trading.credentials_file", ""),
    ("trading.recv_window_ms", 0),
    ("trading.recv_window_ms", 60_001),
    ("trading.recv_window_ms", 5000.0),
    ("trading.settle_s", 4.9),
    ("trading.settle_s", 601),
    ("trading.settle_s", True),
    ("trading.resend_s", -0.1),
    ("trading.resend_s", 3601),
    ("trading.resend_s", float("nan")),
    ("trading.resend_s", None),
    ("volatility_regimes.window", 1),
    ("volatility_regimes.low", 0),
    ("replay.recording", 1),
    ("replay.tape", 1),
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


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("recv_window_ms", 1),
        ("recv_window_ms", 60_000),
        ("settle_s", 5),
        ("settle_s", 600),
        ("resend_s", 0),
        ("resend_s", 3600),
    ],
)
def test_load_settings_trading_bounds_are_allowed(write: Write, key: str, value: int) -> None:
    settings = load_settings(write(f"trading: {{{key}: {value}}}"), environ={})
    assert getattr(settings.trading, key) == value


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
