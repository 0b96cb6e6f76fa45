"""A recording in memory: a vcrpy cassette, what it says of itself, and its answers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import attrs
import yaml
from aiohttp import ClientResponse, ClientSession
from vcr.cassette import Cassette
from vcr.matchers import method as same_method
from vcr.matchers import path as same_path
from vcr.matchers import query as same_query
from vcr.record_mode import RecordMode
from vcr.request import Request
from vcr.serialize import deserialize, serialize
from vcr.serializers import yamlserializer
from vcr.stubs.aiohttp_stubs import vcr_request

from velas.errors import ConfigError
from velas_replay._errors import NotRecorded
from velas_replay._route import Send
from velas_replay._scrub import clean_response, clean_uri

__all__ = ["Label", "Playback", "Tape", "load", "new_cassette", "save"]

_HINT = "make one with `python -m velas_replay.record`"
_SHOWN = 3


@attrs.frozen
class Label:
    """What a recording says of itself: the adapter it was made with, when, from what."""

    exchange: str = attrs.field(validator=attrs.validators.instance_of(str))
    recorded_ms: int = attrs.field(validator=attrs.validators.instance_of(int))
    source: str = attrs.field(validator=attrs.validators.instance_of(str))


@attrs.frozen
class Tape:
    """A loaded recording; `cassette` answers the same request as often as it comes."""

    path: Path
    label: Label
    cassette: Cassette = attrs.field(repr=False)


@attrs.define
class Playback:
    """Answers the requests of one call, and keeps the first that cannot be answered.

    The adapter turns what is raised in its transport into an error of its own; `missing`
    is the plain one.
    """

    tape: Tape
    missing: NotRecorded | None = None

    async def send(
        self, real: Send, session: ClientSession, method: str, url: object, **options: Any
    ) -> ClientResponse:
        """Return the recorded response; never sends.

        Raises:
            NotRecorded: there is none.
        """
        cassette = self.tape.cassette
        if not cassette.can_play_response_for(Request(method, str(url), None, {})):
            self.missing = self.missing or NotRecorded(_not_there(self.tape, method, str(url)))
            raise self.missing
        response: ClientResponse = await vcr_request(cassette, real)(
            session, method, url, **options
        )
        return response


def load(path: Path, exchange: str) -> Tape:
    """Return the recording in a file, made with the adapter `exchange`.

    Raises:
        ConfigError: no such file, no recording, an empty one, or one of another venue.
    """
    name = f"recording {str(path)!r}"
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{name} is not there; {_HINT}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{name} cannot be read: {error}") from error
    reader = _Reader()
    cassette = new_cassette(path, RecordMode.NONE)
    try:
        requests, responses, *_ = deserialize(text, reader)
        label = Label(**reader.document["metadata"])
        for request, response in zip(requests, responses, strict=True):
            cassette.append(request, response)
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{name} is broken: {' '.join(str(error).split())}") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{name} is not a recording of velas ({error!r}); {_HINT}") from error
    if not len(cassette):
        raise ConfigError(f"{name} is empty: it holds no request; {_HINT}")
    if label.exchange != exchange:
        raise ConfigError(
            f"{name} was made with {label.exchange!r}, and replay.exchange is {exchange!r}: "
            f"set replay.exchange to {label.exchange}"
        )
    return Tape(path, label, cassette)


def new_cassette(path: Path, mode: RecordMode) -> Cassette:
    """Return an empty cassette that keeps nothing but what may enter a recording."""
    cassette = Cassette(
        str(path),
        record_mode=mode,
        match_on=(same_method, same_path, same_query),
        before_record_request=_clean_request,
        before_record_response=clean_response,
        allow_playback_repeats=True,
    )
    cassette.rewound = True  # vcrpy before 9.4 answers only from what it loaded itself
    return cassette


def save(cassette: Cassette, path: Path, label: Label) -> None:
    """Write a recording; any vcrpy can read it."""
    recorded = {"requests": cassette.requests, "responses": cassette.responses}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(serialize(recorded, _Writer(label)), "utf-8")


class _Reader:
    def __init__(self) -> None:
        self.document: Any = None

    def deserialize(self, text: str) -> Any:
        self.document = yamlserializer.deserialize(text)
        return self.document


@attrs.frozen
class _Writer:
    label: Label

    def serialize(self, document: dict[str, Any]) -> str:
        text: str = yamlserializer.serialize({**document, "metadata": attrs.asdict(self.label)})
        return text


def _clean_request(request: Request) -> Request:
    return Request(request.method, clean_uri(request.uri), None, {})


def _not_there(tape: Tape, method: str, url: str) -> str:
    parts = urlsplit(clean_uri(url))
    kept = [request for request in tape.cassette.requests if request.method == method]
    there = [request.query for request in kept if request.path == parts.path]
    asked = parse_qsl(parts.query)
    what = f"{method} {parts.path}" + (f" {_shown(asked)}" if asked else "")
    if there:
        near = sorted(there, key=lambda query: -len(set(query) & set(asked)))[:_SHOWN]
        more = f" and {len(there) - len(near)} more" if len(there) > len(near) else ""
        holds = f"of {parts.path} it holds: {'; '.join(map(_shown, near))}{more}"
    else:
        holds = f"it holds: {', '.join(sorted({request.path for request in kept})) or 'nothing'}"
    return f"not in the recording {str(tape.path)!r}: {what}; {holds}"


def _shown(query: Iterable[tuple[str, str]]) -> str:
    return " ".join(f"{name}={value}{_as_date(value)}" for name, value in query) or "no parameters"


def _as_date(value: str) -> str:
    if len(value) != 13 or not value.isdecimal():  # ms since 2001
        return ""
    moment = dt.datetime.fromtimestamp(int(value) // 1000, dt.UTC)
    return f" ({moment:%Y-%m-%d %H:%M:%S})"
