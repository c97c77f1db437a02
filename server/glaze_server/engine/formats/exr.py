"""OpenEXR of one flat part, by the format's own library: linear light in half or float, alpha multiplied in.

Channels beyond colour and alpha, and the header, go back as they came. XMP is a text in the header, as darktable
writes it.
"""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR

from glaze_plugin.errors import BadInput
from glaze_server.engine.formats.file import PictureFile, Wanted, check_claim, damaged
from glaze_server.engine.metadata import KEEP_ALL, SAFE, Metadata
from glaze_server.engine.picture import Picture, interpreted

NAME = "exr"
LEVELS = 1
MAGIC = b"\x76\x2f\x31\x01"
LOSSLESS = {"NO_COMPRESSION", "RLE_COMPRESSION", "ZIPS_COMPRESSION", "ZIP_COMPRESSION", "PIZ_COMPRESSION"}
STRUCTURE = {
    *("channels", "compression", "dataWindow", "displayWindow", "lineOrder", "pixelAspectRatio", "screenWindowCenter"),
    *("screenWindowWidth", "tiles", "type", "chromaticities", "whiteLuminance", "adoptedNeutral", "colorInteropID"),
    *("xDensity", "dwaCompressionLevel"),
}
AUTHOR = {"owner": "Copyright", "comments": "Description"}
"""Attributes → PNG's keywords."""
ANEW = ("channels", "preview", "xmp")


def holds(data: bytes) -> bool:
    return data.startswith(MAGIC)


def decode(data: bytes) -> PictureFile:
    _check_claim(data)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "given.exr")
        path.write_bytes(data)
        with OpenEXR.File(str(path), separate_channels=True) as file:
            if not file.parts:
                raise damaged(NAME)
            if len(file.parts) != 1 or "deep" in str(file.parts[0].type()).lower():
                raise BadInput("several_pages", "This OpenEXR file holds several pictures, or deep ones.")
            header = dict(file.header())
            planes = {name: np.array(channel.pixels) for name, channel in file.channels().items()}
    names = ["R", "G", "B"] if {"R", "G", "B"} <= planes.keys() else ["Y"] if "Y" in planes else []
    colours = [planes[name] for name in names]
    if not names or any(plane.dtype != colours[0].dtype or plane.shape != colours[0].shape for plane in colours):
        raise BadInput("colour_model", "This OpenEXR file holds neither RGB nor gray of one kind.")
    names += ["A"] if "A" in planes and planes["A"].dtype == colours[0].dtype else []
    samples = np.stack([planes[name] for name in names], -1)
    model = ("RGB" if names[0] == "R" else "G") + "A" * ("A" in names)
    picture = replace(interpreted(samples, model, b"", linear=True), premultiplied="A" in names)
    lossy = not any(name in str(header.get("compression")) for name in LOSSLESS)
    return PictureFile(NAME, (picture,), _about(header), data, lossy=lossy, own=(header, planes, names))


def _about(header: Mapping[str, Any]) -> Metadata:
    packet = header.get("xmp")
    texts = {AUTHOR[name]: text for name, text in header.items() if name in AUTHOR and isinstance(text, str)}
    return Metadata(xmp=packet.encode("utf-8", "surrogateescape") if isinstance(packet, str) else b"", texts=texts)


def _check_claim(data: bytes) -> None:
    """By the data window of the header, which the library takes memory for."""
    at = data.find(b"dataWindow\0box2i\0\x10\0\0\0")
    if at < 0 or at + 37 > len(data):
        raise damaged(NAME)
    left, top, right, bottom = struct.unpack_from("<iiii", data, at + 21)
    check_claim(right - left + 1, bottom - top + 1, 16, NAME)


def check(file: PictureFile) -> None:
    raise BadInput("format", "OpenEXR is written only for pictures that come as it; choose TIFF.")


def encode(pages: Sequence[Picture], about: Metadata, file: PictureFile, wanted: Wanted) -> bytes:
    header, planes, names = file.own
    keep = STRUCTURE | (AUTHOR.keys() if wanted.metadata == SAFE else set())
    kept = {name: value for name, value in header.items() if wanted.metadata == KEEP_ALL or name in keep}
    kept = {name: value for name, value in kept.items() if name not in ANEW}
    if about.xmp:
        kept["xmp"] = about.xmp.decode()
    written = {name: np.ascontiguousarray(plane) for name, plane in planes.items()}
    for number, name in enumerate(names):
        written[name] = np.ascontiguousarray(pages[0].samples[:, :, number])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "written.exr")
        with OpenEXR.File(kept, written) as made:
            made.write(str(path))
        return path.read_bytes()
