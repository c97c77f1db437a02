"""Boxes of ISO base media files (ISO/IEC 14496-12, section 4.2), which JPEG XL, AVIF and HEIC are laid out in."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Box:
    """kind: four letters. at: where its first byte lies in the data. start: where its body begins."""

    kind: bytes
    body: bytes
    at: int
    start: int


def walk(data: bytes, at: int = 0, end: int | None = None) -> Iterator[Box]:
    """The boxes that lie one behind the other in data[at:end]. Raises ValueError where one ends outside of it."""
    end = len(data) if end is None else end
    while at < end:
        size, kind = struct.unpack_from(">I4s", data.ljust(at + 8, b"\0"), at)
        start = at + 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data.ljust(start + 8, b"\0"), start)
            start += 8
        stop = at + size if size else end
        if stop > end or stop < start:
            raise ValueError(f"a box of {size} bytes at {at} of {end}")
        yield Box(kind, data[start:stop], at, start)
        at = stop


def packed(kind: bytes, body: bytes) -> bytes:
    """A box; large ones with their size in 8 bytes."""
    if len(body) + 8 < 2**32:
        return struct.pack(">I4s", len(body) + 8, kind) + body
    return struct.pack(">I4sQ", 1, kind, len(body) + 16) + body
