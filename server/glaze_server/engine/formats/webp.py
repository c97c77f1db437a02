"""WebP (RFC 9649). Chunks around the picture are laid out here; libvips decodes and packs the picture itself."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np

from glaze_plugin.errors import BadInput
from glaze_server.engine.formats import vips
from glaze_server.engine.formats.file import PictureFile, Wanted, coarsest, damaged, same
from glaze_server.engine.metadata import Metadata, exif
from glaze_server.engine.picture import Picture, interpreted

NAME = "webp"
QUALITIES = (50, 65, 75, 80, 85, 90, 95, 98, 100, 0)
"""A file does not say with which quality it was made. The last stands for no loss: else colour is halved."""
LEVELS = len(QUALITIES)

PICTURE = (b"ALPH", b"VP8 ", b"VP8L")
ICC_FLAG, ALPHA_FLAG, EXIF_FLAG, XMP_FLAG = 0x20, 0x10, 0x08, 0x04


def holds(data: bytes) -> bool:
    return data[:4] == b"RIFF" and data[8:12] == b"WEBP"


def chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 12
    while at + 8 <= len(data):
        kind, size = struct.unpack_from("<4sI", data, at)
        yield kind, data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2


def decode(data: bytes) -> PictureFile:
    found = dict(chunks(data))
    if b"ANIM" in found or b"ANMF" in found:
        raise BadInput("several_pages", "This file holds an animation; save one picture alone.")
    if len(data) < struct.unpack_from("<I", data.ljust(8, b"\0"), 4)[0] + 8:
        raise damaged(NAME)
    samples, image = vips.samples(data, NAME)
    profile = vips.profile(image)
    block = found.get(b"EXIF", b"").removeprefix(b"Exif\0\0")
    about = Metadata(profile=profile, exif=block, xmp=found.get(b"XMP ", b""), resolution=exif.resolution(block))
    picture = interpreted(samples, vips.CHANNELS[samples.shape[2]], profile)
    return PictureFile(NAME, (picture,), about, data, lossy=b"VP8L" not in found)


def check(file: PictureFile) -> None:
    if file.pages[0].samples.dtype != np.uint8:
        raise BadInput("format", "WEBP cannot hold 16 bits a channel; choose PNG or TIFF.")
    if file.pages[0].model not in ("G", "RGB", "BGR"):
        raise BadInput("format", "WEBP holds gray and RGB; choose TIFF.")
    if max(file.pages[0].width, file.pages[0].height) > 16383:
        raise BadInput("format", "WEBP holds 16383 px a side at most; choose PNG or TIFF.")


@lru_cache(maxsize=1)
def _base(data: bytes) -> int:
    file = decode(data)
    return coarsest(LEVELS, lambda level: _packed(file.pages[0], QUALITIES[level]), file)


def _packed(picture: Picture, quality: int) -> bytes:
    loss = {"Q": quality, "alpha_q": 100} if quality else {"lossless": True}
    return vips.packed(picture.samples, NAME, effort=4, exact=True, **loss)


def encode(pages: Sequence[Picture], about: Metadata, file: PictureFile, wanted: Wanted) -> bytes:
    picture = pages[0]
    if file.format == NAME and same(pages, file):
        data = file.data
    elif file.format == NAME and file.lossy:
        data = _packed(picture, QUALITIES[min(_base(file.data) + wanted.level, LEVELS - 1)])
    else:
        data = _packed(picture, 0)
    found = [(kind, body) for kind, body in chunks(data) if kind in PICTURE]
    block = exif.with_resolution(about.described, about.resolution)
    flags = ALPHA_FLAG * picture.has_alpha
    told = []
    if about.profile:
        flags |= ICC_FLAG
        found.insert(0, (b"ICCP", about.profile))
    if block:
        flags |= EXIF_FLAG
        told.append((b"EXIF", block))
    if about.xmp:
        flags |= XMP_FLAG
        told.append((b"XMP ", about.xmp))
    size = b"".join(struct.pack("<I", side - 1)[:3] for side in (picture.width, picture.height))
    all_chunks = [(b"VP8X", struct.pack("<I", flags) + size), *found, *told]
    body = b"".join(
        kind + struct.pack("<I", len(content)) + content + bytes(len(content) % 2) for kind, content in all_chunks
    )
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body
