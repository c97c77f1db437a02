"""The merged picture of a Photoshop document (PSD, PSB); only read.

Source: Adobe Photoshop File Formats Specification, November 2019. Layers are stepped over, so that a document costs no
more than its merged picture. Its colours lie blended with white where it is transparent, and are taken out of that.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

import imagecodecs
import numpy as np

from glaze_plugin.errors import BadInput
from glaze_server.engine.formats.file import PictureFile, Wanted, check_claim, damaged
from glaze_server.engine.metadata import Metadata
from glaze_server.engine.picture import Picture, Samples, interpreted

NAME = "psd"
LEVELS = 1
MODES = {1: "G", 3: "RGB", 4: "CMYK", 8: "G", 9: "Lab"}
DEPTHS = {8: ">u1", 16: ">u2", 32: ">f4"}
RAW, RLE = 0, 1
MERGED = (b"Mtrn", b"Mt16", b"Mt32")
"""Blocks that say that the merged picture has transparency."""
LAYERS = (b"Lr16", b"Lr32", b"Layr")
"""Blocks of layers, where the section for them is empty."""
LONG = {
    *(*LAYERS, *MERGED, b"LMsk", b"Alph", b"FMsk", b"lnk2", b"lnk3", b"lnkE", b"FEid", b"FXid", b"FELS", b"PxSD"),
    *(b"pths", b"extd", b"extn", b"cinf", b"artd"),
}
"""Blocks whose length has 8 bytes in large documents; the last rows are psd-tools' finding."""
RESOLUTION, IPTC, PROFILE, EXIF, XMP = 1005, 1028, 1039, 1058, 1060


def holds(data: bytes) -> bool:
    return data[:6] in (b"8BPS\0\1", b"8BPS\0\2")


def decode(data: bytes) -> PictureFile:
    large = data[5] == 2
    channels, height, width, depth, mode = struct.unpack_from(">HIIHH", data, 12)
    if mode not in MODES or depth not in DEPTHS:
        raise BadInput("depth", "This Photoshop document has a colour mode or a depth that is not supported.")
    check_claim(width, height, channels * depth / 8, NAME)
    at = 26
    at += 4 + _length(data, at, False)
    resources = data[at + 4 : at + 4 + _length(data, at, False)]
    at += 4 + len(resources)
    step = 8 if large else 4
    layers = _length(data, at, large)
    transparent = _transparent(data, at + step, at + step + layers, large)
    planes = _planes(data, at + step + layers, channels, height, width, DEPTHS[depth], large)
    model = MODES[mode]
    colours = {"G": 1, "CMYK": 4}.get(model, 3)
    alpha = int(transparent and channels > colours)
    if channels < colours:
        raise damaged(NAME)
    samples = np.ascontiguousarray(planes[: colours + alpha].transpose(1, 2, 0))
    if alpha:
        _take_out_of_white(samples, model)
    if model == "CMYK" and samples.dtype.kind == "u":
        samples[:, :, :4] = np.iinfo(samples.dtype).max - samples[:, :, :4]
    found = dict(_resources(resources))
    resolution = None
    if len(found.get(RESOLUTION, b"")) >= 12:
        across, down = struct.unpack_from(">I4xI", found[RESOLUTION])
        resolution = (across / 65536, down / 65536)
    profile, exif = found.get(PROFILE, b""), found.get(EXIF, b"").removeprefix(b"Exif\0\0")
    about = Metadata(profile, exif, found.get(XMP, b""), found.get(IPTC, b""), resolution=resolution)
    return PictureFile(NAME, (interpreted(samples, model + "A" * alpha, profile),), about, data)


def _length(data: bytes, at: int, large: bool) -> int:
    found: int = struct.unpack_from(">Q" if large else ">I", data, at)[0]
    return found


def _transparent(data: bytes, at: int, end: int, large: bool) -> bool:
    """Whether the first channel after the colours is the merged picture's transparency.

    at, end: of the section of layers and masks. That is told by a negative count of layers, or by a block after them.
    """
    if at == end:
        return False
    layers = _length(data, at, large)
    at += 8 if large else 4
    if layers and _negative(data, at):
        return True
    blocks = _blocks(data, at + layers, end, large)
    return any(key in MERGED or (key in LAYERS and _negative(data, place)) for key, place in blocks)


def _negative(data: bytes, at: int) -> bool:
    return data[at : at + 1] >= b"\x80"


def _blocks(data: bytes, at: int, end: int, large: bool) -> Iterator[tuple[bytes, int]]:
    """Key of each block, and where its content is. at: the end of the layers, before the mask of all layers."""
    at += 4 + _length(data, at, False) if at + 4 <= end else 0
    while at + 12 <= end and data[at : at + 4] in (b"8BIM", b"8B64"):
        key = data[at + 4 : at + 8]
        long = large and key in LONG
        place = at + (16 if long else 12)
        yield key, place
        size = _length(data, at + 8, long)
        at = place + size + -size % 4


def _take_out_of_white(samples: Samples, model: str) -> None:
    """Straight colours, in place, from those that lie blended with white: c = (c − (1 − α) · white) / α.

    samples: (H, W, C) with transparency last, inks as the file has them, 0 being all. Colours under α = 0 stay.
    """
    top = float(np.iinfo(samples.dtype).max) if samples.dtype.kind == "u" else 1.0
    white = np.full(samples.shape[2] - 1, top)
    if model == "Lab":
        white[1:] = np.ceil(top / 2)
    for row in samples:
        alpha = row[:, -1:] / top
        partly = ((alpha > 0) & (alpha < 1))[:, 0]
        colours = (row[partly, :-1] - (1 - alpha[partly]) * white) / alpha[partly]
        row[partly, :-1] = np.rint(colours).clip(0, top) if samples.dtype.kind == "u" else colours


def _planes(data: bytes, at: int, channels: int, height: int, width: int, dtype: str, large: bool) -> Samples:
    """(channels, H, W)."""
    (compression,) = struct.unpack_from(">H", data, at)
    row = width * np.dtype(dtype).itemsize
    if compression == RAW:
        packed = data[at + 2 : at + 2 + channels * height * row]
    elif compression == RLE:
        counts = np.frombuffer(data, ">u4" if large else ">u2", channels * height, at + 2)
        start = at + 2 + counts.nbytes
        ends = start + np.cumsum(counts, dtype=np.int64)
        if ends[-1] > len(data):
            raise damaged(NAME)
        lines = [
            imagecodecs.packbits_decode(data[end - int(count) : end], out=row)
            for end, count in zip(ends, counts, strict=True)
        ]
        packed = b"".join(bytes(line) for line in lines)
    else:
        raise BadInput(
            "compression", "The merged picture of this Photoshop document is packed in a way that is not supported."
        )
    if len(packed) != channels * height * row:
        raise damaged(NAME)
    found = np.frombuffer(packed, dtype).reshape(channels, height, width)
    return found.astype(found.dtype.newbyteorder("="))


def _resources(block: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while block[at : at + 4] == b"8BIM" and at + 12 <= len(block):
        (number,) = struct.unpack_from(">H", block, at + 4)
        name = block[at + 6] + 1
        start = at + 6 + name + name % 2
        size = _length(block, start, False)
        yield number, block[start + 4 : start + 4 + size]
        at = start + 4 + size + size % 2


def check(file: PictureFile) -> None:
    raise BadInput("format", "Photoshop documents are only read; choose TIFF.")


def encode(pages: Sequence[Picture], about: Metadata, file: PictureFile, wanted: Wanted) -> bytes:
    check(file)
    return b""
