"""The private file of credentials: what it may say, and whose it must be."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from configured import SECRET, Write, private_writer, refusal, writer

from velas import credentials as module
from velas.config import Secret
from velas.credentials import parse_credentials, read_credentials
from velas.errors import ConfigError


@pytest.fixture
def write(tmp_path: Path) -> Write:
    return writer(tmp_path)


@pytest.fixture
def private(tmp_path: Path) -> Write:
    return private_writer(tmp_path)


# --- what the file may say


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("X_API_KEY=abc", "abc"),
        ("  X_API_KEY = abc \r", "abc"),
        ("X_API_KEY='abc'", "abc"),
        ('X_API_KEY="abc"', "abc"),
        ("X_API_KEY=ab#c==", "ab#c=="),
        ('X_API_KEY="ab\'c"', "ab'c"),
        ("X_API_KEY=a\"b'c", "a\"b'c"),
        ("\ufeffX_API_KEY=abc", "abc"),
        ("# X_API_KEY=no\n\n\t\nX_API_KEY=abc", "abc"),
        ("1X_2_API_KEY=abc", "abc"),
        ("X_API_PASSWORD='a b # c'", "a b # c"),
    ],
)
def test_read_credentials_line_is_a_key(private: Write, line: str, value: str) -> None:
    ((_, found),) = read_credentials(private(line)).items()
    assert found == Secret(value)


@pytest.mark.parametrize("text", ["", "\n# nothing\n", "X_API_KEY=\nX_API_SECRET=''"])
def test_parse_credentials_nothing_in_it_is_nothing(text: str) -> None:
    assert parse_credentials(text, name="x") == {}


BAD_LINES = [
    (SECRET, "expected NAME=VALUE"),
    (f"{SECRET}==", "unknown name"),
    (f"export X_API_KEY={SECRET}", "unknown name"),
    (f"X_APIKEY={SECRET}", "unknown name"),
    (f"x_api_key={SECRET}", "unknown name"),
    (f"_API_KEY={SECRET}", "unknown name"),
    (f"={SECRET}", "unknown name"),
    (f"X_API_KEY: {SECRET}", "expected NAME=VALUE"),
    (f"X_API_KEY='{SECRET}", "the quote that opens"),
    (f"X_API_KEY={SECRET}'", "expected a value without spaces, or one in quotes"),
    (f"X_API_KEY='{SECRET}'{SECRET}'", "the quote that opens"),
    ("X_API_KEY='", "the quote that opens"),
    (f"X_API_KEY={SECRET} # a key", "a comment needs its own line"),
    (f"X_API_PASSWORD={SECRET} {SECRET}", "expected a value without spaces, or one in quotes"),
    (f"X_API_KEY='{SECRET} {SECRET}'", "a key of printable ASCII without spaces (value not"),
    (f"X_API_SECRET={SECRET}\u00e9", "a key of printable ASCII without spaces (value not shown)"),
    (f"X_API_PASSWORD='{SECRET}\t'", "a passphrase of printable ASCII (value not shown)"),
    (f"X_API_KEY={SECRET}\x00", "a key of printable ASCII"),
    (f"X_API_KEY={SECRET}\u2028Y_API_KEY={SECRET}", "expected a value without spaces"),
]


@pytest.mark.parametrize(("line", "said"), BAD_LINES)
def test_load_settings_bad_line_is_named_by_number_and_not_shown(
    private: Write, line: str, said: str
) -> None:
    path = private(f"# keys\nBINANCE_API_KEY={SECRET}\n{line}\n")
    message = refusal(None, {"VELAS_CREDENTIALS": str(path)})
    assert message.startswith(f"configuration: {path}: line 3: ")
    assert said in message
    assert message.endswith("@ $.trading.credentials_file (environment VELAS_CREDENTIALS)")
    assert SECRET not in message


def test_load_settings_name_twice_is_refused(private: Write) -> None:
    path = private(f"X_API_KEY={SECRET}\nX_API_KEY=\n")
    message = refusal(None, {"VELAS_CREDENTIALS": str(path)})
    assert "line 2: the same name as in an earlier line" in message


def test_parse_credentials_many_bad_lines_are_counted() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_credentials("x\n" * 9, name="keys")
    message = str(caught.value)
    assert message.count("expected NAME=VALUE") == 5
    assert message.startswith("keys: line 1: ")
    assert message.endswith("; and 4 more")


def test_load_settings_wrong_file_and_wrong_key_are_named_together(private: Write) -> None:
    path = private("x")
    environ = {"VELAS_CREDENTIALS": str(path), "BINANCE_API_KEY": "a b"}
    message = refusal(None, environ, history={"months": 0})
    assert message.startswith("configuration: 3 problems\n")
    assert "line 1: expected NAME=VALUE" in message
    assert "@ $.credentials.api_key (environment BINANCE_API_KEY)" in message


# --- whose file it is

posix = pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")


@posix
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o666, 0o610, 0o601, 0o602, 0o4604])
def test_read_credentials_open_to_others_is_refused(private: Write, mode: int) -> None:
    path = private(f"BINANCE_API_KEY={SECRET}", mode, name="my keys")
    message = refusal(None, {"VELAS_CREDENTIALS": str(path)})
    assert f"has the mode {mode:04o}" in message
    assert f"chmod 600 '{path}'" in message


@posix
@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_read_credentials_private_mode_is_accepted(private: Write, mode: int) -> None:
    assert read_credentials(private("X_API_KEY=k", mode)) == {"X_API_KEY": Secret("k")}


def of_user(monkeypatch: pytest.MonkeyPatch, owner: int) -> None:
    real = os.fstat

    def fstat(descriptor: int) -> os.stat_result:
        values = list(real(descriptor))
        values[4] = owner
        return os.stat_result(values)

    monkeypatch.setattr(module.os, "fstat", fstat)
    monkeypatch.setattr(module.os, "geteuid", lambda: 1000)


@posix
@pytest.mark.parametrize("owner", [0, 1000])
def test_read_credentials_of_the_user_or_root_is_accepted(
    private: Write, monkeypatch: pytest.MonkeyPatch, owner: int
) -> None:
    path = private("X_API_KEY=k")
    of_user(monkeypatch, owner)
    assert read_credentials(path) == {"X_API_KEY": Secret("k")}


@posix
def test_read_credentials_of_another_user_is_refused(
    private: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = private("X_API_KEY=k")
    of_user(monkeypatch, 1001)
    with pytest.raises(ConfigError, match=r"\(mode 0600\) belongs to user 1001, not to you \(1000"):
        read_credentials(path)


def test_read_credentials_without_modes_looks_at_none(
    private: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_HAS_MODES", False)
    assert read_credentials(private("X_API_KEY=k", 0o666)) == {"X_API_KEY": Secret("k")}


@posix
def test_read_credentials_judges_the_open_file_not_the_name(
    private: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = private("X_API_KEY=open", 0o644)
    other = private("X_API_KEY=private", name="other")
    opened = os.open

    def swapped(name: Path, flags: int) -> int:
        descriptor = opened(name, flags)
        other.replace(path)  # a private file in its place, as soon as it is open
        return descriptor

    monkeypatch.setattr(module.os, "open", swapped)
    with pytest.raises(ConfigError, match="has the mode 0644"):
        read_credentials(path)


@posix
def test_read_credentials_link_is_judged_by_what_it_leads_to(
    private: Write, tmp_path: Path
) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.symlink_to(private("X_API_KEY=k"))
    bad.symlink_to(private("X_API_KEY=k", 0o644, name="open"))
    assert read_credentials(good) == {"X_API_KEY": Secret("k")}
    with pytest.raises(ConfigError, match="has the mode 0644"):
        read_credentials(bad)


@posix
def test_read_credentials_not_a_regular_file_is_refused(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o600)
    for path in (tmp_path, pipe, Path("/dev/null")):
        with pytest.raises(ConfigError, match="not a regular file"):
            read_credentials(path)


@pytest.mark.parametrize("name", ["nowhere", "a\x00b", "\udcff\ud800"])
def test_read_credentials_that_is_not_there_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot read the credentials file"):
        read_credentials(tmp_path / name)


def test_read_credentials_that_fails_while_it_is_read_is_refused(
    private: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    path = private("X_API_KEY=k")
    monkeypatch.setattr(module.os, "fdopen", fails)
    with pytest.raises(ConfigError, match=r"keys\.env': Input/output error"):
        read_credentials(path)


def test_read_credentials_closes_the_file(private: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[int] = []
    close = os.close
    monkeypatch.setattr(module.os, "close", lambda one: (closed.append(one), close(one)))
    read_credentials(private("X_API_KEY=k"))
    with pytest.raises(ConfigError):
        read_credentials(private("X_API_KEY=k", 0o644))
    assert len(closed) == 2


def test_read_credentials_size_and_text_have_limits(private: Write) -> None:
    read_credentials(private("#" * (1 << 16)))
    with pytest.raises(ConfigError, match="more than 65,536 bytes"):
        read_credentials(private("#" * ((1 << 16) + 1)))
    with pytest.raises(ConfigError, match=r"not UTF-8 text \(byte 2\)"):
        read_credentials(private(b"# \xff"))
