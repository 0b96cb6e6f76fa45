"""The live contract: any feed and any exchange, made into series without a hole."""

from __future__ import annotations

from velas.stream.stream import Stream

__all__ = ["Stream"]
