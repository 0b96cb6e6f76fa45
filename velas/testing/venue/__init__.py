"""The stand-in venue: Binance's REST dialect on loopback, with scripted faults.

Read `server` first, then `rest` (what is answered), `weights` and `gate` (what is
refused), `faults` (what is broken on purpose), `series` (where candles come from).
"""

from __future__ import annotations
