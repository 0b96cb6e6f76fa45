"""Live feeds through cryptofeed's connections and message handlers."""

from __future__ import annotations

__all__: list[str] = []
