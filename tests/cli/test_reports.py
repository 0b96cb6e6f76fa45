from __future__ import annotations

import attrs

from velas.cli.exits import DONE, FAILED, INTERRUPTED, UNREACHABLE
from velas.cli.reports import exit_code, gap_summary, show_report
from velas.history import Report, SeriesReport
from velas.models import Gap, Usage

SPENT = Usage(3, 6, 1)
WHOLE = SeriesReport("fake", "BTCUSDT", "1h", 5, 5, 0, 14_400_000)


def report(*series, interrupted=False):
    return Report(series, SPENT, 1.25, interrupted)


def test_exit_code_whole_is_done():
    assert exit_code(report(WHOLE)) == DONE
    assert exit_code(report()) == DONE


def test_exit_code_gap_of_the_venue_is_done_and_of_our_own_failed():
    gap = Gap(3_600_000, 7_200_000, 1)
    own = attrs.evolve(WHOLE, gaps=(gap,))
    theirs = attrs.evolve(WHOLE, gaps=(attrs.evolve(gap, reason="venue"),))
    assert exit_code(report(WHOLE, own)) == FAILED
    assert exit_code(report(WHOLE, theirs)) == DONE


def test_exit_code_interrupted_goes_before_all_else():
    assert exit_code(report(attrs.evolve(WHOLE, error="x"), interrupted=True)) == INTERRUPTED


def test_exit_code_every_series_unreachable_is_3():
    @attrs.frozen
    class Lost(SeriesReport):
        unreachable: bool = True

    lost = Lost("fake", "BTCUSDT", "1h", 0, 0, None, None, error="no way")
    assert exit_code(report(lost, lost)) == UNREACHABLE
    assert exit_code(report(lost, WHOLE)) == FAILED


def test_gap_summary_counts_gaps_and_candles():
    assert gap_summary([]) == "-"
    assert gap_summary([Gap(0, 1, 1200), Gap(5, 6, 34)]) == "2 (1,234)"


def test_show_report_marks_what_failed(capsys):
    gap = (Gap(0, 1, 7),)
    failed = attrs.evolve(WHOLE, error="[bold]broken")
    show_report(report(failed, attrs.evolve(failed, gaps=gap)), as_json=False)
    out, err = capsys.readouterr()
    assert "failed" in out
    assert "1 (7) failed" in out
    assert err.count("velas: failed: BTCUSDT 1h: [bold]broken") == 2


def test_show_report_interrupted_before_the_plan_says_so(capsys):
    show_report(report(interrupted=True), as_json=False)
    out, err = capsys.readouterr()
    assert out == ""
    assert "interrupted" in err
