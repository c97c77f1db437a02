"""No mode keeps a copy of the picture from before the cloak, wherever a file has one: by its bytes and by exiftool."""

from __future__ import annotations

import base64
import io
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from glaze_server.engine.formats import Wanted
from glaze_server.engine.metadata import exif
from tests.corpus import cases
from tests.corpus.test_metadata import rewritten

RGB = cases.painted("RGB", "u1")
DC_TITLE = "-XMP-dc:Title=A puddle"
MODES = ("keep-all", "safe", "none")


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small JPEG of the picture."""
    path = tmp_path_factory.mktemp("copy") / "copy.jpg"
    Image.fromarray(RGB).resize((20, 16)).save(path, quality=80)
    return path


def jpeg(*segments: tuple[int, bytes]) -> bytes:
    data = cases.jpeg(RGB, "RGB", quality=90)
    return (
        data[:2] + b"".join(struct.pack(">BBH", 0xFF, kind, len(body) + 2) + body for kind, body in segments) + data[2:]
    )


def webp(block: bytes) -> bytes:
    data = io.BytesIO()
    Image.fromarray(RGB).save(data, "WEBP", lossless=True, exif=b"Exif\0\0" + block)
    return data.getvalue()


def block(*entries: exif.Entry, inside: tuple[exif.Entry, ...] = (), following: tuple[exif.Entry, ...] = ()) -> bytes:
    """An EXIF block. inside: the directory 34665. following: the second directory."""
    first = exif.write("<", [*entries, *([exif.Entry(34665, 4, 1, bytes(4))] if inside else [])])
    for more, where in ((inside, _place(first, 34665)), (following, _link(first))):
        if more:
            start = len(first) + len(first) % 2
            first = first.ljust(start, b"\0") + _shifted(exif.write("<", more)[8:], start - 8)
            first = first[:where] + struct.pack("<I", start) + first[where + 4 :]
    return first


def _place(first: bytes, tag: int) -> int:
    (count,) = struct.unpack_from("<H", first, 8)
    places = [10 + 12 * number + 8 for number in range(count)]
    return next((place for place in places if struct.unpack_from("<H", first, place - 8)[0] == tag), 0)


def _link(first: bytes) -> int:
    return 10 + 12 * int(struct.unpack_from("<H", first, 8)[0])


def _shifted(directory: bytes, by: int) -> bytes:
    """A directory whose values lie so many bytes later."""
    moved = bytearray(directory)
    for at in range(2, 2 + 12 * struct.unpack_from("<H", directory)[0], 12):
        _, kind, count, offset = struct.unpack_from("<HHII", directory, at)
        if exif.SIZES[kind] * count > 4:
            struct.pack_into("<I", moved, at + 8, offset + by)
    return bytes(moved)


ARTIST = exif.ascii_entry(315, "Ann")
MAKE = exif.ascii_entry(271, "OLYMPUS IMAGING CORP.")
SERIAL = exif.ascii_entry(42033, "SN-0815")


def olympus(picture: bytes) -> bytes:
    """A note of a camera maker, with a thumbnail at the end."""
    return b"OLYMP\0\1\0" + struct.pack("<HHHIII", 1, 0x100, 7, len(picture), 26, 0) + picture


def with_note(picture: bytes) -> bytes:
    return block(ARTIST, MAKE, inside=(exif.Entry(37500, 7, len(olympus(picture)), olympus(picture)), SERIAL))


FILES: dict[str, Callable[[bytes], bytes]] = {
    "jpeg-maker-note": lambda one: jpeg((0xE1, b"Exif\0\0" + with_note(one))),
    "webp-maker-note": lambda one: webp(with_note(one)),
    "webp-first-byte-changed": lambda one: webp(with_note(b"\0" + one[1:])),
    "webp-strips": lambda one: webp(strips(one)),
}


def strips(picture: bytes) -> bytes:
    """A second directory with samples that are not compressed. picture: stands for these."""
    place = exif.Entry(273, 4, 1, bytes(4))
    made = block(ARTIST, following=(place, exif.Entry(279, 4, 1, struct.pack("<I", len(picture)))))
    changed = bytearray(made)
    struct.pack_into("<I", changed, made.index(struct.pack("<HHI", 273, 4, 1)) + 8, len(made))
    return bytes(changed) + picture


@pytest.mark.parametrize("name", FILES)
def test_no_mode_keeps_a_copy(name: str, copy: Path) -> None:
    picture = copy.read_bytes()
    forms = [picture[100:], picture[100:].hex().encode(), base64.b64encode(picture)[200:-4]]
    data = FILES[name](picture)
    assert any(form in data for form in forms)
    for mode in MODES:
        for changed in (False, True):
            written = rewritten(data, Wanted(metadata=mode), changed)
            assert not any(form in written for form in forms), (mode, changed)


def test_many_copies_at_one_place_cost_no_more_than_one() -> None:
    """Strips of which each is as long as the block."""
    count = 4_000
    entries = (exif.Entry(273, 4, count, struct.pack("<I", 9) * count), exif.Entry(279, 4, count, b"\0\0\2\0" * count))
    data = block(ARTIST, following=entries) + b"\xff" * 2**18
    end = 9 + 2**17
    assert exif.kept(data, "keep-all") == data[:9] + bytes(2**17) + data[end:]


def test_what_only_looks_like_a_copy_stays() -> None:
    for noise in (b"\xff\xd8\xff\xe0" * 50_000, b"\xd8\xff\xe0" * 70_000, b"\xff\xd8\xff"):
        data = exif.write("<", [exif.Entry(37510, 7, len(noise), noise)])
        assert exif.kept(data, "keep-all") == data
