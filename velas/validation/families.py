"""All rules of a market together: what they allow of one field, and what is nearest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal

import attrs

from velas.validation.grid import ANY, Digits, Grid, Lattice, Span, Ties, intersection, nearest
from velas.validation.numbers import PLACES
from velas.validation.rules import Case, Kind, Rule, RuleResult
from velas.validation.verdict import NotJudged, Value, Verdict, Violation

__all__ = ["Families"]

_FREE_PLACES = 8  # decimals that are searched where no rule gives a step
_WHOLE = Grid(1, 0, 0)
_FREE = Grid(1, 0, _FREE_PLACES)


class Families:
    """The rules of one market; a field's family are those that say something of it."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = tuple(rules)
        self._families: dict[str, tuple[Rule, ...]] = {}
        self._lattices: dict[tuple[str, bool], Lattice | None] = {}
        self._spans: dict[tuple[str, bool], tuple[Span, tuple[Rule, ...]]] = {}

    def rows(self, case: Case) -> Iterator[RuleResult]:
        """Yield what each rule says of a case, nearest legal values with the violations."""
        near = _Nearest(self, case)
        for rule in self.rules:
            for row in rule.rows(case):
                yield attrs.evolve(row, nearest=near.to(rule, row)) if row.ok is False else row

    def broken(self, case: Case) -> list[tuple[RuleResult, Rule]]:
        """Return the rows that a case breaks, each with its rule."""
        return [one for one in self._notable(case, self.rules) if one[0].ok is False]

    def verdict(self, case: Case) -> Verdict:
        """Return all violations of a case, and what could not be judged."""
        rows = self._notable(case, self.rules)
        unjudged = [row for row, _ in rows if row.ok is None]
        return Verdict(self.violations(case, rows), self.told(unjudged))

    def violations_of(self, case: Case, rules: Iterable[Rule]) -> tuple[Violation, ...]:
        """Return all violations where only `rules` are in doubt."""
        return self.violations(case, self._notable(case, rules))

    @staticmethod
    def _notable(case: Case, rules: Iterable[Rule]) -> list[tuple[RuleResult, Rule]]:
        return [
            (row, rule)
            for rule in rules
            if not rule.is_fine(case)
            for row in rule.rows(case)
            if not row.ok
        ]

    def violations(
        self, case: Case, rows: Iterable[tuple[RuleResult, Rule]]
    ) -> tuple[Violation, ...]:
        """Return the broken ones of rows as violations, each with its nearest legal value."""
        near = _Nearest(self, case)
        return tuple(
            Violation(row.filter, row.field, row.value, row.rule, near.to(rule, row))
            for row, rule in rows
            if row.ok is False
        )

    @staticmethod
    def told(rows: Iterable[RuleResult]) -> tuple[NotJudged, ...]:
        """Return what could not be judged, each want once."""
        return tuple(dict.fromkeys(NotJudged(row.filter, row.needs) for row in rows))

    def nearest(
        self, field: str, case: Case, *, within: Span | None = None, ties: Ties = "down"
    ) -> Value:
        """Return the legal value of a field nearest to the order's, None if there is none."""
        asked: Decimal | int = getattr(case.order, field)
        span = self.span(field, case)
        if within is not None:
            span = span.within(within)
        found = nearest(Decimal(asked), self.lattice(field, case), span, ties=ties)
        if found is None:
            return None
        return int(found) if isinstance(asked, int) else found

    def span(self, field: str, case: Case) -> Span:
        """Return the bounds of a field, given the other fields."""
        key = (field, case.kind.market)
        if key not in self._spans:
            self._spans[key] = self._fixed(field, case)
        span, others = self._spans[key]
        for rule in others:
            span = span.within(rule.span(field, case))
        return span

    def _fixed(self, field: str, case: Case) -> tuple[Span, tuple[Rule, ...]]:
        """Return the bounds that hang on no number or state, and the rules whose bounds do."""
        span, about = ANY, self._about(field)
        for rule in about:
            if rule.fixed:
                span = span.within(rule.span(field, case))
        return span, tuple(rule for rule in about if not rule.fixed)

    def _about(self, field: str) -> tuple[Rule, ...]:
        if field not in self._families:
            self._families[field] = tuple(rule for rule in self.rules if rule.speaks_of(field))
        return self._families[field]

    def lattice(self, field: str, case: Case) -> Lattice | None:
        """Return the legal values of a field, bounds apart; None if its grids never meet."""
        if field == "trailing_delta":
            return _WHOLE
        key = (field, case.kind.market)
        if key not in self._lattices:
            grids = self.grids(field, case.kind)
            self._lattices[key] = _common(grids) if grids else _FREE
        found = self._lattices[key]
        return _free(field, case, self._about(field)) if found is _FREE else found

    def grids(self, field: str, kind: Kind) -> list[Lattice]:
        """Return the grids that rules hold a field to."""
        found = (rule.lattice(field, kind) for rule in self._about(field))
        return [one for one in found if one is not None]


def _common(lattices: list[Lattice]) -> Lattice | None:
    digits = [one for one in lattices if isinstance(one, Digits)]
    if digits:
        # ccxt's precision is the one grid of a field
        return min(digits, key=lambda one: one.count)
    return intersection([one for one in lattices if isinstance(one, Grid)])


def _free(field: str, case: Case, rules: Sequence[Rule]) -> Grid:
    asked = getattr(case.order, field)
    numbers = [] if asked is None else [asked]
    for rule in rules:
        numbers += [bound for bound in rule.bounds(field, case) if bound.is_finite()]
    places = max((-int(number.as_tuple().exponent) for number in numbers), default=0)
    return Grid(1, 0, min(PLACES, max(_FREE_PLACES, places)))


class _Nearest:
    """Nearest legal values of one case: rules of one field share one answer."""

    def __init__(self, families: Families, case: Case) -> None:
        self._families = families
        self._case = case
        self._found: dict[str, Value] = {}

    def to(self, rule: Rule, row: RuleResult) -> Value:
        if not rule.curable(row):
            return None
        if row.field not in self._found:
            self._found[row.field] = self._families.nearest(row.field, self._case)
        return self._found[row.field]
