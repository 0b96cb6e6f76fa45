"""Settings from YAML: what a file says, and files that cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest
from configured import SECRET, Write, refusal, writer

from velas.config import (
    load_settings,
)
from velas.errors import ConfigError
from velas.yamlfile import parse_yaml, read_yaml


@pytest.fixture
def write(tmp_path: Path) -> Write:
    return writer(tmp_path)


@pytest.mark.parametrize("mode", ["off", "test", "live"])
def test_load_settings_trading_mode_is_text_also_when_it_is_off(write: Write, mode: str) -> None:
    path = write(f"trading: {{mode: {mode}}}")
    settings = load_settings(path, environ={}, api_key="k", api_secret=SECRET)
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
        ("a: !!python/object/apply:os.system [ls]", "a tag (!...) is refused"),
        ("a: !!int x", "is refused (line 1, column 4)"),
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


@pytest.mark.parametrize(
    "text",
    [
        f'api_secret: "{SECRET}',
        f"api_secret: *{SECRET}",
        f"api_secret: !{SECRET}",
        f"api_secret: !!{SECRET}",
        f"api_secret: !{SECRET}!{SECRET} x",
        f"api_secret: &{SECRET} &{SECRET}",
        f"api_secret: %{SECRET}\nx: %{SECRET}",
        f"api_secret: `{SECRET}",
        f"api_secret: {SECRET}: x",
        f"BINANCE_API_SECRET={SECRET}",
        f"BINANCE_API_SECRET={SECRET}:",
        f"exchange: kraken\nBINANCE_API_SECRET={SECRET}",
        f"exchange: kraken\nBINANCE_API_SECRET: {SECRET}\n\x07",
        f"trading: {{BINANCE_API_SECRET={SECRET}: }}",
    ],
)
def test_load_settings_broken_yaml_does_not_quote_the_line(write: Write, text: str) -> None:
    assert SECRET not in refusal(write(text))


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
