"""Order rules: judge an order by its market's filters, find the nearest legal one."""

from velas.validation.policy import Policy
from velas.validation.rules import RuleResult
from velas.validation.validator import OrderValidator
from velas.validation.verdict import MarketState, NotJudged, Verdict, Violation

__all__ = [
    "MarketState",
    "NotJudged",
    "OrderValidator",
    "Policy",
    "RuleResult",
    "Verdict",
    "Violation",
]
