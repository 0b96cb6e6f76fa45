"""The stand-in venue: Binance's REST dialect and streams on loopback, with scripted faults.

Read `server` first. REST: `rest` (what is answered), `weights` and `gate` (what is
refused), `faults` (what is broken on purpose), `series` (where candles come from).
WebSocket: `sockets` (who may connect), `connection`, `sources` (what streams say and
when), `pump` (sends it), `socket_faults`, `socket_plans` and `frame_lane` (what is
broken on purpose).

Orders: `signing` (who asks, when), `order_side` (from receipt to engine), `spot_orders` and
`futures_orders` (the endpoints), `order_params` and `order_rules` (what is refused),
`engine` (what fills), `funds` (what it costs).
"""

from __future__ import annotations

from velas.testing.venue.account import STAND_IN_KEY, STAND_IN_SECRET

__all__ = ["STAND_IN_KEY", "STAND_IN_SECRET"]
