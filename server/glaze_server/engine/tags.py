"""TIFF tags, which EXIF blocks consist of too: the few that are read, and the texts about the author that are written.

libvips turns these texts into ASCII and cuts them at brackets, and does not know them in TIFF files at all; here they
stay bytes. Source: TIFF 6.0, section 2; EXIF 2.3, section 4.6.
"""

from __future__ import annotations

import struct
from typing import Any

from PIL import Image

TEXTS = (270, 315, 33432)
"""ImageDescription, Artist, Copyright."""
X_RESOLUTION, RESOLUTION_UNIT, EXTRA_SAMPLES = 282, 296, 338


def read(block: bytes) -> dict[int, Any]:
    """The tags of the first directory of a TIFF file or an EXIF block; none where it is damaged."""
    tags = Image.Exif()
    try:
        tags.load(block)
        return dict(tags)
    except Exception:  # whatever a damaged block makes Pillow raise; the pixels are not at stake
        return {}


def texts(tags: dict[int, Any]) -> dict[int, bytes]:
    """The texts about the author, as the bytes that stood there."""
    found = {tag: tags[tag] for tag in TEXTS if tag in tags}
    return {
        tag: text if isinstance(text, bytes) else str(text).encode("latin-1", "replace") for tag, text in found.items()
    }


def exif(texts: dict[int, bytes]) -> bytes:
    """An EXIF block of these texts alone."""
    return b"Exif\0\0II*\0" + struct.pack("<I", 8) + _directory(8, [], texts)


def with_texts(tiff: bytes, texts: dict[int, bytes]) -> bytes:
    """A TIFF file of one directory, as libvips writes it, with the texts added."""
    (start,) = struct.unpack_from("<I", tiff, 4)
    (count,) = struct.unpack_from("<H", tiff, start)
    entries = [tiff[at : at + 12] for at in range(start + 2, start + 2 + 12 * count, 12)]
    tiff += bytes(len(tiff) % 2)
    return tiff[:4] + struct.pack("<I", len(tiff)) + tiff[8:] + _directory(len(tiff), entries, texts)


def _directory(offset: int, entries: list[bytes], texts: dict[int, bytes]) -> bytes:
    """A directory that will lie at `offset`: entries as they are, and texts, in the order of their tags."""
    values, place = b"", offset + 2 + 12 * (len(entries) + len(texts)) + 4
    for tag, text in texts.items():
        text = text.rstrip(b"\0") + b"\0"
        short = len(text) <= 4
        entries = [
            *entries,
            struct.pack("<HHI", tag, 2, len(text))
            + (text.ljust(4, b"\0") if short else struct.pack("<I", place + len(values))),
        ]
        values += b"" if short else text + bytes(len(text) % 2)
    entries = sorted(entries, key=lambda entry: struct.unpack_from("<H", entry))
    return struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4) + values
