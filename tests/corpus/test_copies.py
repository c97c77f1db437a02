"""No mode keeps a copy of the picture from before the cloak, wherever a file has one: by its bytes and by exiftool."""

from __future__ import annotations

import base64
import io
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import tifffile
from PIL import Image

from glaze_server.engine.formats import Wanted
from glaze_server.engine.metadata import exif, iptc, xmp
from tests.corpus import cases
from tests.corpus.test_metadata import described, exiftool, rewritten

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


STAND_IN = 65000
"""For the tag 34665, which tifffile does not write."""


def tiff(note: bytes) -> bytes:
    """With a camera maker's note in the directory 34665."""
    data = io.BytesIO()
    tifffile.imwrite(data, RGB, photometric="rgb", byteorder="<", extratags=[(STAND_IN, 4, 1, 8, True)])
    made = bytearray(data.getvalue())
    start = len(made) + len(made) % 2
    place = made.index(struct.pack("<HHI", STAND_IN, 4, 1))
    struct.pack_into("<HHII", made, place, 34665, 4, 1, start)
    inside = exif.write("<", [exif.Entry(37500, 7, len(note), note)])[8:]
    return bytes(made).ljust(start, b"\0") + _shifted(inside, start - 8)


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


def raw(name: str, content: bytes) -> bytes:
    """ImageMagick's way to put a block into PNG."""
    return f"Raw profile type {name}\0\n{name}\n{len(content):8}\n{content.hex()}\n".encode()


def resource(picture: bytes) -> bytes:
    """Photoshop's thumbnail."""
    body = struct.pack(">IIIIIIHH", 1, 20, 16, 60, 960, len(picture), 24, 1) + picture
    return b"8BIM" + struct.pack(">HHI", 0x40C, 0, len(body)) + body + bytes(len(body) % 2)


def with_note(picture: bytes) -> bytes:
    return block(ARTIST, MAKE, inside=(exif.Entry(37500, 7, len(olympus(picture)), olympus(picture)), SERIAL))


def in_xmp(properties: str) -> Callable[[bytes], bytes]:
    def made(picture: bytes) -> bytes:
        text = properties.replace("PICTURE", base64.b64encode(picture).decode())
        spaces = "".join(f' xmlns:{prefix}="{space}"' for prefix, space in SPACES.items())
        packet = f'<rdf:RDF{spaces}><rdf:Description dc:format="x">{text}</rdf:Description></rdf:RDF>'
        return jpeg((0xE1, b"http://ns.adobe.com/xap/1.0/\0" + packet.encode()))

    return made


SPACES = {
    "rdf": xmp.RDF,
    "dc": xmp.DC,
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "img": "http://ns.adobe.com/xap/1.0/g/img/",
    "GImage": "http://ns.google.com/photos/1.0/image/",
    "GDepth": "http://ns.google.com/photos/1.0/depthmap/",
    "mm": "http://ns.adobe.com/xap/1.0/mm/",
    "own": "http://example.org/own/",
}
BAG = "<rdf:Bag><rdf:li {}>{}</rdf:li></rdf:Bag>"
FILES: dict[str, Callable[[bytes], bytes]] = {
    "png-photoshop-resource": lambda one: cases.png(RGB, 2, cases.chunk(b"tEXt", raw("8bim", resource(one)))),
    "png-raw-exif": lambda one: cases.png(RGB, 2, cases.chunk(b"tEXt", raw("exif", b"Exif\0\0" + with_note(one)))),
    "png-raw-profile-of-another-kind": lambda one: cases.png(RGB, 2, cases.chunk(b"tEXt", raw("jpeg", one))),
    "png-fireworks": lambda one: cases.png(RGB, 2, cases.chunk(b"prVW", one), cases.chunk(b"mkTS", one)),
    "jpeg-maker-note": lambda one: jpeg((0xE1, b"Exif\0\0" + with_note(one))),
    "webp-maker-note": lambda one: webp(with_note(one)),
    "webp-first-byte-changed": lambda one: webp(with_note(b"\0" + one[1:])),
    "webp-strips": lambda one: webp(strips(one)),
    "tiff-maker-note": lambda one: tiff(olympus(one)),
    "jpeg-iptc-preview": lambda one: jpeg(
        (
            0xED,
            iptc.PHOTOSHOP + iptc.as_photoshop(data_set(2, 202, one) + data_set(2, 80, b"Ann") + data_set(8, 10, one)),
        )
    ),
    "jpeg-iptc-preview-of-32k": lambda one: jpeg(
        (0xED, iptc.PHOTOSHOP + iptc.as_photoshop(data_set(2, 202, one + bytes(33_000)) + data_set(2, 80, b"Ann")))
    ),
    "xmp-thumbnails": in_xmp("<xmp:Thumbnails>" + BAG.format('img:image="PICTURE"', "") + "</xmp:Thumbnails>"),
    "xmp-page-info": in_xmp("<xmp:PageInfo>" + BAG.format("", "PICTURE") + "</xmp:PageInfo>"),
    "xmp-image-of-google": in_xmp("<GImage:Data>PICTURE</GImage:Data>"),
    "xmp-depth-of-google": in_xmp("<GDepth:Data>PICTURE</GDepth:Data>"),
    "xmp-within-an-ingredient": in_xmp("<mm:Pantry>" + BAG.format('img:image="PICTURE"', "") + "</mm:Pantry>"),
    "xmp-of-unknown-kind": in_xmp("<own:preview>PICTURE</own:preview>"),
}


def strips(picture: bytes) -> bytes:
    """A second directory with samples that are not compressed. picture: stands for these."""
    place = exif.Entry(273, 4, 1, bytes(4))
    made = block(ARTIST, following=(place, exif.Entry(279, 4, 1, struct.pack("<I", len(picture)))))
    changed = bytearray(made)
    struct.pack_into("<I", changed, made.index(struct.pack("<HHI", 273, 4, 1)) + 8, len(made))
    return bytes(changed) + picture


def data_set(record: int, number: int, content: bytes) -> bytes:
    """One of IPTC's; extended where it is longer than 32767 bytes."""
    size = struct.pack(">H", len(content)) if len(content) < 2**15 else struct.pack(">HI", 0x8004, len(content))
    return bytes((0x1C, record, number)) + size + content


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


COPIES_BY_EXIFTOOL = {
    "-XMP-GImage:ImageData": "-XMP-GImage:ImageMimeType=image/jpeg",
    "-XMP-xmp:ThumbnailImage": DC_TITLE,
    "-IPTC:ObjectPreviewData": "-IPTC:ObjectPreviewFileFormat=11",
}


@pytest.mark.parametrize("name", COPIES_BY_EXIFTOOL)
def test_what_exiftool_writes_as_a_copy_it_does_not_find(name: str, copy: Path) -> None:
    data = exiftool(jpeg(), f"{name}<={copy}", COPIES_BY_EXIFTOOL[name], DC_TITLE, "-IPTC:By-line=Ann")
    assert exiftool(data, "-b", name) == copy.read_bytes()
    written = rewritten(data, Wanted(metadata="keep-all"), True)
    assert exiftool(written, "-b", name) == b""
    found = described(written)
    assert (found["XMP-dc:Title"], found["IPTC:By-line"]) == ("A puddle", "Ann")


def test_what_stands_beside_a_copy_stays(copy: Path) -> None:
    picture = copy.read_bytes()
    written = rewritten(FILES["jpeg-maker-note"](picture), Wanted(metadata="keep-all"), True)
    found = described(written)
    assert (found["IFD0:Artist"], found["ExifIFD:SerialNumber"]) == ("Ann", "SN-0815")
    assert olympus(bytes(len(picture))) in written
    for name in ("jpeg-iptc-preview", "jpeg-iptc-preview-of-32k"):
        for mode in ("keep-all", "safe"):
            assert described(rewritten(FILES[name](picture), Wanted(metadata=mode), True))["IPTC:By-line"] == "Ann"
    assert (
        described(rewritten(FILES["webp-strips"](picture), Wanted(metadata="keep-all"), True))["IFD0:Artist"] == "Ann"
    )


def test_what_describes_the_old_packing_of_a_png_stays_behind() -> None:
    known = cases.chunk(b"tIME", bytes((7, 234, 1, 2, 3, 4, 5)))
    data = cases.png(RGB, 2, known, cases.chunk(b"iDOT", struct.pack(">7I", 2, 0, 20, 40, 20, 20, 300)))
    written = rewritten(data, Wanted(metadata="keep-all"), True)
    assert b"iDOT" not in written and known in written


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
