"""Read one YAML mapping strictly: no duplicate keys, no tags, no YAML 1.1 surprises."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from velas.errors import ConfigError

__all__ = ["parse_yaml", "read_yaml"]

_MOST_BYTES = 1 << 20
# YAML 1.2's core schema. PyYAML speaks 1.1, where `off` is False, `12:00` is 720 and
# `2025-01-01` is a date; here they are the text that was written.
_NULL = re.compile(r"(?:~|null|Null|NULL|)")
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]{1,18}")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
# what a parser quotes of the text: an alias, a tag handle; not a token such as '<scalar>'
_QUOTED = re.compile(r"'[^'\s<][^'\s]+'")
_IMPLICIT = {
    yaml.ScalarNode: "tag:yaml.org,2002:str",
    yaml.SequenceNode: "tag:yaml.org,2002:seq",
    yaml.MappingNode: "tag:yaml.org,2002:map",
}


def read_yaml(path: str | Path) -> dict[object, object]:
    """Return the mapping a YAML file holds; an empty file is an empty mapping.

    A relative path is relative to the current directory.

    Raises:
        ConfigError: there is no such file, it cannot be read, or `parse_yaml` refuses it.
    """
    try:
        with Path(path).expanduser().open("rb") as file:
            raw = file.read(_MOST_BYTES + 1)
    except (OSError, ValueError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"cannot read the file {str(path)!r}: {reason}") from error
    if len(raw) > _MOST_BYTES:
        raise ConfigError(f"{path}: more than {_MOST_BYTES:,} bytes is no configuration")
    return parse_yaml(_decoded(raw, path), name=str(path))


def parse_yaml(text: str, *, name: str) -> dict[object, object]:
    """Return the mapping a YAML text holds; `name` says in errors where it came from.

    Raises:
        ConfigError: broken YAML (with line and column), a duplicate key, a tag, or a
            document that is no mapping.
    """
    node, problem = _composed(text)
    if problem is not None:
        raise ConfigError(f"{name}: broken YAML: {problem}")
    value = None if node is None else _construct(node, name, {})
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigError(f"{name}: expected a mapping of keys to values, not {_kind(value)}")
    return value


def _decoded(raw: bytes, path: str | Path) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        at = error.start
    raise ConfigError(f"{path}: not UTF-8 text (byte {at})")


# yaml's and Unicode's own errors hold the text, which may have a secret in it: what is
# raised is neither within their except nor caused by them
def _composed(text: str) -> tuple[yaml.Node | None, str | None]:
    try:
        return yaml.compose(text, Loader=yaml.BaseLoader), None
    except yaml.MarkedYAMLError as error:
        what = error.problem or error.context or "cannot be parsed"
        return None, f"{_QUOTED.sub('(not shown)', what)}{_place(error.problem_mark)}"
    except yaml.YAMLError as error:
        return None, " ".join(str(error).split())
    except RecursionError:
        return None, "nested too deeply"


def _construct(node: yaml.Node, name: str, done: dict[yaml.Node, object]) -> object:
    if node.tag != _IMPLICIT[type(node)]:
        # not shown: it may be a passphrase that begins with an exclamation mark
        raise ConfigError(f"{name}: a tag (!...) is refused{_place(node.start_mark)}")
    if isinstance(node, yaml.ScalarNode):
        return _scalar(node.value) if node.style is None else node.value
    if node in done:  # an alias: shared, not copied, so that a tiny file cannot grow huge
        return done[node]
    if isinstance(node, yaml.SequenceNode):
        items: list[object] = []
        done[node] = items
        items += [_construct(item, name, done) for item in node.value]
        return items
    return _mapping(node, name, done)


def _mapping(node: yaml.Node, name: str, done: dict[yaml.Node, object]) -> dict[object, object]:
    mapping: dict[object, object] = {}
    done[node] = mapping
    for key_node, value_node in node.value:
        key = _construct(key_node, name, done)
        if isinstance(key, (list, dict)):
            raise ConfigError(f"{name}: a key must be plain text{_place(key_node.start_mark)}")
        if key in mapping:
            place = _place(key_node.start_mark)
            raise ConfigError(f"{name}: the key {key!r} is there twice{place}")
        mapping[key] = _construct(value_node, name, done)
    return mapping


def _scalar(text: str) -> object:
    if _NULL.fullmatch(text):
        return None
    if text in _BOOL:
        return _BOOL[text]
    if _INT.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


def _kind(value: object) -> str:
    if isinstance(value, list):
        return "a list"
    return "a text" if isinstance(value, str) else f"the value {value!r}"


def _place(mark: yaml.Mark | None) -> str:
    # the mark alone: yaml's own message quotes the line, which may hold a secret
    return "" if mark is None else f" (line {mark.line + 1}, column {mark.column + 1})"
