"""What a failed order request at any venue means: no order, an order, or nobody knows."""

from __future__ import annotations

import re

from velas import errors
from velas_ccxt._errors import Reply

__all__ = ["order_error"]

# answered by what stands before the venue's engine, whatever the body says
_BEFORE_THE_ENGINE = (401, 403, 418, 429, 451)
# ccxt's names for "not now" that the venue says before it looks at an order
_REFUSED_UNSEEN = frozenset({"DDoSProtection", "RateLimitExceeded", "InvalidNonce"})
_DUPLICATE = re.compile(r"(?i)duplicat")


def order_error(known: errors.VelasError, reply: Reply) -> errors.VelasError:
    """Return the error an order ends with that has left, for what `_errors` made of it.

    An order is known not to exist only where the venue has judged it: ccxt has read a
    refusal in the body of an answer below 500, one that is not the venue's own trouble.
    Where in doubt it is open: asking costs a request, a second order costs money.
    """
    message = str(known)
    if not 200 <= reply.status < 500 or reply.status == 408:
        return _open(known)
    if reply.status in _BEFORE_THE_ENGINE:
        return known
    if reply.judged is None:
        # ccxt read no refusal; one of 400 and up that is JSON is one nevertheless
        if reply.status >= 400 and isinstance(reply.document, dict | list):
            return known
        return _open(known)
    names = {one.__name__ for one in type(reply.judged).__mro__}
    if names & _REFUSED_UNSEEN:
        return known
    if "OperationFailed" in names:
        return _open(known)
    refused = isinstance(known, errors.OrderRejected | errors.BadRequest)
    if refused and _DUPLICATE.search(message):
        # ccxt has no name for it at some venues; to ask for the order is right in any case
        return errors.DuplicateOrder(message)
    return known


def _open(known: errors.VelasError) -> errors.VelasError:
    if isinstance(known, errors.Unavailable | errors.RequestTimeout | errors.BadResponse):
        return known
    return errors.BadResponse(str(known))
