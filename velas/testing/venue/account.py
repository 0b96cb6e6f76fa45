"""Who may trade at the stand-in: keys that are no secret, and what the account begins with."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import attrs

from velas.errors import ConfigError

__all__ = ["DEFAULT_ACCOUNT", "STAND_IN_KEY", "STAND_IN_SECRET", "Account"]

STAND_IN_KEY = "stand-in-key"
STAND_IN_SECRET = "stand-in-secret"

_BALANCES = {"USDT": "100000", "BTC": "2", "ETH": "20", "BNB": "100"}


def _start() -> Mapping[str, Decimal]:
    return {asset: Decimal(amount) for asset, amount in _BALANCES.items()}


def _positive(_: object, __: object, value: Mapping[str, Decimal]) -> None:
    bad = {name: amount for name, amount in value.items() if amount < 0 or not amount.is_finite()}
    if bad:
        raise ConfigError(f"account balances {bad!r} must be finite and not negative")


@attrs.frozen
class Account:
    """One API key, its secret, and the free balances its account begins with.

    The default is `STAND_IN_KEY` with 100000 USDT, 2 BTC, 20 ETH and 100 BNB. `leverage`
    is that of every USDT-M symbol; Spot has no use for it.
    """

    api_key: str = STAND_IN_KEY
    api_secret: str = attrs.field(default=STAND_IN_SECRET, repr=False)
    balances: Mapping[str, Decimal] = attrs.field(factory=_start, validator=_positive)
    leverage: int = 20


DEFAULT_ACCOUNT = Account()
