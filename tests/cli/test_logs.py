from __future__ import annotations

import io
import logging
import sys

import pytest

from velas.cli.logs import configure_logging


@pytest.mark.parametrize(
    ("verbose", "shown"), [(0, ["w"]), (1, ["i", "w"]), (2, ["d", "i", "w"]), (5, ["d", "i", "w"])]
)
def test_logging_level_follows_verbose_and_stays_off_stdout(capsys, verbose, shown):
    configure_logging(verbose)
    log = logging.getLogger("velas.something")
    log.debug("d")
    log.info("i")
    log.warning("w")
    out, err = capsys.readouterr()
    assert out == ""
    assert [line[-1] for line in err.splitlines()] == shown


def test_logging_of_other_libraries_is_never_below_info(capsys):
    configure_logging(2)
    logging.getLogger("other").debug("headers with a key")
    logging.getLogger("other").info("fine")
    assert "headers" not in capsys.readouterr().err


def test_logging_configured_twice_says_things_once(capsys):
    configure_logging(0)
    configure_logging(0)
    logging.getLogger("velas").warning("once")
    assert capsys.readouterr().err.count("once") == 1


def test_logging_goes_where_stderr_is_now(monkeypatch):
    configure_logging(0)
    elsewhere = io.StringIO()
    monkeypatch.setattr(sys, "stderr", elsewhere)
    logging.getLogger("velas").warning("above the bar")
    assert "above the bar" in elsewhere.getvalue()
