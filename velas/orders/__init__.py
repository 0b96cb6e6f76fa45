"""Orders, once: an intent is written down before its order leaves, and settled for sure."""

from velas.orders.client_id import client_id_of
from velas.orders.desk import OrderDesk
from velas.orders.journal import Intent, IntentState, Journal
from velas.orders.settling import Patience
from velas.orders.venue import Fence, OrderVenue, Sending

__all__ = [
    "Fence",
    "Intent",
    "IntentState",
    "Journal",
    "OrderDesk",
    "OrderVenue",
    "Patience",
    "Sending",
    "client_id_of",
]
