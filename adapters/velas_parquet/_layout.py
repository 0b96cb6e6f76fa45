"""How a file of the store is laid out: Parquet with an index of checksums inside.

Parquet's own page checksums leave page headers and the footer unprotected. So the file
carries, just before its footer (where any Parquet reader skips it), a block that has for
every row group its first and last open time and for every column chunk its place, length
and CRC-32. Block and footer have a CRC-32 of their own. No byte reaches the decoder
unchecked. Little-endian:

    PAR1 | column chunks | block: int64[groups, 2 + 3 * columns] | groups u32, crc u32,
    b"VELASIX1" | footer | footer length u32 | PAR1
"""

from __future__ import annotations

import struct
import zlib

import numpy as np
import numpy.typing as npt

from velas.frames import COLUMNS

__all__ = ["END", "FIELDS", "MAGIC", "TRAILER", "Index", "checksum"]

TRAILER = struct.Struct("<II8s")
MAGIC = b"VELASIX1"
END = struct.Struct("<I4s")
FIELDS = 2 + 3 * len(COLUMNS)

Index = npt.NDArray[np.int64]


def checksum(block: bytes, groups: int, footer: bytes, total: int) -> int:
    """Return the CRC-32 of an index block, the footer, and the size of the whole file."""
    return zlib.crc32(struct.pack("<IQ", groups, total), zlib.crc32(footer, zlib.crc32(block)))
