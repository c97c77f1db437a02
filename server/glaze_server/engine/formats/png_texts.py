"""What PNG's texts tell (PNG, section 11.3.3), packed or not, and the blocks that ImageMagick packs into them."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator

from glaze_server.engine.metadata import TEXTS, Metadata, iptc

KINDS = (b"tEXt", b"zTXt", b"iTXt")
XMP = "XML:com.adobe.xmp"
BLOCK = "Raw profile type "
LARGEST = 2**22
"""Bytes that all packed texts of a file may have together; others are left out."""
EXIF, XMP_SEGMENT = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"
"""How blocks begin that were in a JPEG file."""


def about(chunks: Iterable[tuple[bytes, bytes]]) -> Metadata:
    """EXIF, XMP, IPTC and texts. chunks: kind and body of each of the file's."""
    texts: dict[str, str] = {}
    packets, blocks = [], {"exif": b"", "xmp": b"", "iptc": b""}
    for keyword, text, encoding in _read(chunks):
        if keyword == XMP:
            packets.append(text)
        elif keyword.startswith(BLOCK):
            name, block = _block(keyword.removeprefix(BLOCK), text)
            blocks[name] = blocks.get(name) or block
        else:
            texts[keyword] = text.decode(encoding, "replace")
    return Metadata(exif=blocks["exif"], xmp=(packets or [blocks["xmp"]])[0], iptc=blocks["iptc"], texts=texts)


def _read(chunks: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[str, bytes, str]]:
    """Keyword, text and its encoding; of packed texts those that are wanted, until they become too long."""
    room = LARGEST
    for kind, body in chunks:
        start, _, text = body.partition(b"\0")
        keyword = start.decode("latin-1")
        packed = kind == b"zTXt" or (kind == b"iTXt" and text[:1] == b"\1")
        if kind not in KINDS or (packed and keyword not in (*TEXTS, XMP) and not keyword.startswith(BLOCK)):
            continue
        if kind == b"zTXt":
            text = text[1:]
        elif kind == b"iTXt":
            text = text[2:].split(b"\0", 2)[-1]
        if packed:
            text, room = _unpacked(text, room)
        yield keyword, text, "utf-8" if kind == b"iTXt" else "latin-1"


def _unpacked(packed: bytes, room: int) -> tuple[bytes, int]:
    """A text, and what is left of the room; b"" for one that is damaged or too long."""
    inflating = zlib.decompressobj()
    try:
        text = inflating.decompress(packed, room + 1)
    except zlib.error:
        return b"", room
    left = max(0, room - len(text))
    return (text if inflating.eof and len(text) <= room else b""), left


def _block(name: str, text: bytes) -> tuple[str, bytes]:
    """What the block is ("exif", "xmp", "iptc" or something else), and its bytes.

    text: the name, the number of bytes, and these in hexadecimal, in lines.
    """
    digits = text.lstrip().split(b"\n", 2)[-1]
    try:
        block = bytes.fromhex(digits.decode("ascii"))
    except ValueError:
        return name, b""
    if block.startswith((EXIF, b"II*\0", b"MM\0*")):
        return "exif", block.removeprefix(EXIF)
    if name == "xmp" or block.startswith(XMP_SEGMENT):
        return "xmp", block.removeprefix(XMP_SEGMENT)
    resources = block.removeprefix(iptc.PHOTOSHOP)
    return "iptc", iptc.from_photoshop(resources) if resources.startswith(b"8BIM") else resources


def iptc_text(records: bytes) -> bytes:
    """The body of a zTXt chunk that holds IPTC's records, for which PNG has no chunk."""
    block = iptc.as_photoshop(records)
    digits = block.hex()
    lines = "\n".join(digits[at : at + 72] for at in range(0, len(digits), 72))
    return f"{BLOCK}iptc".encode() + b"\0\0" + zlib.compress(f"\niptc\n{len(block):8}\n{lines}\n".encode())
