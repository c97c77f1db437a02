"""Arithmetic on the samples of pictures as painting programs hold them: bytes in, bytes out, little-endian.

A cloak is carried onto samples deeper than those that the engine takes as the difference that it makes.
"""

from __future__ import annotations

import struct
from array import array
from operator import sub

from glaze_plugin.raster import RasterFormat

SAMPLE_BYTES = {"u8": 1, "u16": 2, "u32": 4, "half": 2, "float": 4, "double": 8}
ARRAYS = {"float": "f", "double": "d"}

KEPT = bytes(1) + b"\xff" * 255
"""All but sums below the range, which become 0."""
FULL = bytes(2) + b"\xff" * 254
"""Sums above the range, which become its top."""


def moved(own: bytes, before: bytes, after: bytes, depth: str) -> bytes:
    """own + (after − before) for each sample, integers kept in their range; where before = after, own to the bit.

    own, before, after: as many bytes each. depth: a key of SAMPLE_BYTES.
    """
    if before == after:
        return own
    if depth in ARRAYS:
        kind = ARRAYS[depth]
        change = map(sub, array(kind, before), array(kind, after))
        return array(kind, map(sub, array(kind, own), change)).tobytes()
    if depth == "half":
        return _moved_halves(own, before, after)
    return _moved_integers(own, before, after, SAMPLE_BYTES[depth])


def _moved_halves(own: bytes, before: bytes, after: bytes) -> bytes:
    halves = struct.Struct(f"={len(own) // 2}e")
    change = map(sub, halves.unpack(before), halves.unpack(after))
    sums = list(map(sub, halves.unpack(own), change))
    try:
        return halves.pack(*sums)
    except OverflowError:
        top = 65504.0
        return halves.pack(*(min(max(value, -top), top) if abs(value) < float("inf") else value for value in sums))


def _moved_integers(own: bytes, before: bytes, after: bytes, size: int) -> bytes:
    """All samples at once, as one huge number in which each has a lane of twice its `size` (bytes).

    A lane starts at one above the sample's range, so what lies above the sample in the end is 0 for a sum below the
    range, 1 for one within and 2 for one above.
    """
    lane = 2 * size
    middle = int.from_bytes((bytes(size) + b"\1" + bytes(size - 1)) * (len(own) // size), "little")
    total = middle + _lanes(own, size) + _lanes(after, size) - _lanes(before, size)
    sums = total.to_bytes(2 * len(own), "little")
    reach = sums[size::lane]
    keep, full = (int.from_bytes(reach.translate(table), "little") for table in (KEPT, FULL))
    moved = bytearray(len(own))
    for place in range(size):
        plane = (int.from_bytes(sums[place::lane], "little") | full) & keep
        moved[place::size] = plane.to_bytes(len(reach), "little")
    return bytes(moved)


def _lanes(samples: bytes, size: int) -> int:
    wide = bytearray(2 * len(samples))
    for place in range(size):
        wide[place :: 2 * size] = samples[place::size]
    return int.from_bytes(wide, "little")


def opaque(samples: bytes, layout: RasterFormat) -> bool:
    """Whether every pixel of some rows is opaque."""
    if not layout.channels.endswith("A"):
        return True
    size = SAMPLE_BYTES[layout.depth]
    pixel = size * len(layout.channels)
    planes = (samples[place::pixel] for place in range(pixel - size, pixel))
    return all(plane.count(255) == len(plane) for plane in planes)
