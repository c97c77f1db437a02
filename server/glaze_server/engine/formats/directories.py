"""TIFF's directories, classic and big, in either byte order: read with their sub-directories, and written anew.

Source: TIFF 6.0, section 2; BigTIFF; EXIF 2.3, section 4.6.3.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from glaze_server.engine.formats.file import MAX_PAGES
from glaze_server.engine.metadata import exif

SIZES = exif.SIZES | {16: 8, 17: 8, 18: 8}
"""Type → bytes of one value."""
SUB_DIRECTORIES = (34665, 34853, 40965)
"""EXIF, GPS, interoperability: their value is the offset of a directory."""
SHARING, ENTRY = 4, 12
"""A file whose values and entries, of so many bytes, are together more times as long as it is, is damaged."""
DATA = {273: 279, 324: 325, 513: 514}
"""Offsets of strips, tiles or a thumbnail → their lengths."""


@dataclass(frozen=True)
class Layout:
    """order: "<" or ">". big: whether offsets have 8 bytes."""

    order: str
    big: bool

    @property
    def inline(self) -> int:
        return 8 if self.big else 4

    @property
    def number(self) -> str:
        return self.order + ("Q" if self.big else "I")

    @property
    def length(self) -> str:
        """Of a directory's number of entries."""
        return self.order + ("Q" if self.big else "H")

    @property
    def entry(self) -> str:
        """Tag, type, count, value or offset."""
        return self.order + ("HHQ8s" if self.big else "HHI4s")


@dataclass(frozen=True)
class Tag:
    """value: its bytes in the file's order. where: their place in the file, -1 for one that is to be added.

    inside: the directory that it points to.
    """

    number: int
    type: int
    count: int
    value: bytes
    where: int = -1
    inside: tuple[Tag, ...] | None = None


Directory = tuple[Tag, ...]


@dataclass
class _Values:
    """Values of a file, each copied once. room: bytes that they may still take, and the entries that point to them."""

    data: bytes
    room: int
    found: dict[tuple[int, int], bytes] = field(default_factory=dict)

    def at(self, where: int, size: int) -> bytes:
        """Raises struct.error when there is no more room."""
        self.room -= ENTRY + (0 if (where, size) in self.found else size)
        if self.room < 0:
            raise struct.error
        return self.found.setdefault((where, size), self.data[where : where + size])


def layout(data: bytes) -> tuple[Layout, int] | None:
    """A TIFF file's layout and the offset of its first directory; None for another file."""
    order = {b"II": "<", b"MM": ">"}.get(data[:2], "")
    if not order or len(data) < 16:
        return None
    (magic,) = struct.unpack_from(order + "H", data, 2)
    if magic == 42:
        return Layout(order, False), struct.unpack_from(order + "I", data, 4)[0]
    if magic == 43:
        return Layout(order, True), struct.unpack_from(order + "Q", data, 8)[0]
    return None


def read(data: bytes) -> tuple[Layout, list[Directory]] | None:
    """All directories in their order. None for what is no TIFF file, is damaged, runs in a circle or has too many."""
    found = layout(data)
    if found is None:
        return None
    shape, start = found
    pages: list[Directory] = []
    values = _Values(data, SHARING * len(data))
    seen: set[int] = set()
    try:
        while start:
            if start in seen or len(pages) >= MAX_PAGES:
                return None
            seen.add(start)
            page, start = _directory(values, shape, start, 0)
            pages.append(page)
    except struct.error:
        return None
    return shape, pages


def _directory(known: _Values, shape: Layout, start: int, depth: int) -> tuple[Directory, int]:
    data = known.data
    (count,) = struct.unpack_from(shape.length, data, start)
    step = struct.calcsize(shape.entry)
    first = start + struct.calcsize(shape.length)
    if first + count * step > len(data):
        raise struct.error
    tags = []
    for at in range(first, first + count * step, step):
        number, kind, values, raw = struct.unpack_from(shape.entry, data, at)
        size = SIZES.get(kind, 0) * values
        where = at + step - shape.inline if size <= shape.inline else struct.unpack(shape.number, raw)[0]
        if not size or where + size > len(data):
            continue
        tag = Tag(number, kind, values, known.at(where, size), where)
        if number in SUB_DIRECTORIES and depth < 2 and kind in (4, 13, 16, 18):
            (inside,) = numbers(tag, shape)[:1]
            try:
                tag = replace(tag, inside=_directory(known, shape, inside, depth + 1)[0])
            except struct.error:
                continue
        tags.append(tag)
    return tuple(tags), struct.unpack_from(shape.number, data, first + count * step)[0]


def numbers(tag: Tag, shape: Layout) -> tuple[int, ...]:
    """The values of a tag of whole numbers; none of another."""
    letter = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}.get(tag.type)
    return struct.unpack(f"{shape.order}{tag.count}{letter}", tag.value) if letter else ()


def listed(number: int, values: Sequence[int], shape: Layout) -> Tag:
    """A tag of offsets or lengths that is to be added."""
    kind, letter = (16, "Q") if shape.big else (4, "I")
    return Tag(number, kind, len(values), struct.pack(f"{shape.order}{len(values)}{letter}", *values))


def rewritten(data: bytes, shape: Layout, pages: Sequence[Directory], dropped: Sequence[Tag] = ()) -> bytes:
    """The file with other directories, at its end. Values of `dropped`, and what they point to, are blotted out."""
    out = bytearray(data)
    for tag in dropped:
        _blot(out, tag)
    starts = [_append(out, shape, page) for page in pages]
    header = 8 if shape.big else 4
    struct.pack_into(shape.number, out, header, starts[0][0])
    for (_, link), (following, _) in pairwise(starts):
        struct.pack_into(shape.number, out, link, following)
    return bytes(out)


def _blot(out: bytearray, tag: Tag) -> None:
    out[tag.where : tag.where + len(tag.value)] = bytes(len(tag.value))
    for one in tag.inside or ():
        _blot(out, one)


def blot_pixels(data: bytes, shape: Layout, page: Directory) -> bytes:
    """The file without the strips, tiles or thumbnail of a directory."""
    out = bytearray(data)
    tags = {tag.number: numbers(tag, shape) for tag in page if tag.number in (*DATA, *DATA.values())}
    for places, lengths in DATA.items():
        for place, length in zip(tags.get(places, ()), tags.get(lengths, ()), strict=False):
            if place + length <= len(data):
                out[place : place + length] = bytes(length)
    return bytes(out)


def _append(out: bytearray, shape: Layout, page: Directory) -> tuple[int, int]:
    """Write a directory at the end. Returns its offset, and where the offset of the next one belongs."""
    table = bytearray()
    for tag in sorted(page, key=lambda tag: tag.number):
        value = tag.value
        if tag.inside is not None:
            value = struct.pack(shape.order + "I", _append(out, shape, tag.inside)[0])
            tag = replace(tag, type=4, count=1)
        if len(value) > shape.inline and tag.where >= 0 and tag.inside is None:
            value = struct.pack(shape.number, tag.where)
        elif len(value) > shape.inline:
            _align(out)
            place = len(out)
            out += value
            value = struct.pack(shape.number, place)
        table += struct.pack(shape.entry, tag.number, tag.type, tag.count, value)
    _align(out)
    start = len(out)
    out += struct.pack(shape.length, len(page)) + table
    out += struct.pack(shape.number, 0)
    return start, len(out) - shape.inline


def _align(out: bytearray) -> None:
    out += bytes(-len(out) % 8)
