"""`python -m tests.corpus.hostile SEED`: hostile files in 1.5 GB of address space beyond what is loaded.

Prints one JSON object for each: name, outcome ("read", or an error's code), sentence.
"""

from __future__ import annotations

import io
import json
import random
import resource
import struct
import sys
import zlib
from collections.abc import Iterator

import imagecodecs
import numpy as np
import tifffile

from glaze_plugin.errors import BadInput
from glaze_server.engine import formats
from glaze_server.engine.formats import jxl_header
from tests.corpus import cases, matrix, modern
from tests.corpus.profiles import CMYK, SRGB

MEMORY = 1500 * 2**20
FLIPS = 300
RGB = cases.painted("RGB", "u1")


def used() -> int:
    """Bytes of address space."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


def zeros(megabytes: int) -> bytes:
    """So many megabytes of 0, deflated; without the check sum at the end."""
    packer = zlib.compressobj(9)
    packed = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return packed + again * (megabytes - 1) + packer.flush()


def claim(width: int, height: int, depth: int, colour: int, packed: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = cases.chunk(b"IHDR", header) + cases.chunk(b"IDAT", packed) + cases.chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def with_tag(tiff: bytes, number: int, value: int) -> bytes:
    """A little-endian TIFF file with another value of a tag; of the offset of the next directory for 0."""
    changed = bytearray(tiff)
    (start,) = struct.unpack_from("<I", tiff, 4)
    (count,) = struct.unpack_from("<H", tiff, start)
    if not number:
        struct.pack_into("<I", changed, start + 2 + 12 * count, value)
    for at in range(start + 2, start + 2 + 12 * count, 12):
        tag, kind = struct.unpack_from("<HH", tiff, at)
        if tag == number:
            struct.pack_into("<I" if kind == 4 else "<H", changed, at + 8, value)
    return bytes(changed)


def strip_of(packed: bytes, height: int, width: int) -> bytes:
    data = io.BytesIO()
    with tifffile.TiffWriter(data) as writer:
        layout = {"photometric": "rgb", "compression": "zlib", "rowsperstrip": height, "metadata": None}
        writer.write(iter([packed]), shape=(height, width, 3), dtype="u1", **layout)  # type: ignore[arg-type]
    return data.getvalue()


def attacks() -> Iterator[tuple[str, bytes]]:
    """Files that must be refused."""
    bomb, tiff = zeros(900), cases.tiff(RGB, "RGB")
    press = cases.painted("CMYK", "u1")
    (start,) = struct.unpack_from("<I", tiff, 4)
    yield "png-of-10^10-px", claim(100_000, 100_000, 8, 2, zlib.compress(b"\0"))
    yield "png-of-4*10^9-px", claim(65_535, 65_535, 8, 2, zlib.compress(b"\0"))
    yield "png-that-inflates", claim(20_000, 20_000, 16, 6, bomb)
    yield "png-that-lies", claim(3000, 3000, 8, 2, zlib.compress(b"\0"))
    yield "tiff-of-10^9-px", with_tag(with_tag(tiff, 256, 60_000), 257, 60_000)
    yield "tiff-that-lies", with_tag(with_tag(tiff, 256, 20_000), 257, 20_000)
    yield "tiff-in-a-circle", with_tag(tiff, 0, start)
    yield "tiff-with-a-long-strip", with_tag(tiff, 279, 2**31 - 1)
    yield "tiff-with-a-strip-that-inflates", strip_of(bomb, 40, 48)
    yield "tiff-that-inflates", strip_of(bomb, 20_000, 17_000)
    yield "jpeg-of-4*10^9-px", _sized(cases.jpeg(RGB, "RGB"), 65_500, 65_500)
    yield "webp-of-2*10^8-px", _canvas(16_383, 16_383)
    yield "cmyk-with-a-profile-for-rgb", cases.jpeg(press, "CMYK", icc_profile=SRGB)
    yield "cmyk-with-a-profile-of-nonsense", cases.jpeg(press, "CMYK", icc_profile=bytes(16) + b"CMYK" + bytes(500))

    yield from _modern()


def _modern() -> Iterator[tuple[str, bytes]]:
    """Attacks in boxes."""
    stream = bytes(imagecodecs.jpegxl_encode(RGB, lossless=True))
    kept = jxl_header.read(stream)
    yield "jxl-of-10^9-px", _sides(65_000, 16_000) + stream[4:]
    yield "jxl-of-4*10^9-px", _sides(65_535, 65_535) + stream[4:]
    yield "jxl-that-lies", _sides(3000, 3000) + stream[4:]
    assert (kept.width, kept.height) == (48, 40)
    yield "jxl-in-a-box-without-end", BOXED + struct.pack(">I4s", 2**31, b"jxlc") + stream
    yield "jxl-in-a-box-of-less-than-nothing", BOXED + struct.pack(">I4s", 4, b"jxlc") + stream
    yield "jxl-without-a-picture", BOXED
    yield "jxl-of-a-jpeg-that-is-not-there", BOXED + struct.pack(">I4s", 24, b"jbrd") + bytes(16)
    heic, avif = modern.heic(RGB, "RGB"), modern.avif(RGB, 8, (1, 13))
    for name, data in (("heic", heic), ("avif", avif)):
        at = data.index(b"ispe") + 8
        for width, height in ((65_535, 65_535), (30_000, 30_000), (0, 0)):
            yield f"{name}-of-{width}x{height}-px", data[:at] + struct.pack(">II", width, height) + data[at + 8 :]
        at = data.index(b"meta") - 4
        yield f"{name}-in-a-box-without-end", data[:at] + struct.pack(">I", 2**31) + data[at + 4 :]


BOXED = b"\0\0\0\x0cJXL \r\n\x87\n" + struct.pack(">I", 20) + b"ftypjxl \0\0\0\0jxl "


def _sides(width: int, height: int) -> bytes:
    """How a JPEG XL codestream begins that claims a size; what follows is of another."""
    bits = height - 1 << 3 | 2 << 1 | 0 | (width - 1) << 26 | 2 << 24
    return b"\xff\x0a" + bits.to_bytes(7, "little")


def _sized(jpeg: bytes, width: int, height: int) -> bytes:
    at = jpeg.index(b"\xff\xc0") + 5
    return jpeg[:at] + struct.pack(">HH", height, width) + jpeg[at + 4 :]


def _canvas(width: int, height: int) -> bytes:
    """A lossless WebP whose header claims a size."""
    data = bytearray(next(case.data for case in cases.webp_cases() if case.name == "webp-RGB-lossless-none"))
    at = data.index(b"VP8L") + 9
    (bits,) = struct.unpack_from("<I", data, at)
    struct.pack_into("<I", data, at, bits & ~(2**28 - 1) | (width - 1) | (height - 1) << 14)
    return bytes(data)


def nuisances() -> Iterator[tuple[str, bytes]]:
    """Files whose pixels are sound: what is bad about them is left behind."""
    bomb = zeros(200)
    entities = b'<!DOCTYPE l [<!ENTITY a "aaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
    entities += b'<x:xmpmeta xmlns:x="adobe:ns:meta/">&b;</x:xmpmeta>'
    xmp = b"XML:com.adobe.xmp\0\0\0\0\0"
    yield "text-that-inflates", cases.png(RGB, 2, cases.chunk(b"zTXt", b"Comment\0\0" + bomb))
    yield "profile-that-inflates", cases.png(RGB, 2, cases.chunk(b"iCCP", b"p\0\0" + bomb))
    yield "xmp-with-entities", cases.png(RGB, 2, cases.chunk(b"iTXt", xmp + entities))
    yield "xmp-without-end", cases.png(RGB, 2, cases.chunk(b"iTXt", xmp + b"<a>" * 100_000))
    stream = bytes(imagecodecs.jpegxl_encode(RGB, lossless=True))
    packed = b"xml " + bytes(imagecodecs.brotli_encode(bytes(200 * 2**20), level=1))
    boxes = (
        struct.pack(">I4s", len(packed) + 8, b"brob") + packed + struct.pack(">I4s", len(stream) + 8, b"jxlc") + stream
    )
    yield "jxl-with-xmp-that-inflates", BOXED + boxes
    for name, kind, start in (("text", b"zTXt", b"Author\0\0"), ("raw-profile", b"zTXt", b"Raw profile type xmp\0\0")):
        yield f"{name}-of-200-that-inflate", cases.png(RGB, 2, *[cases.chunk(kind, start + bomb)] * 200)
    yield "packed-xmp-that-inflates", cases.png(RGB, 2, cases.chunk(b"iTXt", xmp[:-4] + b"\1\0\0\0" + bomb))
    rdf = (
        b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:dc="http://purl.org/dc/elements/1.1/">'
    )
    deep = b"<rdf:Description><dc:title>" + b"<a>" * 2000 + b"</a>" * 2000 + b"</dc:title></rdf:Description>"
    yield "xmp-that-is-deep", cases.png(RGB, 2, cases.chunk(b"iTXt", xmp + rdf + deep + b"</rdf:RDF>"))
    many = rdf + b"<rdf:Description/>" * 30_000 + b"</rdf:RDF>"
    yield "xmp-of-many-descriptions", cases.png(RGB, 2, cases.chunk(b"iTXt", xmp + many))
    yield "exif-that-shares-a-value", cases.png(RGB, 2, cases.chunk(b"eXIf", _sharing(2000, 10**6)))
    yield "rgb-with-a-profile-for-cmyk", cases.png(RGB, 2, *cases.icc(CMYK["press"]))


def _sharing(count: int, size: int) -> bytes:
    """An EXIF block whose entries all have the same value."""
    entry = struct.pack("<HHII", 315, 7, size, 14 + 12 * count)
    return b"II*\0" + struct.pack("<IH", 8, count) + entry * count + bytes(4 + size)


def flipped(seed: int) -> Iterator[tuple[str, bytes]]:
    """Sound files of every kind with one to four bits flipped."""
    dice = random.Random(seed)
    sound = [(case.name, case.data) for case in matrix.all_cases() if len(case.data) < 40_000]
    sound += [(name, data) for name, data, *_ in matrix.read_only_cases()]
    for number in range(FLIPS):
        name, original = dice.choice(sound)
        data = bytearray(original)
        for _ in range(dice.randint(1, 4)):
            data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
        yield f"{number}-{name}", bytes(data)


def outcome(data: bytes) -> tuple[str, str]:
    """What reading, cloaking and writing a file ends with; anything but BadInput is a fault of ours."""
    try:
        file = formats.decode(data)
        if file.pages[0].samples.size < 10**6:
            formats.encode(file, file.pages)
            formats.encode(file, [page.changed(np.full(page.seen.shape, 8 / 255, np.float32)) for page in file.pages])
    except BadInput as error:
        return error.code, error.sentence
    return "read", ""


def main(seed: int) -> None:
    files = {"attack": list(attacks()), "nuisance": list(nuisances()), "flipped": list(flipped(seed))}
    limit = used() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    for kind, several in files.items():
        for name, data in several:
            print(json.dumps([kind, name, *outcome(data)]), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
