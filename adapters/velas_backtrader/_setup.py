"""What ran, apart from the strategy's parameters, in words that stay the same."""

from __future__ import annotations

import datetime as dt
import hashlib
import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from numbers import Number
from types import NoneType
from typing import Any

import numpy as np

from velas.backtests.result import plain
from velas_backtrader._library import TimeFrame

__all__ = ["code_of", "setup_of", "stated"]

_SHOWN = 12  # of a digest
_SESSION = {"sessionstart": dt.time.min, "sessionend": dt.time(23, 59, 59, 999990), "tz": None}
_VALUES = (
    Number, str, bytes, dt.date, dt.time, dt.timedelta,
    Mapping, Sequence, set, frozenset, np.generic, np.ndarray, NoneType,
)  # fmt: skip


def setup_of(cerebro: Any, strategy: Any) -> Iterator[tuple[str, Any]]:
    """Iterate over what decides on bars, prices and amounts: feeds, broker, costs, sizer."""
    for number, data in enumerate(cerebro.datas):
        yield f"feed.{number}", _feed(data)
    broker = cerebro.broker
    yield "broker", _described(broker, params=False)
    for name, value in broker.params._getkwargs().items():
        if name not in ("cash", "commission"):
            yield f"broker.{name}", _value(value)
    for data, costs in broker.comminfo.items():
        yield f"costs.{data or 'all'}", _described(costs, params=False)
        for name, value in costs.params._getkwargs().items():
            yield f"costs.{data or 'all'}.{name}", _value(value)
    yield "sizer", _described(strategy._sizer)
    for number, text in enumerate(sorted(set(_indicators(strategy)))):
        yield f"indicator.{number}", text
    if cerebro._ohistory:
        yield "order_history", [_text(one) for one in cerebro._ohistory]


def stated(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters as what a result can hold: objects and functions as what they are."""
    return {name: _value(value) for name, value in values.items()}


def code_of(kind: type[Any]) -> str | None:
    """Return a digest of what a class is made of; None if its source cannot be read.

    That is the source of its methods, with what they have from around them, and its values.
    """
    parts: list[Any] = []
    for one in kind.__mro__:
        if _is_theirs(one):
            break
        parts += (part for name, part in vars(one).items() if _is_said(name, part))
    return _digest(parts)


def _is_said(name: str, part: Any) -> bool:
    # the rest is made by metaclasses
    return not name.startswith("__") or inspect.isfunction(part)


def _digest(parts: Iterable[Any]) -> str | None:
    try:
        texts = list(map(_source, parts))
    except (OSError, TypeError, ValueError):  # typed into a shell, not of Python, not whole yet
        return None
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


def _source(part: Any) -> str:
    if isinstance(part, property):
        return "\n".join(_source(one) for one in (part.fget, part.fset) if one is not None)
    function = getattr(part, "__func__", part)
    if not inspect.isfunction(function):
        return _text(part) if isinstance(part, _VALUES) else type(part).__name__
    around = inspect.getclosurevars(function).nonlocals
    return inspect.getsource(function) + "".join(
        f"{name}={_around(value)}" for name, value in sorted(around.items()) if name != "__class__"
    )


def _around(value: Any) -> str:
    # no deeper: functions and classes may know each other
    if inspect.isfunction(value) or inspect.isclass(value):
        return inspect.getsource(value)
    return _text(value) if isinstance(value, _VALUES) else type(value).__name__


def _indicators(strategy: Any) -> Iterator[str]:
    """Iterate over indicators that are not backtrader's, and over those within others."""
    for one in strategy.getindicators():
        if not _is_theirs(type(one)):
            yield _described(one)
        yield from _indicators(one)


def _feed(data: Any) -> str:
    length = f"{TimeFrame.getname(data._timeframe, data._compression)} {data._compression}"
    filters = [_filter(one, *rest) for one, *rest in data._filters]
    times = [
        f"{name} {value}"
        for name, usual in _SESSION.items()
        if (value := getattr(data.p, name)) not in (None, usual)
    ]
    return " | ".join([f"{data._name}: {length}", *times, *filters])


def _filter(one: Any, args: Iterable[Any], options: dict[str, Any]) -> str:
    one = getattr(one, "ffilter", one)  # within a wrapper
    given = [*map(_text, args), *(f"{name}={_text(value)}" for name, value in options.items())]
    return f"{_described(one)}{given or ''}"


def _described(one: Any, *, params: bool = True) -> str:
    """Return the name of an object's class, what it was given, and a digest of foreign code."""
    if inspect.isroutine(one):
        return f"{one.__qualname__}{_mark(_digest([one]))}"
    if inspect.isclass(one):
        return one.__qualname__ + ("" if _is_theirs(one) else _mark(code_of(one)))
    pairs = one.params._getkwargs() if params and hasattr(one, "params") else {}
    given = ", ".join(f"{name}={_text(value)}" for name, value in pairs.items())
    kind = type(one)
    code = "" if _is_theirs(kind) else _mark(code_of(kind))
    return f"{kind.__name__}({given}){code}"


def _mark(digest: str | None) -> str:
    return f" #{(digest or '?')[:_SHOWN]}"


def _value(value: Any) -> Any:
    return plain(value) if isinstance(value, _VALUES) else _described(value)


def _text(value: Any) -> str:
    return str(_value(value))


def _is_theirs(kind: type[Any]) -> bool:
    return kind.__module__.partition(".")[0] in ("backtrader", "velas_backtrader", "builtins")
