"""What ran, apart from the strategy's parameters, in words that stay the same."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterable, Iterator
from typing import Any

from velas_backtrader._library import TimeFrame

__all__ = ["code_of", "setup_of"]

_SHOWN = 12  # of a digest


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


def code_of(kind: type[Any]) -> str | None:
    """Return a digest of the source of a class's methods; None if there is none to read."""
    functions: list[Any] = []
    for one in kind.__mro__:
        if _is_theirs(one):
            break
        functions += filter(inspect.isfunction, vars(one).values())
    return _digest(functions)


def _digest(functions: Iterable[Any]) -> str | None:
    try:
        sources = list(map(inspect.getsource, functions))
    except (OSError, TypeError):  # typed into a shell, or not of Python
        return None
    return hashlib.sha256("\n".join(sources).encode()).hexdigest()


def _feed(data: Any) -> str:
    length = f"{TimeFrame.getname(data._timeframe, data._compression)} {data._compression}"
    filters = [_filter(one, *rest) for one, *rest in data._filters]
    return " | ".join([f"{data._name}: {length}", *filters])


def _filter(one: Any, args: Iterable[Any], options: dict[str, Any]) -> str:
    one = getattr(one, "ffilter", one)  # within a wrapper
    given = [*map(_text, args), *(f"{name}={_text(value)}" for name, value in options.items())]
    return f"{_described(one)}{given or ''}"


def _described(one: Any, *, params: bool = True) -> str:
    """Return the name of an object's class, what it was given, and a digest of foreign code."""
    if inspect.isroutine(one):
        return f"{one.__qualname__}{_mark(_digest([one]))}"
    pairs = one.params._getkwargs() if params and hasattr(one, "params") else {}
    given = ", ".join(f"{name}={_text(value)}" for name, value in pairs.items())
    kind = type(one)
    code = "" if _is_theirs(kind) else _mark(code_of(kind))
    return f"{kind.__name__}({given}){code}"


def _mark(digest: str | None) -> str:
    return f" #{(digest or '?')[:_SHOWN]}"


def _value(value: Any) -> Any:
    plain = isinstance(value, bool | int | float | str | None)
    return value if plain else _described(value)


def _text(value: Any) -> str:
    return str(_value(value))


def _is_theirs(kind: type[Any]) -> bool:
    return kind.__module__.partition(".")[0] in ("backtrader", "velas_backtrader", "builtins")
