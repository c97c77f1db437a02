"""Author, rights and the wish not to be mined arrive from odd files and into formats with little room."""

from __future__ import annotations

import struct

import pytest

from glaze_server.engine.formats import Wanted, directories
from glaze_server.engine.metadata import exif
from tests.corpus import cases
from tests.corpus.test_copies import jpeg
from tests.corpus.test_metadata import described, exiftool, rewritten

RGB = cases.painted("RGB", "u1")
ANN = {"IFD0:Artist": "Ann Ångström", "IFD0:Copyright": "© Ann"}
CAMERA = {"ExifIFD:LensModel": "Summilux 50", "ExifIFD:SerialNumber": "SN-0815", "GPS:GPSLatitude": 48.2}


@pytest.mark.parametrize("format", ["webp", "jxl", "jpeg", "tiff", "avif"])
def test_a_block_that_gets_more_entries_stays_whole(format: str) -> None:
    """A resolution or PNG's texts are added to it."""
    source = cases.png(RGB, 2, cases.DPI, cases.chunk(b"tEXt", b"Title\0A puddle"))
    arguments = [f"-{name}={value}" for name, value in (CAMERA | {"IFD0:Artist": "Ann"}).items()]
    gone = ("-XResolution=", "-YResolution=", "-ResolutionUnit=")
    data = exiftool(exiftool(source, *arguments, "-GPS:GPSLatitudeRef=N"), *gone)
    found = described(rewritten(data, Wanted(metadata="keep-all"), True, format))
    assert (found["IFD0:Artist"], found["IFD0:DocumentName"]) == ("Ann", "A puddle")
    assert "ExifTool:Warning" not in found
    if format != "tiff":
        assert {name: found.get(name) for name in CAMERA} == CAMERA
    if format in ("webp", "jxl"):
        assert round(found["IFD0:XResolution"]) == 300 and found["IFD0:ResolutionUnit"] == 2


@pytest.mark.parametrize("order", ["<", ">"])
def test_an_extended_block_holds_each_tag_once(order: str) -> None:
    unit = exif.Entry(296, 3, 1, struct.pack(order + "H", 3))
    data = exif.with_resolution(exif.write(order, [unit, exif.ascii_entry(305, "x" * 9)]), (300.0, 150.0))
    assert [entry.tag for entry in exif.read(data)[1]] == [282, 283, 296, 305]
    assert exif.resolution(data) == (300.0, 150.0)


@pytest.mark.parametrize("format", ["jpeg", "png", "webp", "tiff"])
def test_an_author_in_utf_8_of_exif_3_goes_along(format: str) -> None:
    entries = []
    for tag, text in ((315, ANN["IFD0:Artist"]), (33432, ANN["IFD0:Copyright"])):
        value = text.encode() + b"\0"
        entries.append(exif.Entry(tag, 129, len(value), value))
    data = jpeg((0xE1, b"Exif\0\0" + exif.write("<", entries)))
    found = described(rewritten(data, Wanted(), True, format))
    assert {name: found.get(name) for name in ANN} == ANN


def test_an_author_in_utf_8_of_exif_3_stays_in_tiff() -> None:
    data = bytearray(exiftool(cases.tiff(RGB, "RGB"), "-IFD0:Artist=Ann Ångström"))
    at = data.index(struct.pack("<HH", 315, 2))
    struct.pack_into("<H", data, at + 2, 129)
    for changed in (False, True):
        assert "Ann Ångström".encode() in rewritten(bytes(data), Wanted(), changed)


def test_values_that_share_their_bytes_are_read_within_bounds() -> None:
    """Blocks of EXIF and TIFF files, whose entries may point to the same bytes."""
    size, count = 10**5, 300
    for shift in (0, 1):
        entries = b"".join(
            struct.pack("<HHII", 60_000 + number, 7, size - count, 8 + shift * number) for number in range(count)
        )
        data = b"II*\0" + struct.pack("<I", 8 + size) + bytes(size) + struct.pack("<H", count) + entries + bytes(4)
        assert sum(len(entry.value) for entry in exif.read(data)[1]) <= exif.SHARING * len(data)
        found = directories.read(data)
        distinct = {id(tag.value): len(tag.value) for page in found[1] for tag in page} if found else {}
        assert sum(distinct.values()) <= directories.SHARING * len(data)
        assert (found is None) == bool(shift)
