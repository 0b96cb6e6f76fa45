"""The settings as typed values: every key, its default, its unit and its rule."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Literal

import attrs

from velas import rules
from velas.credentials import Credentials, Secret
from velas.errors import ConfigError

__all__ = [
    "Credentials",
    "History",
    "Limits",
    "Replay",
    "Rest",
    "Secret",
    "Settings",
    "Stream",
    "Trading",
    "TradingMode",
    "VolatilityRegimes",
    "Ws",
]

TradingMode = Literal["off", "test", "live"]


@attrs.frozen(kw_only=True)
class Rest:
    """How requests go out: `url` replaces the venue's scheme, host and port."""

    url: str | None = attrs.field(
        default=None, validator=rules.optional(rules.url("http", "https"))
    )
    timeout_s: float = attrs.field(default=10.0, validator=rules.number(most=600))


@attrs.frozen(kw_only=True)
class Ws:
    """Where the live stream connects: `url` replaces the venue's scheme, host and port."""

    url: str | None = attrs.field(default=None, validator=rules.optional(rules.url("ws", "wss")))


@attrs.frozen(kw_only=True)
class Limits:
    """The request budget; None means what the venue itself says.

    `history_share` and `live_share` are the parts of the budget that downloads, and
    downloads and live repair together, may use up; orders may use all of it.
    """

    requests_per_second: float | None = attrs.field(
        default=None, validator=rules.optional(rules.number(most=10_000))
    )
    burst_size: int | None = attrs.field(
        default=None, validator=rules.optional(rules.whole(1, 100_000))
    )
    retry_attempts: int = attrs.field(default=6, validator=rules.whole(1, 100))
    history_share: float = attrs.field(default=0.96, validator=rules.number(most=1))
    live_share: float = attrs.field(default=0.98, validator=rules.number(most=1))
    max_wait_s: float = attrs.field(default=900.0, validator=rules.number(most=86_400))

    def __attrs_post_init__(self) -> None:
        """Refuse lanes in the wrong order."""
        if self.history_share > self.live_share:
            raise ConfigError(
                f"history_share ({self.history_share:g}) must not exceed live_share "
                f"({self.live_share:g}): live repair goes before history"
            )


@attrs.frozen(kw_only=True)
class History:
    """What `velas download` fetches, and how much of it at once.

    `symbols` None means all of `pairs_file`. `parallel` series are fetched at a time,
    `pages_in_flight` requests over all of them.
    """

    intervals: tuple[str, ...] = attrs.field(
        default=("30m", "1h", "2h"), validator=rules.texts(rules.interval, "intervals")
    )
    symbols: tuple[str, ...] | None = attrs.field(
        default=None, validator=rules.optional(rules.texts(rules.symbol, "symbols"))
    )
    months: int = attrs.field(default=12, validator=rules.whole(1, 240))
    parallel: int = attrs.field(default=8, validator=rules.whole(1, 64))
    pages_in_flight: int = attrs.field(default=24, validator=rules.whole(1, 256))


@attrs.frozen(kw_only=True)
class Stream:
    """What the live stream keeps, and when it loses patience.

    `queue_size` closed candles and trades may wait for a slow consumer. A series silent
    for `mute_after_s` is checked by REST; a socket is replaced after `rotate_after_h`.
    """

    memory_candles: int = attrs.field(default=1000, validator=rules.whole(1, 1_000_000))
    queue_size: int = attrs.field(default=10_000, validator=rules.whole(1, 10_000_000))
    mute_after_s: float = attrs.field(default=30.0, validator=rules.number(most=86_400))
    rotate_after_h: float = attrs.field(default=23.0, validator=rules.number(most=24))


@attrs.frozen(kw_only=True)
class Trading:
    """Whether orders leave: ``off``, ``test`` (the venue's test endpoint) or ``live``.

    `max_notional` is the most one order may be worth, in quote currency; None is no
    limit. `credentials_file` is a private file of keys, see
    `velas.credentials.read_credentials`; the environment's go over it. A venue executes
    a request at most `recv_window_ms` after its time stamp. `settle_s` after that it is
    asked whether it has an order, before the order counts as absent; one known to be
    absent is sent again only within `resend_s` after it was first wanted, with 0 never.
    """

    mode: TradingMode = attrs.field(default="off", validator=rules.mode)
    max_notional: Decimal | None = attrs.field(default=None, validator=rules.optional(rules.amount))
    credentials_file: Path | None = attrs.field(default=None, validator=rules.optional(rules.path))
    recv_window_ms: int = attrs.field(default=5000, validator=rules.whole(1, 60_000))
    settle_s: float = attrs.field(default=15.0, validator=rules.number(least=5, most=600))
    resend_s: float = attrs.field(default=60.0, validator=rules.number(least=0, most=3600))


@attrs.frozen(kw_only=True)
class VolatilityRegimes:
    """Where `velas.regimes.classify` draws its lines.

    `window` is in candles; the others are annualised realised volatility (0.5 is 50 % a
    year): below `low` is ``low``, from `high` on ``high``, from `extreme` on ``extreme``.
    """

    window: int = attrs.field(default=48, validator=rules.whole(2, 100_000))
    low: float = attrs.field(default=0.3, validator=rules.number())
    high: float = attrs.field(default=0.8, validator=rules.number())
    extreme: float = attrs.field(default=1.5, validator=rules.number())

    def __attrs_post_init__(self) -> None:
        """Refuse thresholds out of order."""
        if not self.low < self.high < self.extreme:
            raise ConfigError(
                "thresholds must rise, low < high < extreme, not "
                f"{self.low:g}, {self.high:g}, {self.extreme:g}"
            )


@attrs.frozen(kw_only=True)
class Replay:
    """What ``exchange: replay`` plays: a recording, made with the adapter `exchange`.

    `recording` answers requests, `tape` is what the sockets said.
    """

    recording: Path | None = attrs.field(default=None, validator=rules.optional(rules.path))
    tape: Path | None = attrs.field(default=None, validator=rules.optional(rules.path))
    exchange: str = attrs.field(default="binance_spot", validator=rules.adapter_name)


@attrs.frozen(kw_only=True)
class Settings:
    """All settings, complete and valid. Make them with `velas.load_settings`.

    Relative paths are relative to the current directory. `db_path` is by default
    ``velas.db`` in `data_dir`; `attrs.evolve` with another `data_dir` keeps it.
    `pairs_file` None means the list that velas ships. `sources` says which keys are not
    at their default, and why: ``{"history.months": "file config.yaml"}``. `credentials`
    are those of `exchange` and of nobody else: `attrs.evolve` with an exchange of another
    account leaves none of them.
    """

    exchange: str = attrs.field(default="binance_spot", validator=rules.adapter_name)
    data_dir: Path = attrs.field(default=Path("data"), validator=rules.path)
    db_path: Path = attrs.field(
        default=attrs.Factory(lambda self: self.data_dir / "velas.db", takes_self=True),
        validator=rules.path,
    )
    pairs_file: Path | None = attrs.field(default=None, validator=rules.optional(rules.path))
    rest: Rest = attrs.field(factory=Rest)
    ws: Ws = attrs.field(factory=Ws)
    limits: Limits = attrs.field(factory=Limits)
    history: History = attrs.field(factory=History)
    stream: Stream = attrs.field(factory=Stream)
    trading: Trading = attrs.field(factory=Trading)
    volatility_regimes: VolatilityRegimes = attrs.field(factory=VolatilityRegimes)
    replay: Replay = attrs.field(factory=Replay)
    credentials: Credentials = attrs.field(factory=Credentials)
    sources: Mapping[str, str] = attrs.field(factory=dict, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        """Drop the keys of another venue: none may ever be shown to this one."""
        object.__setattr__(self, "credentials", self.credentials.only_for(self.exchange))
