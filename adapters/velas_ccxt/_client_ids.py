"""Client order ids in the form that each venue takes, and back where that can be."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping

import attrs

from velas.errors import BadRequest

__all__ = ["ClientIds", "client_ids"]

_COUNT = 24  # see velas.orders.client_id
_OURS = re.compile(r"velas-([a-z2-7]{24})")
_MARK = ord("v")  # the first byte of a UUID that velas made, 120 bits of the id after it
_DIGITS = "abcdefghijklmnopqrstuvwxyz234567"


def _kept(_: str) -> str | None:
    return None


@attrs.frozen
class ClientIds:
    """How one venue spells client ids.

    `param` is ccxt's name for it, `allowed` what the venue takes. `shorten` and `restore`
    are for ids that velas made, which are longer than some venues allow.
    """

    venue: str
    allowed: re.Pattern[str] = re.compile(r"[A-Za-z0-9_-]{1,36}")
    param: str = "clientOrderId"
    shorten: Callable[[str], str] = "velas-{}".format
    restore: Callable[[str], str | None] = _kept
    prefix: str = ""  # put before it by ccxt on its way out

    def out(self, client_id: str) -> str:
        """Return an id as ccxt is to be given it.

        Raises:
            BadRequest: the venue cannot take it.
        """
        ours = _OURS.fullmatch(client_id)
        bare = self.shorten(ours[1]) if ours else client_id.removeprefix(self.prefix)
        if not self.allowed.fullmatch(bare):
            raise BadRequest(
                f"{self.venue}: client_id {client_id!r} is none the venue takes, it must match "
                f"{self.allowed.pattern}"
            )
        return bare

    def back(self, wire: object) -> str | None:
        """Return an id of a reply as it was given to velas."""
        if not isinstance(wire, str) or not wire:
            return None
        bare = wire.removeprefix(self.prefix)
        found = self.restore(bare)
        return bare if found is None else f"velas-{found}"

    def is_same(self, wire: object, client_id: str) -> bool:
        """Say whether an id of a reply is the one that was sent for `client_id`."""
        return isinstance(wire, str) and wire.removeprefix(self.prefix) == self.out(client_id)


def client_ids(venue: str) -> ClientIds:
    """Return how a venue, by its ccxt id, spells client ids."""
    return _VENUES.get(venue) or ClientIds(venue)


def _as_uuid(digits: str) -> str:
    number = 0
    for digit in digits:
        number = number * 32 + _DIGITS.index(digit)
    return str(uuid.UUID(int=_MARK << 120 | number))


def _of_uuid(wire: str) -> str | None:
    try:
        number = uuid.UUID(wire).int
    except ValueError:
        return None
    digits = ""
    while len(digits) < _COUNT:
        number, digit = divmod(number, 32)
        digits = _DIGITS[digit] + digits
    return digits if number == _MARK else None


def _stripped(prefix: str) -> Callable[[str], str | None]:
    form = re.compile(rf"{prefix}([a-z2-7]{{24}})")

    def restore(wire: str) -> str | None:
        found = form.fullmatch(wire)
        return found[1] if found else None

    return restore


def _okx(venue: str) -> ClientIds:
    # OKX, Place order, clOrdId: up to 32 letters and digits
    return ClientIds(
        venue,
        re.compile(r"[A-Za-z0-9]{1,32}"),
        shorten="velas{}".format,
        restore=_stripped("velas"),
    )


def _gate(venue: str) -> ClientIds:
    # Gate, Create an order, text: "t-" and up to 28 bytes more; ccxt puts the "t-" there,
    # unless there is a "t" already
    return ClientIds(
        venue,
        re.compile(r"(?!t)[A-Za-z0-9._-]{1,28}"),
        shorten="v-{}".format,
        restore=_stripped("v-"),
        prefix="t-",
    )


_VENUES: Mapping[str, ClientIds] = {
    # Kraken, Spot Client Order Identifiers: a UUID, or free text of up to 18 characters
    "kraken": ClientIds(
        "kraken",
        re.compile(r"[A-Za-z0-9_-]{1,18}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32}"),
        shorten=_as_uuid,
        restore=_of_uuid,
    ),
    **{venue: _okx(venue) for venue in ("okx", "okxus", "myokx")},
    **{venue: _gate(venue) for venue in ("gate", "gateeu")},
    # these two ccxt classes drop `clientOrderId`, but send the venue's own name as it is
    "coinbase": ClientIds("coinbase", param="client_order_id"),
    "cryptocom": ClientIds("cryptocom", param="client_oid"),
}
