"""EXIF blocks and TIFF directories: the entries of the first directory, as the bytes that stand there.

Source: TIFF 6.0, section 2; EXIF 2.3, section 4.6.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
"""Type → bytes of one value."""

DESCRIPTION, ARTIST, COPYRIGHT, TITLE = 270, 315, 33432, 269
ORIENTATION, X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT = 274, 282, 283, 296
LOOKS = (ORIENTATION, X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT)
"""Without these the picture would not be shown as it was."""
AUTHOR = (TITLE, DESCRIPTION, ARTIST, COPYRIGHT, 40091, 40093, 40094, 40095)
"""DocumentName, ImageDescription, Artist, Copyright; XPTitle, XPAuthor, XPKeywords, XPSubject."""
THUMBNAIL, THUMBNAIL_LENGTH = 513, 514
NAMES = {"Title": TITLE, "Author": ARTIST, "Description": DESCRIPTION, "Copyright": COPYRIGHT}
"""PNG's keyword → tag."""


@dataclass(frozen=True)
class Entry:
    """One tag. value: its bytes, in the byte order of its block."""

    tag: int
    type: int
    count: int
    value: bytes


def read(block: bytes) -> tuple[str, list[Entry], int]:
    """Byte order ("<" or ">"), entries of the first directory, and the offset of the next; none where it is damaged."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(block[:4])
    if order is None or len(block) < 8:
        return "<", [], 0
    return order, *directory(block, order, struct.unpack_from(order + "I", block, 4)[0])


def directory(block: bytes, order: str, start: int) -> tuple[list[Entry], int]:
    """The entries at an offset, those that lie outside of the block left out, and the offset of the next directory."""
    entries: list[Entry] = []
    try:
        (count,) = struct.unpack_from(order + "H", block, start)
        for at in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind, number, offset = struct.unpack_from(order + "HHII", block, at)
            size = SIZES.get(kind, 0) * number
            where = at + 8 if size <= 4 else offset
            if size and where + size <= len(block):
                entries.append(Entry(tag, kind, number, block[where : where + size]))
        return entries, struct.unpack_from(order + "I", block, start + 2 + 12 * count)[0]
    except struct.error:
        return entries, 0


def write(order: str, entries: Sequence[Entry]) -> bytes:
    """A block of one directory; b"" for no entries."""
    if not entries:
        return b""
    entries = sorted(entries, key=lambda entry: entry.tag)
    start = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, len(entries))
    table, values, place = b"", b"", 8 + 2 + 12 * len(entries) + 4
    for entry in entries:
        table += struct.pack(order + "HHI", entry.tag, entry.type, entry.count)
        if len(entry.value) <= 4:
            table += entry.value.ljust(4, b"\0")
        else:
            table += struct.pack(order + "I", place + len(values))
            values += entry.value + bytes(len(entry.value) % 2)
    return start + table + bytes(4) + values


def kept(block: bytes, mode: str) -> bytes:
    """The block without what stays behind."""
    if mode == "keep-all":
        return without_thumbnail(block)
    order, entries, _ = read(block)
    wanted = LOOKS + AUTHOR if mode == "safe" else LOOKS
    return write(order, [entry for entry in entries if entry.tag in wanted])


def without_thumbnail(block: bytes) -> bytes:
    """The block with its second directory and the thumbnail in it blotted out, all else at its place."""
    order, entries, following = read(block)
    if not following or not entries:
        return block
    changed = bytearray(block)
    (start,) = struct.unpack_from(order + "I", block, 4)
    (count,) = struct.unpack_from(order + "H", block, start)
    struct.pack_into(order + "I", changed, start + 2 + 12 * count, 0)
    numbers = {
        entry.tag: int(struct.unpack(order + "I", entry.value)[0])
        for entry in directory(block, order, following)[0]
        if entry.type == 4 and entry.count == 1
    }
    place, length = numbers.get(THUMBNAIL, 0), numbers.get(THUMBNAIL_LENGTH, 0)
    if place and place + length <= len(block):
        changed[place : place + length] = bytes(length)
    return bytes(changed)


def ascii_entry(tag: int, text: str) -> Entry:
    value = text.encode("utf-8") + b"\0"
    return Entry(tag, 2, len(value), value)


def with_texts(block: bytes, texts: dict[str, str]) -> bytes:
    """The block with PNG's texts where it has no entry of that kind; one directory of it, where there are any."""
    order, entries, _ = read(block)
    there = {entry.tag for entry in entries}
    more = [
        ascii_entry(NAMES[name], text) for name, text in texts.items() if name in NAMES and NAMES[name] not in there
    ]
    return write(order, [*entries, *more]) if more else block


def resolution(block: bytes) -> tuple[float, float] | None:
    """px per inch, across and down."""
    order, entries, _ = read(block)
    found = {entry.tag: entry for entry in entries}
    try:
        values = [struct.unpack(order + "II", found[tag].value[:8]) for tag in (X_RESOLUTION, Y_RESOLUTION)]
        unit = found.get(RESOLUTION_UNIT)
        scale = 2.54 if unit and struct.unpack(order + "H", unit.value[:2])[0] == 3 else 1.0
        (x, across), (y, down) = values
        return x / across * scale, y / down * scale
    except (KeyError, ZeroDivisionError, struct.error):
        return None


def with_resolution(block: bytes, resolution: tuple[float, float] | None) -> bytes:
    """The block with a resolution in px per inch, where it has none."""
    order, entries, _ = read(block)
    if resolution is None or any(entry.tag == X_RESOLUTION for entry in entries):
        return block
    rationals = (struct.pack(order + "II", round(value * 10_000), 10_000) for value in resolution)
    more = [Entry(tag, 5, 1, value) for tag, value in zip((X_RESOLUTION, Y_RESOLUTION), rationals, strict=True)]
    return write(order, [*entries, *more, Entry(RESOLUTION_UNIT, 3, 1, struct.pack(order + "H", 2))])


def orientation(block: bytes) -> int:
    """How the samples are to be turned, 1 to 8 (EXIF 2.3, section 4.6.4); 1 where nothing is said."""
    order, entries, _ = read(block)
    found = [entry for entry in entries if entry.tag == ORIENTATION and entry.type == 3]
    number = int(struct.unpack(order + "H", found[0].value[:2])[0]) if found else 1
    return number if 1 <= number <= 8 else 1


def upright(block: bytes) -> bytes:
    """The block of a picture that has been turned as it says, all else at its place."""
    order, entries, _ = read(block)
    changed = bytearray(block)
    (start,) = struct.unpack_from(order + "I", block, 4) if entries else (0,)
    (count,) = struct.unpack_from(order + "H", block, start) if entries else (0,)
    for at in range(start + 2, start + 2 + 12 * count, 12):
        if changed[at : at + 4] == struct.pack(order + "HH", ORIENTATION, 3):
            struct.pack_into(order + "H", changed, at + 8, 1)
    return bytes(changed)
