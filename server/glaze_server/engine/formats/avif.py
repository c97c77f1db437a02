"""AVIF of 8 to 12 bits, by libvips. A file does not say with which quality it was made (`coarsest`).

Samples of 10 and 12 bits are seen as 16 bits, from 0 to the top. A file is turned as it says when it is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import pyvips

from glaze_plugin.errors import BadInput
from glaze_server.engine import cicp
from glaze_server.engine.formats import items, vips
from glaze_server.engine.formats.file import PictureFile, Wanted, check_claim, coarsest, damaged, same
from glaze_server.engine.metadata import Metadata, exif
from glaze_server.engine.picture import Picture, interpreted

NAME = "avif"
QUALITIES = (50, 60, 70, 78, 85, 90, 94, 97, 99)
LEVELS = len(QUALITIES)
FRESH = QUALITIES.index(97)
"""Of a picture from another format."""
NAMES = {"icc": "icc-profile-data", "exif": "exif-data", "xmp": "xmp-data"}
"""libvips' name of what is to be kept → of where it lies."""
MILLIMETRES = 25.4
"""Of an inch. libvips counts px by them, and writes EXIF's resolution from that count."""
UNKNOWN = (72.0, 72.0)
"""What EXIF says where the resolution is not known (EXIF 2.3, section 4.6.4, XResolution)."""


def holds(data: bytes) -> bool:
    brands = data[8 : int.from_bytes(data[:4], "big")]
    return data[4:8] == b"ftyp" and (b"avif" in brands or b"avis" in brands)


def decode(data: bytes) -> PictureFile:
    if data[8:12] == b"avis":
        raise BadInput("several_pages", "This file holds an animation; save one picture alone.")
    try:
        image = pyvips.Image.heifload_buffer(data, fail_on="error")
        bits = image.get("bits-per-sample")
        check_claim(image.width, image.height, image.bands * 2, NAME)
        found = np.ascontiguousarray(image.numpy()).reshape(image.height, image.width, image.bands)
    except pyvips.Error as error:
        raise damaged(NAME) from error
    if found.dtype == np.uint16:  # libvips puts them at the top of the 16 bits, and nothing below
        found |= found >> bits
    profile = vips.profile(image) if image.bands < 3 else cicp.coloured(vips.profile(image))  # it makes RGB of gray
    block, packet = (bytes(image.get(name)) if image.get_typeof(name) else b"" for name in ("exif-data", "xmp-data"))
    told = exif.upright(block.removeprefix(b"Exif\0\0"))
    numbers = None if profile else items.numbers(data)
    about = Metadata(profile=profile, exif=told, xmp=packet, resolution=exif.resolution(told), numbers=numbers)
    picture = interpreted(found, vips.CHANNELS[image.bands], about.stated(image.bands < 3))
    return PictureFile(NAME, (picture,), about, data, lossy=True, own=(bits, block, packet))


def check(file: PictureFile) -> None:
    if file.pages[0].model not in ("G", "RGB", "BGR") or not file.pages[0].integers:
        raise BadInput("format", "AVIF holds gray and RGB; choose TIFF.")
    if file.pages[0].has_alpha:
        raise BadInput("format", "AVIF would change the transparency; choose PNG or WebP.")


def encode(pages: Sequence[Picture], about: Metadata, file: PictureFile, wanted: Wanted) -> bytes:
    if file.format == NAME and same(pages, file):
        return _blotted(file, about)
    check(file)
    bits = file.own[0] if file.format == NAME else 8 if pages[0].samples.dtype == np.uint8 else 12
    own = file.format == NAME
    quality = QUALITIES[min(_base(file.data) + wanted.level, LEVELS - 1) if own else FRESH]
    written = _packed(pages[0], about, quality, bits)
    return items.with_numbers(written, about.numbers) if about.numbers and not about.profile else written


@lru_cache(maxsize=1)
def _base(data: bytes) -> int:
    file = decode(data)
    return coarsest(LEVELS, lambda level: _packed(file.pages[0], Metadata(), QUALITIES[level], file.own[0]), file)


def _packed(picture: Picture, about: Metadata, quality: int, bits: int) -> bytes:
    block = exif.with_resolution(about.described, about.resolution)
    across, down = (value / MILLIMETRES for value in exif.resolution(block) or UNKNOWN)
    image = pyvips.Image.new_from_array(picture.samples)
    interpretation = "rgb16" if image.format == "ushort" else "srgb"
    image = image.copy(interpretation=interpretation, xres=across, yres=down)
    told = {"icc": about.profile, "exif": block and b"Exif\0\0" + block, "xmp": about.xmp}
    kept = [name for name, body in told.items() if body]
    for name in kept:
        image.set_type(pyvips.GValue.blob_type, NAMES[name], told[name])
    keep = {"keep": "|".join(kept) or "none"}
    options = {"compression": "av1", "Q": quality, "bitdepth": bits, "effort": 3, "subsample_mode": "off", **keep}
    written: bytes = image.heifsave_buffer(**options)
    return written


def _blotted(file: PictureFile, about: Metadata) -> bytes:
    """The file with what stays behind overwritten at its place. Raises BadInput where something must be added."""
    data, (_, block, packet) = file.data, file.own
    for old, new, filling in ((block.removeprefix(b"Exif\0\0"), about.exif, b"\0"), (packet, about.xmp, b" ")):
        if len(new) > len(old):
            raise BadInput(
                "format",
                "This AVIF picture stays as it is, and what it says cannot be added to then.",
                "Cloak it, or choose another format.",
            )
        if old and old != new:
            data = data.replace(old, new.ljust(len(old), filling))
    return data
