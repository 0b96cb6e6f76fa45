from __future__ import annotations

import json

import pytest

from velas.cli.output import count, emit_json, minutes, moment, show_table, size


def test_moment_is_utc_to_the_minute_and_to_the_second_where_needed():
    assert moment(1_735_689_600_000) == "2025-01-01 00:00"
    assert moment(1_735_689_601_000) == "2025-01-01 00:00:01"
    assert moment(None) == "-"


def test_count_has_thousands_separators():
    assert count(613_200) == "613,200"


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 B"), (999, "999 B"), (12_345, "12 KB"), (4_560_000, "4.6 MB"), (7e12, "7,000 GB")],
)
def test_size_has_a_unit_that_suits(number, text):
    assert size(number) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [(0.2, "less than a minute"), (1, "about 1 minute"), (61.2, "about 62 minutes")],
)
def test_minutes_promise_no_more_than_is_known(number, text):
    assert minutes(number) == text


def test_emit_json_is_one_line_and_refuses_what_is_no_json(capsys):
    emit_json({"a": [1, None]})
    assert json.loads(capsys.readouterr().out) == {"a": [1, None]}
    with pytest.raises(ValueError):
        emit_json({"a": float("nan")})


def test_show_table_off_a_terminal_has_no_colour_and_takes_text_as_it_is(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    show_table([("name", "left"), ("value", "left")], [["[red]x[/red]", "word " * 20]])
    out = capsys.readouterr().out
    assert "[red]x[/red]" in out
    assert "\x1b" not in out
    assert max(map(len, out.splitlines())) <= 40
