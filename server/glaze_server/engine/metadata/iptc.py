"""IPTC's records (IIM 4.2, section 1.5), and Photoshop's resources in which JPEG files hold them."""

from __future__ import annotations

import struct
from collections.abc import Iterator

KEPT = {(1, 90), (2, 5), (2, 25), (2, 80), (2, 85), (2, 105), (2, 110), (2, 116), (2, 120)}
"""Character set; title, keywords, author, the author's title, headline, credit, copyright, caption."""
PREVIEW, OBJECT = {(2, 200), (2, 201), (2, 202)}, (7, 8, 9)
"""Data sets and records that hold the picture itself (sections 6 to 9 of IIM)."""

PHOTOSHOP = b"Photoshop 3.0\0"
RESOURCE = 0x0404


def records(block: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Record, data set and the bytes of both; ends where the block is damaged."""
    at = 0
    while at + 5 <= len(block) and block[at] == 0x1C:
        (size,), start = struct.unpack_from(">H", block, at + 3), at + 5
        if size & 0x8000:  # an extended data set: so many bytes hold its size
            start += size & 0x7FFF
            size = int.from_bytes(block[at + 5 : start], "big")
        if start + size > len(block):
            return
        yield block[at + 1], block[at + 2], block[at : start + size]
        at = start + size


def texts(block: bytes) -> dict[int, list[str]]:
    """Data set → its texts, of record 2; in UTF-8 or, where they are not, in Latin-1."""
    found: dict[int, list[str]] = {}
    for record, number, whole in records(block):
        if record == 2:
            (size,) = struct.unpack_from(">H", whole, 3)
            body = whole[5 + (size & 0x7FFF if size & 0x8000 else 0) :]
            try:
                text = body.decode()
            except UnicodeDecodeError:
                text = body.decode("latin-1")
            found.setdefault(number, []).append(text)
    return found


def kept(block: bytes, mode: str) -> bytes:
    """The block without what stays behind."""
    if mode == "none":
        return b""
    return b"".join(
        whole
        for record, number, whole in records(block)
        if (mode == "keep-all" or (record, number) in KEPT) and (record, number) not in PREVIEW and record not in OBJECT
    )


def from_photoshop(resources: bytes) -> bytes:
    """IPTC's records among Photoshop's resources, b"" where there are none."""
    at = 0
    while resources[at : at + 4] == b"8BIM" and at + 12 <= len(resources):
        (number,) = struct.unpack_from(">H", resources, at + 4)
        name = resources[at + 6] + 1
        start = at + 6 + name + name % 2
        if start + 4 > len(resources):
            break
        (size,) = struct.unpack_from(">I", resources, start)
        if number == RESOURCE:
            return resources[start + 4 : start + 4 + size]
        at = start + 4 + size + size % 2
    return b""


def as_photoshop(block: bytes) -> bytes:
    """One of Photoshop's resources that holds the records."""
    return b"8BIM" + struct.pack(">HHI", RESOURCE, 0, len(block)) + block + bytes(len(block) % 2)
