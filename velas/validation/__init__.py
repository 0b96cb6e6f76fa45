"""Order rules: judge an order by its market's filters, find the nearest legal one."""

from velas.validation.verdict import MarketState, NotJudged, Verdict, Violation

__all__ = ["MarketState", "NotJudged", "Verdict", "Violation"]
