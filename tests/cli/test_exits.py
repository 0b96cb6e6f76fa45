from __future__ import annotations

import errno
import os
import subprocess
import sys

import click
import pytest

from velas import errors
from velas.cli.exits import code_of, guard
from velas.cli.options import Common


def raising(error):
    def run():
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ConfigError("x"), 2),
        (errors.UnknownSymbol("x"), 2),
        (errors.UnknownAdapter("x"), 2),
        (errors.MissingDependency("x"), 2),
        (errors.Unsupported("x"), 2),
        (errors.BadRequest("x"), 2),
        (errors.Unavailable("x"), 3),
        (errors.RequestTimeout("x"), 3),
        (errors.BadResponse("x"), 3),
        (errors.RateLimited("x"), 3),
        (errors.Banned("x"), 3),
        (errors.Forbidden("x"), 3),
        (errors.RestrictedLocation("x"), 3),
        (errors.AuthError("x"), 1),
        (errors.StoreCorrupt("x", path="y"), 1),
        (errors.StoreFull("x"), 1),
        (PermissionError(errno.EACCES, "no", "/f"), 2),
        (OSError(errno.ENOSPC, "full", "/f"), 1),
    ],
)
def test_code_of_error_is_the_documented_one(error, code):
    assert code_of(error) == code


def test_guard_velas_error_is_one_message_without_traceback(capsys):
    assert guard(raising(errors.ConfigError("no good")), Common()) == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", "velas: error: no good\n")


def test_guard_velas_error_very_verbose_has_a_traceback(capsys):
    common = Common()
    common.verbose = 2
    guard(raising(errors.ConfigError("no good")), common)
    assert "Traceback" in capsys.readouterr().err


def test_guard_os_error_names_the_file(capsys):
    assert guard(raising(PermissionError(errno.EACCES, "Permission denied", "/f")), Common()) == 2
    assert capsys.readouterr().err == "velas: error: /f: Permission denied\n"


def test_guard_error_without_words_says_its_kind(capsys):
    guard(raising(errors.RequestTimeout()), Common())
    assert capsys.readouterr().err == "velas: error: RequestTimeout\n"


def test_guard_unexpected_error_is_named_a_bug(capsys):
    assert guard(raising(ZeroDivisionError("oops")), Common()) == 1
    err = capsys.readouterr().err
    assert "bug in velas: ZeroDivisionError: oops" in err
    assert "Traceback" not in err


def test_guard_unexpected_error_verbose_has_a_traceback(capsys):
    common = Common()
    common.verbose = 1
    guard(raising(ZeroDivisionError("oops")), common)
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()])
def test_guard_interrupt_is_130(capsys, error):
    assert guard(raising(error), Common()) == 130
    assert capsys.readouterr().err == "velas: interrupted\n"


def test_guard_click_error_that_is_no_usage_error_has_no_hint(capsys):
    assert guard(raising(click.ClickException("plain")), Common()) == 1
    assert capsys.readouterr().err == "velas: error: plain\n"


def test_guard_result_that_is_no_code_is_done():
    assert guard(lambda: None, Common()) == 0
    assert guard(lambda: 3, Common()) == 3


def test_stdout_closed_early_is_quiet():
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "velas", "config", "--json"],
        stdout=write,
        stderr=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (1, b"")


def test_guard_closed_stdout_ends_quietly(capfd, monkeypatch):
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as closed:
        monkeypatch.setattr(sys, "stdout", closed)
        assert guard(lambda: print("to nobody"), Common()) == 1
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("args", [("stats",), ("--json", "stats"), ("demo", "--help")])
def test_closed_stdout_is_no_bug(args):
    done = subprocess.run(
        f"exec {sys.executable} -m velas {' '.join(args)} >&-",
        shell=True, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
