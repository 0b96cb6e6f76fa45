"""The stand-in venue: Binance's REST dialect and streams on loopback, with scripted faults.

Read `server` first. REST: `rest` (what is answered), `weights` and `gate` (what is
refused), `faults` (what is broken on purpose), `series` (where candles come from).
WebSocket: `sockets` (who may connect), `connection`, `sources` (what streams say and
when), `pump` (sends it), `socket_faults`, `socket_plans` and `frame_lane` (what is
broken on purpose).
"""

from __future__ import annotations
