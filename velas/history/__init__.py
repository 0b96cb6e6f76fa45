"""History: plan which candles are missing, fetch them, prove what the venue lacks."""

from velas.history.download import run_plan
from velas.history.plan import Wanted, make_plan
from velas.history.report import Plan, Range, Report, SeriesPlan, SeriesReport, Stored
from velas.history.windows import explain

__all__ = [
    "Plan",
    "Range",
    "Report",
    "SeriesPlan",
    "SeriesReport",
    "Stored",
    "Wanted",
    "explain",
    "make_plan",
    "run_plan",
]
