"""Picture files in and out: the only place where a file format is decoded or encoded (libvips does the work).

Samples come and go at the file's own depth; the ICC profile, resolution, orientation, author and copyright are kept,
everything else (position, camera, thumbnails of the uncloaked picture, edit history) is left behind.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyvips
from torch import Tensor

from glaze_plugin.errors import BadInput
from glaze_plugin.raster import MAX_PIXELS, MAX_SIDE
from glaze_server.engine import tags
from glaze_server.engine.pixels import Picture, to_8bit

FORMATS: dict[str, dict[str, object]] = {
    "png": {"compression": 6},
    "jpeg": {"Q": 95, "subsample_mode": "off", "optimize_coding": True},
    "webp": {"Q": 95, "alpha_q": 100, "effort": 4, "exact": True},
    "tiff": {"compression": "deflate", "predictor": "horizontal"},
}
"""Format → options of libvips' saver."""

KEPT = (
    "icc-profile-data",
    "orientation",
    "resolution-unit",
)

CHANNELS = {1: "G", 2: "GA", 3: "RGB", 4: "RGBA"}
DEPTHS = {"uchar": np.uint8, "ushort": np.uint16}


@dataclass(frozen=True)
class PictureFile:
    """A decoded file. header: the libvips image, for its metadata. texts: tag → what the file says about its author.

    lossless: of a WebP, whether it was.
    """

    picture: Picture
    format: str
    header: pyvips.Image
    texts: dict[int, bytes]
    lossless: bool


def decode(data: bytes) -> PictureFile:
    """Decode a picture file's bytes. Raises BadInput, in one sentence, for whatever cannot be cloaked as it is."""
    if not data:
        raise BadInput("empty", "The file is empty.")
    loader = pyvips.vips_lib.vips_foreign_find_load_buffer(data, len(data))
    name = pyvips.ffi.string(loader).decode() if loader else ""
    name = name.removeprefix("VipsForeignLoad").removesuffix("Buffer").lower()
    format = {"png": "png", "jpeg": "jpeg", "webp": "webp", "tiff": "tiff"}.get(name)
    if format is None:
        raise BadInput("not_a_picture", "This is not a PNG, JPEG, WebP or TIFF picture.")
    try:
        header = pyvips.Image.new_from_buffer(data, "", fail_on="error")
        _check(header, format, data)
        found = _tags(header, format, data)
        header = _with_resolution(header, format, found)
        samples = np.ascontiguousarray(header.numpy())
    except pyvips.Error as error:
        raise BadInput("damaged", f"This {format.upper()} file is damaged or cut short.") from error
    if samples.ndim == 2:
        samples = samples[:, :, None]
    picture = Picture(samples, CHANNELS[header.bands])
    return PictureFile(picture, format, header, tags.texts(found), format == "webp" and _is_lossless(data))


def _tags(header: pyvips.Image, format: str, data: bytes) -> dict[int, Any]:
    """The file's TIFF or EXIF tags. Raises BadInput for a TIFF whose colours are multiplied by their alpha."""
    if format != "tiff":
        return tags.read(header.get("exif-data")) if header.get_typeof("exif-data") else {}
    found = tags.read(data)
    if 1 in np.atleast_1d(found.get(tags.EXTRA_SAMPLES, 0)):
        raise BadInput(
            "premultiplied",
            "In this TIFF file the colours are already multiplied by their transparency.",
            "Save it with straight (unassociated) alpha, or as PNG.",
        )
    return found


def _with_resolution(header: pyvips.Image, format: str, found: dict[int, Any]) -> pyvips.Image:
    """libvips overlooks the resolution of a WebP file."""
    resolution = found.get(tags.X_RESOLUTION)
    if format != "webp" or not resolution:
        return header
    per_mm = float(resolution) / (10 if found.get(tags.RESOLUTION_UNIT) == 3 else 25.4)
    return header.copy(xres=per_mm, yres=per_mm)


def _is_lossless(webp: bytes) -> bool:
    """Whether the picture lies in a VP8L chunk (RFC 9649, section 2); a profile may come before it."""
    position = 12
    while position + 8 <= len(webp):
        kind, size = struct.unpack_from("<4sI", webp, position)
        if kind in (b"VP8L", b"VP8 "):
            return bool(kind == b"VP8L")
        position += 8 + size + size % 2
    return False


def _check(header: pyvips.Image, format: str, data: bytes) -> None:
    """Refuse what could not come back as it was; reads the header alone."""
    size = f"{header.width}×{header.height} px"
    if header.width > MAX_SIDE or header.height > MAX_SIDE or header.width * header.height > MAX_PIXELS:
        raise BadInput("too_large", f"This picture is {size}, which is too large to cloak.")
    pages = header.get("n-pages") if header.get_typeof("n-pages") else 1
    if pages > 1 or (format == "png" and b"acTL" in data[: data.find(b"IDAT")]):
        raise BadInput("several_pages", "This file holds several pictures or an animation; save one picture alone.")
    if header.interpretation in ("cmyk", "lab", "labs"):
        raise BadInput("colour_model", f"Pictures in {header.interpretation.upper()} colour are not supported yet.")
    if header.bands not in CHANNELS or header.format not in DEPTHS:
        raise BadInput("depth", f"Pictures with {header.bands} channels of the type {header.format} are not supported.")


def check_format(file: PictureFile, format: str) -> str:
    """The format to write, "" meaning the file's own. Raises BadInput where it cannot hold the picture."""
    format = format or file.format
    if format not in FORMATS:
        raise BadInput("format", f"Glaze writes PNG, JPEG, WebP and TIFF files, not {format!r}.")
    if format in ("jpeg", "webp") and file.picture.samples.dtype != np.uint8:
        raise BadInput("format", f"{format.upper()} cannot hold 16 bits a channel; choose PNG or TIFF.")
    if format == "jpeg" and file.picture.has_alpha:
        raise BadInput("format", "JPEG cannot hold transparency; choose PNG, WebP or TIFF.")
    return format


def encode(file: PictureFile, picture: Picture, format: str = "") -> bytes:
    """The bytes of `picture`, which is `file`'s with other samples, in a format that `check_format` allows."""
    format = check_format(file, format)
    options: dict[str, object] = dict(FORMATS[format])
    if format == "webp" and (file.lossless or file.format != "webp"):
        options["lossless"] = True
    image = pyvips.Image.new_from_array(picture.samples, interpretation=file.header.interpretation)
    image = image.copy(xres=file.header.xres, yres=file.header.yres)
    for name in KEPT:
        kind = file.header.get_typeof(name)
        if kind:
            image.set_type(kind, name, file.header.get(name))
    if file.texts and format != "tiff":
        image.set_type(pyvips.GValue.blob_type, "exif-data", tags.exif(file.texts))
    try:
        written: bytes = image.write_to_buffer(f".{format}", **options)
    except pyvips.Error as error:
        raise BadInput("format", f"This picture cannot be written as {format.upper()}.") from error
    return tags.with_texts(written, file.texts) if file.texts and format == "tiff" else written


def png(unit: Tensor) -> bytes:
    """A PNG file of a picture (1, 3, H, W) in [0, 1]."""
    data: bytes = pyvips.Image.new_from_array(to_8bit(unit)).write_to_buffer(".png")
    return data
