"""HEIC, as telephones take pictures, by libheif (pi-heif, which comes without an encoder); only read."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pi_heif

from glaze_plugin.errors import BadInput
from glaze_server.engine.formats import items
from glaze_server.engine.formats.file import PictureFile, Wanted, check_claim, damaged
from glaze_server.engine.metadata import Metadata, exif
from glaze_server.engine.picture import Picture, interpreted

NAME = "heic"
LEVELS = 1
BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
SEQUENCES = {b"hevc", b"hevx", b"msf1"}
MODELS = {"L": "G", "LA": "GA", "RGB": "RGB", "RGBA": "RGBA", "La": "GA", "RGBa": "RGBA"}
"""pi-heif's modes without their depth → channels; a small a is alpha that is multiplied in."""

pi_heif.options.DECODE_THREADS = 1
pi_heif.options.THUMBNAILS = pi_heif.options.DEPTH_IMAGES = pi_heif.options.AUX_IMAGES = False


def holds(data: bytes) -> bool:
    return data[4:8] == b"ftyp" and data[8:12] in BRANDS


def decode(data: bytes) -> PictureFile:
    several = BadInput("several_pages", "This HEIC file holds several pictures; save one alone.")
    if data[8:12] in SEQUENCES:
        raise several
    try:
        image = pi_heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=False)
        if len(image) != 1:
            raise several
        mode, _, deep = image.mode.partition(";")
        model, bits = MODELS[mode], int(image.info["bit_depth"])
        width, height = image.size
        check_claim(width, height, len(model) * (2 if deep else 1), NAME)
        found = np.asarray(image).reshape(height, width, len(model)).copy()
    except (ValueError, RuntimeError, OSError, SyntaxError, EOFError, KeyError) as error:
        raise damaged(NAME) from error
    if deep:  # libheif puts them at the top of the 16 bits, and nothing below
        found |= found >> bits
    profile = bytes(image.info.get("icc_profile") or b"")
    block = exif.upright(bytes(image.info.get("exif") or b"").removeprefix(b"Exif\0\0"))
    packet = bytes(image.info.get("xmp") or b"")
    stated = None if profile else items.numbers(data)
    about = Metadata(profile, block, packet, resolution=exif.resolution(block), numbers=stated)
    picture = replace(interpreted(found, model, about.stated(model[0] == "G")), premultiplied=mode.endswith("a"))
    return PictureFile(NAME, (picture,), about, data)


def check(file: PictureFile) -> None:
    raise BadInput("format", "HEIC pictures are only read; choose PNG.")


def encode(pages: Sequence[Picture], about: Metadata, file: PictureFile, wanted: Wanted) -> bytes:
    check(file)
    return b""
