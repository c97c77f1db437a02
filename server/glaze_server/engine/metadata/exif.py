"""EXIF blocks and TIFF directories: the entries of the first directory, as the bytes that stand there.

Source: TIFF 6.0, section 2; EXIF 2.3, section 4.6; EXIF 3.0 for UTF-8.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 129: 1}
"""Type → bytes of one value; 129 is UTF-8."""
TEXTS = {129: 2}
"""UTF-8 → ASCII, which most programs take for UTF-8, and few know the other."""
SHARING = 2
"""Entries may share values, but those of a directory are together at most so many times as long as the block."""

DESCRIPTION, ARTIST, COPYRIGHT, TITLE = 270, 315, 33432, 269
ORIENTATION, X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT = 274, 282, 283, 296
NUMBERS = {3: "H", 4: "I", 13: "I"}
"""Types of whole numbers → as `struct` calls them."""
LOOKS = (ORIENTATION, X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT)
"""Without these the picture would not be shown as it was."""
AUTHOR = (TITLE, DESCRIPTION, ARTIST, COPYRIGHT, 40091, 40093, 40094, 40095)
"""DocumentName, ImageDescription, Artist, Copyright; XPTitle, XPAuthor, XPKeywords, XPSubject."""
SUB_DIRECTORIES = 330
PIXELS = {273: 279, 324: 325, 513: 514}
"""Offsets of strips, tiles or a JPEG file → their lengths."""
COPIES = (700, 34377)
"""XMP and Photoshop's resources, of which files have their own."""
JPEG = re.compile(rb"\xd8\xff[\xc0-\xfe]")
"""How a JPEG file goes on after its first byte, which some cameras change in their previews."""
MOST, MOST_NUMBERS = 32, 4096
"""Directories that are looked through, and offsets in an entry of theirs."""
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
    """The entries at an offset but those that lie outside or share too much, and the offset of the next directory."""
    entries: list[Entry] = []
    room = SHARING * len(block)
    try:
        (count,) = struct.unpack_from(order + "H", block, start)
        for at in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind, number, offset = struct.unpack_from(order + "HHII", block, at)
            size = SIZES.get(kind, 0) * number
            where = at + 8 if size <= 4 else offset
            if size and size <= room and where + size <= len(block):
                room -= size
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
    table, values, place = bytearray(), bytearray(), 8 + 2 + 12 * len(entries) + 4
    for entry in entries:
        table += struct.pack(order + "HHI", entry.tag, entry.type, entry.count)
        if len(entry.value) <= 4:
            table += entry.value.ljust(4, b"\0")
        else:
            table += struct.pack(order + "I", place + len(values))
            values += entry.value + bytes(len(entry.value) % 2)
    return start + bytes(table) + bytes(4) + bytes(values)


def kept(block: bytes, mode: str) -> bytes:
    """The block without what stays behind."""
    if mode == "keep-all":
        return without_copies(block)
    order, entries, _ = read(block)
    wanted = LOOKS + AUTHOR if mode == "safe" else LOOKS
    return write(
        order, [replace(entry, type=TEXTS.get(entry.type, entry.type)) for entry in entries if entry.tag in wanted]
    )


def extended(block: bytes, more: Sequence[Entry]) -> bytes:
    """The block with entries added, or put in place of those of their tags; all else can be found where it was.

    So the first directory is written anew, at the end.
    """
    order, entries, following = read(block)
    if not entries or not more:
        return write(order, more) if more else block
    out = bytearray(block + bytes(len(block) % 2))
    tags = {struct.pack(order + "H", entry.tag) for entry in more}
    rows = [block[at : at + 12] for at in _rows(block, order)[0] if block[at : at + 2] not in tags]
    for entry in more:
        value = entry.value.ljust(4, b"\0")
        if len(value) > 4:
            value = struct.pack(order + "I", len(out))
            out += entry.value + bytes(len(entry.value) % 2)
        rows.append(struct.pack(order + "HHI", entry.tag, entry.type, entry.count) + value)
    rows.sort(key=lambda row: int(struct.unpack_from(order + "H", row)[0]))
    struct.pack_into(order + "I", out, 4, len(out))
    return bytes(out) + struct.pack(order + "H", len(rows)) + b"".join(rows) + struct.pack(order + "I", following)


def _rows(block: bytes, order: str) -> tuple[range, int]:
    """Where the entries of the first directory lie, each of 12 bytes, and the offset of the next directory."""
    (start,) = struct.unpack_from(order + "I", block, 4)
    (count,) = struct.unpack_from(order + "H", block, start)
    end = start + 2 + 12 * count
    return range(start + 2, min(end, len(block) - 11), 12), end


def without_copies(block: bytes) -> bytes:
    """The block with every copy of the picture in it blotted out, all else at its place.

    These are the thumbnail and other smaller pictures with their directories, and JPEG files wherever they lie, as in
    what camera makers add.
    """
    order, entries, following = read(block)
    if not entries:
        return block
    changed = bytearray(block)
    rows, link = _rows(block, order)
    if following:
        struct.pack_into(order + "I", changed, link, 0)
    first = {entry.tag: entry for entry in entries}
    places = (*_copies(block, order, rows), *_pixels(block, order, following, first), *_jpegs(block))
    return _blotted(changed, places)


def without_jpegs(data: bytes) -> bytes:
    """The data with every JPEG file in it blotted out."""
    return _blotted(bytearray(data), _jpegs(data))


def _blotted(data: bytearray, places: Iterable[tuple[int, int]]) -> bytes:
    """places: offsets and numbers of bytes; they may overlap."""
    end = 0
    for start, stop in sorted((start, start + length) for start, length in places):
        start, end = max(start, end), max(stop, end)
        data[start:end] = bytes(end - start)
    return bytes(data)


def _copies(block: bytes, order: str, rows: range) -> Iterator[tuple[int, int]]:
    """Where the values of `COPIES` lie, and their number of bytes."""
    for at in rows:
        tag, kind, count, offset = struct.unpack_from(order + "HHII", block, at)
        size = SIZES.get(kind, 0) * count
        if tag in COPIES and size > 4 and offset + size <= len(block):
            yield offset, size


def _pixels(block: bytes, order: str, following: int, first: dict[int, Entry]) -> Iterator[tuple[int, int]]:
    """Where the samples of all directories but the first lie, and their number of bytes."""
    waiting, seen = [*_numbers(first.get(SUB_DIRECTORIES), order), following], set[int]()
    while waiting and len(seen) < MOST:
        start = waiting.pop()
        if not start or start in seen:
            continue
        seen.add(start)
        entries, after = directory(block, order, start)
        tags = {entry.tag: entry for entry in entries}
        waiting += [after, *_numbers(tags.get(SUB_DIRECTORIES), order)]
        for places, lengths in PIXELS.items():
            both = zip(_numbers(tags.get(places), order), _numbers(tags.get(lengths), order), strict=False)
            yield from ((place, length) for place, length in both if place > 8 and place + length <= len(block))


def _numbers(entry: Entry | None, order: str) -> tuple[int, ...]:
    """The values of an entry of whole numbers; none of another, or of too many."""
    letter = NUMBERS.get(entry.type) if entry and entry.count <= MOST_NUMBERS else None
    return struct.unpack(f"{order}{entry.count}{letter}", entry.value) if entry and letter else ()


def _jpegs(data: bytes) -> Iterator[tuple[int, int]]:
    """Where JPEG files lie in the data, and their number of bytes; to its end for one that is cut short."""
    end, seen = 0, bytearray(len(data))
    for match in JPEG.finditer(data):
        start = max(match.start() - 1, 0)
        if start >= end and (scan := _scan(data, match.start() + 1, seen)):
            last = data.find(b"\xff\xd9", scan)
            end = last + 2 if last >= 0 else len(data)
            yield start, end - start


def _scan(data: bytes, at: int, seen: bytearray) -> int:
    """Where the first scan of a JPEG file begins, by the segments that start at an offset; 0 where these are none.

    seen: 1 where segments started that led to no scan, each of which is followed once.
    """
    while data[at : at + 1] == b"\xff" and at + 4 <= len(data) and not seen[at]:
        if data[at + 1] == 0xDA:
            return at
        seen[at] = 1
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return 0


def ascii_entry(tag: int, text: str) -> Entry:
    value = text.encode("utf-8") + b"\0"
    return Entry(tag, 2, len(value), value)


def with_texts(block: bytes, texts: dict[str, str]) -> bytes:
    """The block with PNG's texts where it has no entry of that kind."""
    there = {entry.tag for entry in read(block)[1]}
    tags = {NAMES[name]: text for name, text in texts.items() if name in NAMES}
    return extended(block, [ascii_entry(tag, text) for tag, text in tags.items() if tag not in there])


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
    return extended(block, [*more, Entry(RESOLUTION_UNIT, 3, 1, struct.pack(order + "H", 2))])


def orientation(block: bytes) -> int:
    """How the samples are to be turned, 1 to 8 (EXIF 2.3, section 4.6.4); 1 where nothing is said."""
    order, entries, _ = read(block)
    (number, *_) = (*_numbers(next((one for one in entries if one.tag == ORIENTATION), None), order), 1)
    return number if 1 <= number <= 8 else 1


def upright(block: bytes) -> bytes:
    """The block of a picture that has been turned as it says, all else at its place."""
    order, entries, _ = read(block)
    changed = bytearray(block)
    for at in _rows(block, order)[0] if entries else ():
        tag, kind, count = struct.unpack_from(order + "HHI", block, at)
        if tag == ORIENTATION and kind in NUMBERS and count == 1:
            struct.pack_into(order + NUMBERS[kind], changed, at + 8, 1)
    return bytes(changed)
