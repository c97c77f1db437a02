"""Author, rights and the wish not to be mined arrive from odd files and into formats with little room."""

from __future__ import annotations

import io
import re
import struct
import subprocess
import zlib
from pathlib import Path

import numpy as np
import OpenEXR
import pytest
from PIL import Image

from glaze_plugin.errors import BadInput
from glaze_server.engine import formats
from glaze_server.engine.formats import Wanted, directories, png
from glaze_server.engine.metadata import exif, iptc, xmp
from tests.corpus import cases
from tests.corpus.test_copies import ARTIST, SERIAL, block, data_set, jpeg, raw, resource
from tests.corpus.test_metadata import described, exiftool, rewritten

RGB = cases.painted("RGB", "u1")
ANN = {"IFD0:Artist": "Ann Ångström", "IFD0:Copyright": "© Ann"}
CAMERA = {"ExifIFD:LensModel": "Summilux 50", "ExifIFD:SerialNumber": "SN-0815", "GPS:GPSLatitude": 48.2}
MINING = "http://ns.useplus.org/ldf/vocab/DMI-PROHIBITED"
PACKET = (
    f'<rdf:RDF xmlns:rdf="{xmp.RDF}"><rdf:Description xmlns:dc="{xmp.DC}" xmlns:own="http://example.org/" MORE>'
    '<dc:creator><rdf:Seq><rdf:li>Ann</rdf:li></rdf:Seq></dc:creator><dc:rights><rdf:Alt><rdf:li xml:lang="x-default">'
    "© Ann</rdf:li></rdf:Alt></dc:rights></rdf:Description></rdf:RDF>"
)
XMP = PACKET.replace("MORE", "").encode()


def with_packet(packet: bytes) -> bytes:
    return cases.png(RGB, 2, cases.chunk(b"iTXt", png.XMP + packet))


def author(data: bytes) -> tuple[object, object]:
    found = described(data)
    return found.get("XMP-dc:Creator"), found.get("XMP-dc:Rights")


@pytest.mark.parametrize("mode", ["keep-all", "safe"])
@pytest.mark.parametrize("attributes", [3000, 9000])
def test_a_long_packet_goes_into_jpeg_with_rights_and_wish(attributes: int, mode: str) -> None:
    """9000 need an extension of the packet, which exiftool joins to it."""
    more = " ".join(f'own:P{number}="0"' for number in range(attributes))
    data = with_packet(PACKET.replace("MORE", more).encode())
    for source in (data, rewritten(data, Wanted(metadata="keep-all"), False, "jpeg")):
        written = rewritten(source, Wanted(metadata=mode, no_mining=True), True, "jpeg")
        found = described(written)
        assert (found["XMP-dc:Creator"], found["XMP-dc:Rights"]) == ("Ann", "© Ann")
        assert (found["XMP-plus:DataMining"], found["XMP-tdm:Reservation"]) == (MINING, 1)
        others = re.findall(rb"^P\d+ *: 0$", exiftool(written, "-a", "-s", "-XMP:all"), re.MULTILINE)
        assert len(others) == (attributes if mode == "keep-all" else 0)
        assert "ExifTool:Warning" not in found


def test_a_long_description_leaves_room_for_rights_and_wish_in_jpeg() -> None:
    data = exiftool(with_packet(XMP), "-XMP-dc:Description=" + "x" * 66_000)
    found = described(rewritten(data, Wanted(no_mining=True), True, "jpeg"))
    assert (found["XMP-dc:Creator"], found["XMP-plus:DataMining"]) == ("Ann", MINING)
    assert found["XMP-dc:Description"] == "x" * 66_000


def test_rights_that_are_too_long_for_jpeg_are_no_secret() -> None:
    data = exiftool(with_packet(XMP), "-XMP-dc:Rights=" + "x" * 66_000)
    with pytest.raises(BadInput, match="too long for a JPEG file"):
        rewritten(data, Wanted(), True, "jpeg")
    found = described(rewritten(data, Wanted(metadata="none", no_mining=True), True, "jpeg"))
    assert found["XMP-plus:DataMining"] == MINING


def test_exif_and_iptc_that_are_too_long_for_jpeg_keep_the_author() -> None:
    long = exif.Entry(37510, 7, 70_000, bytes(70_000))
    records = data_set(2, 80, b"Ann") + data_set(2, 150, b"x" * 32_000) * 3
    texts = cases.chunk(b"tEXt", raw("iptc", records))
    data = cases.png(RGB, 2, cases.chunk(b"eXIf", block(ARTIST, inside=(long, SERIAL))), texts)
    found = described(rewritten(data, Wanted(metadata="keep-all"), True, "jpeg"))
    assert (found["IFD0:Artist"], found["IPTC:By-line"]) == ("Ann", "Ann")


def test_iptc_that_stands_in_a_later_segment_is_found() -> None:
    records = iptc.as_photoshop(data_set(2, 80, b"Ann"))
    data = jpeg((0xED, iptc.PHOTOSHOP + resource(bytes(9))), (0xED, iptc.PHOTOSHOP + records))
    assert described(rewritten(data, Wanted(), True))["IPTC:By-line"] == "Ann"


@pytest.mark.parametrize("mode", ["keep-all", "safe", "none"])
def test_openexr_holds_the_wish(mode: str, tmp_path: Path) -> None:
    case = next(case for case in cases.exr_cases() if case.name == "exr-RGB-f2")
    data, wanted = case.data, Wanted(metadata=mode, no_mining=True)
    for _ in range(2):  # the second time it is there already
        file = formats.decode(data)
        data = formats.encode(file, [file.pages[0].with_samples(file.pages[0].samples + np.float16(0.01))], "", wanted)
        path = tmp_path / "written.exr"
        path.write_bytes(data)
        with OpenEXR.File(str(path)) as written:
            packet = written.header()["xmp"].encode()
        found = described(with_packet(packet))
        assert (found["XMP-plus:DataMining"], found["XMP-tdm:Reservation"]) == (MINING, 1)
    assert xmp.kept(formats.decode(data).about.xmp, "safe")


def test_who_owns_an_openexr_picture_goes_along_into_tiff() -> None:
    case = next(case for case in cases.exr_cases() if case.name == "exr-RGB-f2")
    file = formats.decode(case.data)
    owner = file.own[0]["owner"]
    assert owner and described(formats.encode(file, file.pages, "tiff"))["IFD0:Copyright"] == owner


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


def packed_text(keyword: str, text: bytes) -> bytes:
    return cases.chunk(b"iTXt", keyword.encode() + b"\0\1\0\0\0" + zlib.compress(text))


@pytest.mark.parametrize("mode", ["keep-all", "safe"])
@pytest.mark.parametrize("format", ["png", "jpeg", "webp"])
def test_packed_xmp_of_a_png_goes_along(format: str, mode: str) -> None:
    by_hand = cases.png(RGB, 2, packed_text("XML:com.adobe.xmp", XMP))
    by_exiftool = exiftool(cases.png(RGB, 2), "-z", "-XMP-dc:Creator=Ann", "-XMP-dc:Rights=© Ann")
    for data in (by_hand, by_exiftool):
        assert author(data) == ("Ann", "© Ann")
        assert author(rewritten(data, Wanted(metadata=mode), True, format)) == ("Ann", "© Ann")


@pytest.mark.parametrize("format", ["jpeg", "webp", "tiff", "jxl", "avif"])
def test_packed_texts_of_a_png_go_along(format: str) -> None:
    one = cases.chunk(b"zTXt", b"Author\0\0" + zlib.compress("Ann Ångström".encode("latin-1")))
    data = cases.png(RGB, 2, one, packed_text("Copyright", "© Ann".encode()))
    found = described(rewritten(data, Wanted(), True, format))
    assert {name: found.get(name) for name in ANN} == ANN


EXIF, IPTC = exif.write("<", [ARTIST, exif.Entry(274, 3, 1, b"\6\0")]), data_set(2, 80, b"Ann")


@pytest.mark.parametrize("name", ["exif", "APP1", "without-its-name"])
def test_exif_that_imagemagick_put_into_a_png_goes_along(name: str) -> None:
    start = b"" if name == "without-its-name" else b"Exif\0\0"
    data = cases.png(RGB, 2, cases.chunk(b"tEXt", raw("exif" if name == "without-its-name" else name, start + EXIF)))
    for mode in ("keep-all", "safe"):
        found = described(rewritten(data, Wanted(metadata=mode), True))
        assert (found["IFD0:Artist"], found["IFD0:Orientation"]) == ("Ann", 6)
        assert b"Raw profile" not in rewritten(data, Wanted(metadata=mode), True)


@pytest.mark.parametrize("name", ["xmp", "APP1"])
def test_xmp_that_imagemagick_put_into_a_png_goes_along(name: str) -> None:
    start = b"" if name == "xmp" else b"http://ns.adobe.com/xap/1.0/\0"
    data = cases.png(RGB, 2, cases.chunk(b"tEXt", raw(name, start + XMP)))
    for mode in ("keep-all", "safe"):
        assert author(rewritten(data, Wanted(metadata=mode), True)) == ("Ann", "© Ann")


@pytest.mark.parametrize("format", ["png", "jpeg", "tiff"])
@pytest.mark.parametrize("name", ["iptc", "8bim", "records"])
def test_iptc_that_imagemagick_put_into_a_png_goes_along(name: str, format: str) -> None:
    content = IPTC if name == "records" else resource(bytes(9)) + iptc.as_photoshop(IPTC)
    data = cases.png(RGB, 2, cases.chunk(b"tEXt", raw("8bim" if name == "8bim" else "iptc", content)))
    for mode in ("keep-all", "safe"):
        assert described(rewritten(data, Wanted(metadata=mode), True, format))["IPTC:By-line"] == "Ann"
    assert "IPTC:By-line" not in described(rewritten(data, Wanted(metadata="none"), True, format))


def test_what_imagemagick_makes_of_a_jpeg_keeps_its_author(tmp_path: Path) -> None:
    given, made, back = (tmp_path / name for name in ("given.jpg", "made.png", "back.jpg"))
    arguments = ("-IFD0:Artist=Ann", "-IPTC:By-line=Ann", "-XMP-dc:Creator=Ann", "-XMP-dc:Rights=© Ann")
    given.write_bytes(exiftool(jpeg(), *arguments))
    subprocess.run(["convert", given, made], check=True)
    written = rewritten(made.read_bytes(), Wanted(), True)
    found = described(written)
    assert (found.get("XMP-dc:Creator"), found.get("IPTC:By-line"), found.get("IFD0:Artist")) == ("Ann",) * 3
    made.write_bytes(written)
    subprocess.run(["convert", made, back], check=True)
    assert described(back.read_bytes()).get("IPTC:By-line") == "Ann"


def test_iptc_of_a_jpeg_goes_along_into_png() -> None:
    data = exiftool(jpeg(), "-IPTC:By-line=Ann", "-IPTC:Keywords=mud", "-IPTC:City=Berlin")
    found = described(rewritten(data, Wanted(), True, "png"))
    assert (found["IPTC:By-line"], found["IPTC:Keywords"]) == ("Ann", "mud")
    assert "IPTC:City" not in found and "ExifTool:Warning" not in found


@pytest.mark.parametrize("format", ["png", "jpeg"])
def test_exif_of_a_png_that_begins_as_in_jpeg_goes_along(format: str) -> None:
    data = cases.png(RGB, 2, cases.chunk(b"eXIf", b"Exif\0\0" + EXIF))
    found = described(rewritten(data, Wanted(), True, format))
    assert (found["IFD0:Artist"], found["IFD0:Orientation"]) == ("Ann", 6)
    assert Image.open(io.BytesIO(rewritten(data, Wanted(), True, format))).getexif()[274] == 6


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


@pytest.mark.parametrize("format", ["webp", "jxl", "avif"])
@pytest.mark.parametrize("coded", [True, False])
def test_what_iptc_alone_says_arrives_where_there_is_no_iptc(format: str, coded: bool) -> None:
    names = {
        5: "Der Sänger",
        80: "Ann Ångström",
        85: "Painter",
        105: "Dawn",
        110: "Studio",
        116: "© Ann",
        120: "A puddle",
    }
    texts = [*names.items(), (25, "sea"), (25, "sky"), (80, "Bo")]
    sets = data_set(1, 90, b"\x1b%G") if coded else b""
    sets += b"".join(data_set(2, number, text.encode("utf-8" if coded else "latin-1")) for number, text in texts)
    data = jpeg((0xED, iptc.PHOTOSHOP + iptc.as_photoshop(sets)))
    found = described(rewritten(data, Wanted(no_mining=True), True, format))
    assert found["XMP-dc:Creator"] == ["Ann Ångström", "Bo"] and found["XMP-dc:Subject"] == ["sea", "sky"]
    assert (found["XMP-dc:Title"], found["XMP-dc:Rights"]) == ("Der Sänger", "© Ann")
    assert (found["XMP-dc:Description"], found["XMP-photoshop:AuthorsPosition"]) == ("A puddle", "Painter")
    assert (found["XMP-photoshop:Headline"], found["XMP-photoshop:Credit"]) == ("Dawn", "Studio")
    assert found["XMP-plus:DataMining"] == MINING
    gone = described(rewritten(data, Wanted(metadata="none"), True, format))
    assert not any(name.startswith(("XMP-dc", "XMP-photoshop")) for name in gone)


def test_what_xmp_says_itself_is_not_said_over_by_iptc() -> None:
    records = data_set(2, 80, b"Bo\0\x07") + data_set(2, 105, b"Da\x01wn") + data_set(2, 80, b"x" * 40_000)
    texts = cases.chunk(b"tEXt", raw("iptc", records))
    found = described(rewritten(cases.png(RGB, 2, cases.chunk(b"iTXt", png.XMP + XMP), texts), Wanted(), True, "webp"))
    assert (found["XMP-dc:Creator"], found["XMP-photoshop:Headline"]) == ("Ann", "Dawn")
