"""libvips: decodes PNG, JPEG and WebP, failing on truncated files, and packs the pixels of PNG and WebP."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyvips

from glaze_plugin.errors import BadInput
from glaze_server.engine.formats.file import check_claim, damaged
from glaze_server.engine.picture import Samples

CHANNELS = {1: "G", 2: "GA", 3: "RGB", 4: "RGBA"}
DEPTHS = {"uchar": 1, "ushort": 2}


def samples(
    data: bytes, format: str, check: Callable[[pyvips.Image], None] = lambda header: None
) -> tuple[Samples, pyvips.Image]:
    """A file's samples (H, W, C), and the image that they come from, for its header.

    check: raises BadInput for what the header says. Raises BadInput for a damaged file, or one that is too large.
    """
    try:
        image = getattr(pyvips.Image, f"{format}load_buffer")(data, fail_on="error")
        if image.format not in DEPTHS:
            raise BadInput("depth", f"Pictures with samples of the type {image.format} are not supported.")
        check_claim(image.width, image.height, image.bands * DEPTHS[image.format], format)
        check(image)
        found = np.ascontiguousarray(image.numpy())
    except pyvips.Error as error:
        raise damaged(format) from error
    return found.reshape(image.height, image.width, image.bands), image


def profile(image: pyvips.Image) -> bytes:
    return bytes(image.get("icc-profile-data")) if image.get_typeof("icc-profile-data") else b""


def packed(found: Samples, format: str, **options: object) -> bytes:
    """A file of the samples (H, W, C) and nothing else."""
    try:
        interpretation = {1: "b-w", 2: "b-w"}.get(found.shape[2], "srgb")
        if found.dtype == np.uint16:
            interpretation = {"b-w": "grey16", "srgb": "rgb16"}[interpretation]
        image = pyvips.Image.new_from_array(found, interpretation=interpretation)
        data: bytes = image.write_to_buffer(f".{format}", **options)
    except pyvips.Error as error:
        raise BadInput("format", f"This picture cannot be written as {format.upper()}.") from error
    return data
