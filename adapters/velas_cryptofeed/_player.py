"""Recorded frames through the handlers of a live feed, without a socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack

from velas.feed import FeedAdapter, Frame
from velas.models import Subscription
from velas.status import BadFrame, Connected, Disconnected, Rotated
from velas_cryptofeed._errors import NotAsked
from velas_cryptofeed._session import Plan, Session

__all__ = ["play"]


async def play(feed: FeedAdapter, frames: AsyncIterator[Frame], plans: Mapping[str, Plan]) -> None:
    """Hand `frames` to sessions of `plans`; what was not subscribed is passed over.

    A connection no plan names (the recording carried more, or less) goes to the first.
    """
    with ExitStack() as stack:
        player = _Player(feed, plans, stack)
        async for frame in frames:
            if frame.kind == "open":
                await player.opened(frame)
            elif frame.kind == "close":
                player.closed(frame)
            else:
                await player.text(frame)


class _Player:
    def __init__(self, feed: FeedAdapter, plans: Mapping[str, Plan], stack: ExitStack) -> None:
        self._feed = feed
        self._plans = plans
        self._stack = stack
        self._sessions: dict[str, Session] = {}
        self._open: dict[str, int] = {}

    async def opened(self, frame: Frame) -> None:
        name = frame.connection
        self._open[name] = self._open.get(name, 0) + 1
        if self._open[name] > 1:  # a rotation: the old one is still there
            return
        plan = self._plan(name)
        self._sessions.pop(name, None)
        await self._session(name)
        status = Connected(
            at_ms=self._now_ms(),
            connection=name,
            carries=self._carries(name),
            streams=plan.streams,
        )
        self._feed.report(status)

    def closed(self, frame: Frame) -> None:
        name = frame.connection
        self._open[name] = max(0, self._open.get(name, 1) - 1)
        kind = Rotated if self._open[name] > 0 else Disconnected
        status = kind(
            at_ms=self._now_ms(),
            connection=name,
            carries=self._carries(name),
            reason=frame.data,
        )
        self._feed.report(status)

    async def text(self, frame: Frame) -> None:
        try:
            await self._handle(await self._session(frame.connection), frame)
        except NotAsked:
            return
        except Exception as error:
            self._bad(frame, f"{type(error).__name__}: {error}"[:300])

    async def _handle(self, session: Session, frame: Frame) -> None:
        prefix, text = session.prefix, frame.data
        if prefix is None or session.judge is None:
            await session.handle(text, session.connection, self._now_ms() / 1000)
            return
        if not text.startswith(prefix) or text[len(prefix)] == "!":
            verdict = session.judge(text)
            if verdict.kind == "bad":
                self._bad(frame, verdict.reason)
            if verdict.kind != "data":
                return
        await session.handle(text, session.connection, 0.0)

    async def _session(self, name: str) -> Session:
        session = self._sessions.get(name)
        if session is None:
            session = self._sessions[name] = self._plan(name).dial()
            self._stack.callback(session.release)
            session.connection.write = _into_the_void
            await session.subscribe(session.connection)
        return session

    def _plan(self, name: str) -> Plan:
        return self._plans.get(name) or next(iter(self._plans.values()))

    def _carries(self, name: str) -> tuple[Subscription, ...]:
        plan = self._plans.get(name)
        return () if plan is None else plan.carries  # not known: it may be any

    def _bad(self, frame: Frame, reason: str) -> None:
        name = frame.connection
        status = BadFrame(
            at_ms=self._now_ms(),
            connection=name,
            carries=self._carries(name),
            reason=reason,
        )
        self._feed.report(status)

    def _now_ms(self) -> int:
        return self._feed.clock.now_ms()


async def _into_the_void(_message: str) -> None:
    return None
