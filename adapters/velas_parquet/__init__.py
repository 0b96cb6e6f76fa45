"""Candle series on disk as Parquet files: durable, locked, checked byte by byte."""

from velas_parquet._repair import Damage, Repair
from velas_parquet._store import ParquetStore

__all__ = ["Damage", "ParquetStore", "Repair"]
