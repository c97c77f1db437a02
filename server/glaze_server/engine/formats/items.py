"""The items of an AVIF or HEIC file (ISO/IEC 23008-12): the colours that it states by numbers, read and put in.

libvips reads and writes everything else of such a file, but neither of these.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from glaze_server.engine import cicp
from glaze_server.engine.formats import boxes
from glaze_server.engine.formats.boxes import Box

BT601 = 6
"""The matrix that libheif packs with when nothing else is said."""
COLOURS, NUMBERS = b"colr", b"nclx"


def _inner(data: bytes, outer: Box, skip: int = 0) -> dict[bytes, Box]:
    """The boxes in a box, by their kind. skip: bytes before the first."""
    return {box.kind: box for box in boxes.walk(data, outer.start + skip, outer.start + len(outer.body))}


def _meta(data: bytes) -> tuple[Box, dict[bytes, Box]]:
    """The box that describes the items, and what is in it. Raises KeyError where there is none."""
    meta = {box.kind: box for box in boxes.walk(data)}[b"meta"]
    return meta, _inner(data, meta, 4)


def numbers(data: bytes) -> tuple[int, int] | None:
    """Primaries and transfer (H.273), where the file states them and that says something other than sRGB."""
    try:
        meta = _meta(data)[1]
        container = _inner(data, meta[b"iprp"])[b"ipco"]
        for box in boxes.walk(data, container.start, container.start + len(container.body)):
            if box.kind == COLOURS and box.body[:4] == NUMBERS and len(box.body) >= 11:
                found = struct.unpack_from(">HH", box.body, 4)
                return found if cicp.known(*found) and found != cicp.SRGB else None
    except (KeyError, ValueError):
        return None
    return None


def with_numbers(data: bytes, stated: tuple[int, int]) -> bytes:
    """A file that libheif wrote without a statement about its colours, with one."""
    meta, found = _meta(data)
    properties = _inner(data, found[b"iprp"])
    container, associations = properties[b"ipco"], properties[b"ipma"]
    colours = boxes.packed(COLOURS, NUMBERS + struct.pack(">HHHB", *stated, BT601, 0x80))
    number = sum(1 for _ in boxes.walk(data, container.start, container.start + len(container.body))) + 1
    linked = _linked(associations.body, number)
    grown = len(colours) + len(linked) - len(associations.body)
    inside = b""
    for box in found.values():
        if box.kind == b"iprp":
            packed = boxes.packed(b"ipco", container.body + colours) + boxes.packed(b"ipma", linked)
            inside += boxes.packed(b"iprp", packed)
        else:
            inside += boxes.packed(box.kind, _moved(box.body, grown) if box.kind == b"iloc" else box.body)
    end = meta.start + len(meta.body)
    return data[: meta.at] + boxes.packed(b"meta", meta.body[:4] + inside) + data[end:]


def _linked(body: bytes, number: int) -> bytes:
    """Associations of items and properties, with one more property for each item."""
    name, size = 4 if body[0] else 2, 2 if body[3] & 1 else 1
    made, at = body[:8], 8
    for _ in range(*struct.unpack_from(">I", body, 4)):
        count = body[at + name]
        end = at + name + 1 + count * size
        made += body[at : at + name] + bytes([count + 1]) + body[at + name + 1 : end] + number.to_bytes(size, "big")
        at = end
    return made


def _moved(body: bytes, by: int) -> bytes:
    """Places of items, which lie that many bytes further on."""
    changed = bytearray(body)
    for at, size in _places(body):
        if size:
            value = int.from_bytes(body[at : at + size], "big") + by
            changed[at : at + size] = value.to_bytes(size, "big")
    return bytes(changed)


def _places(body: bytes) -> Iterator[tuple[int, int]]:
    """Where a place in the file stands, and in how many bytes: of each item's base, or of each of its extents."""
    version, sizes = body[0], int.from_bytes(body[4:6], "big")
    offset, length, base, index = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15, sizes & 15 if version else 0
    wide = 4 if version == 2 else 2
    at = 6 + wide
    for _ in range(int.from_bytes(body[6:at], "big")):
        at += wide
        inside = bool(version) and body[at + 1] & 15 != 0
        at += (2 if version else 0) + 2
        if not inside:
            yield at, base
        at += base
        count = int.from_bytes(body[at : at + 2], "big")
        at += 2
        for _ in range(count):
            at += index
            if not inside and not base:
                yield at, offset
            at += offset + length
