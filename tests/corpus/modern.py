"""Cases of JPEG XL, HEIC and of colours that are stated by numbers."""

from __future__ import annotations

import io
import itertools
import struct
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import OpenImageIO
import pillow_heif
from PIL import Image

from tests.corpus import cases, profiles, readers
from tests.corpus.cases import Case, Samples, chunk, painted, png

P3, PQ, HLG = (12, 13), (9, 16), (9, 18)
"""Primaries and transfer of H.273."""
NUMBERS = {"p3": P3, "pq": PQ, "hlg": HLG, "bt709": (1, 1), "srgb": (1, 13)}
TYPES = {"u1": "uint8", "u2": "uint16", "f2": "half", "f4": "float"}


def jxl(samples: Samples, profile: bytes = b"", numbers: tuple[int, int] | None = None, distance: float = 0) -> bytes:
    """A JPEG XL file of RGB or RGBA by OpenImageIO, whose colours a profile or numbers state."""
    height, width, channels = samples.shape
    spec = OpenImageIO.ImageSpec(width, height, channels, TYPES[samples.dtype.str[1:]])
    spec.attribute("jpegxl:distance", distance)
    if profile:
        spec.attribute("ICCProfile", OpenImageIO.TypeDesc(f"uint8[{len(profile)}]"), np.frombuffer(profile, np.uint8))
    if numbers:
        spec.attribute("CICP", OpenImageIO.TypeDesc("int[4]"), (*numbers, 0, 1))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "made.jxl")
        image = OpenImageIO.ImageOutput.create(str(path))
        assert image and image.open(str(path), spec) and image.write_image(samples) and image.close()
        return path.read_bytes()


def at_least_0(samples: Samples) -> Samples:
    """Without the colours of 32 bits that OpenImageIO's libjxl fails to pack."""
    return np.abs(samples) if samples.dtype == np.float32 else samples


def jxl_cases() -> Iterator[Case]:
    for model, dtype in itertools.product(("RGB", "RGBA"), ("u1", "u2", "f2", "f4")):
        samples = at_least_0(painted(model, dtype))
        for name in ("none", "p3", "adobe", "prophoto", "linear"):
            profile = profiles.RGB[name]
            yield Case(f"jxl-{model}-{dtype}-{name}", jxl(samples, profile), samples, readers.jxl, model, profile)
    for dtype, (name, numbers) in itertools.product(("u1", "u2", "f4"), NUMBERS.items()):
        samples = at_least_0(painted("RGB", dtype))
        data = jxl(samples, numbers=numbers)
        yield Case(f"jxl-{dtype}-numbers-{name}", data, samples, readers.jxl, keeps=readers.jxl_numbers)
    for model, dtype in itertools.product(("G", "GA"), ("u1", "u2", "f2", "f4")):
        samples = painted(model, dtype)
        data = bytes(imagecodecs.jpegxl_encode(samples.squeeze(), lossless=True))
        keeps = readers.jxl_numbers
        yield Case(f"jxl-{model}-{dtype}", data, samples, readers.jxl, model, keeps=keeps)
    for model in ("G", "RGB", "RGBA"):
        data = bytes(imagecodecs.jpegxl_encode(painted(model, "u1").squeeze(), distance=1))
        yield Case(f"jxl-{model}-lossy", data, readers.jxl(data), readers.jxl, model, lossless=False)
    for dtype, name in itertools.product(("u1", "u2"), ("pq", "p3")):
        data = jxl(painted("RGB", dtype), numbers=NUMBERS[name], distance=0.5)
        seen = readers.jxl(data)
        yield Case(f"jxl-{dtype}-lossy-{name}", data, seen, readers.jxl, lossless=False, keeps=readers.jxl_numbers)
    for model, mode, orientation in (("RGB", "RGB", 1), ("G", "L", 1), ("RGB", "RGB", 6)):
        exif = Image.Exif()
        exif[274] = orientation
        inside = cases.jpeg(painted(model, "u1"), mode, quality=88, exif=exif)
        data = bytes(imagecodecs.jpegxl_encode_jpeg(inside, usecontainer=True))
        case = cases.jpeg_case("", inside, model)
        named = replace(case, name=f"jxl-of-jpeg-{model}-{orientation}", data=data)
        yield replace(named, read=readers.inner_jpeg, keeps=readers.inner_tables)


def numbered_cases() -> Iterator[Case]:
    """PNG and AVIF with colours by numbers."""
    for (name, numbers), dtype in itertools.product(NUMBERS.items(), ("u1", "u2")):
        samples = painted("RGB", dtype)
        data = png(samples, 2, chunk(b"cICP", bytes((*numbers, 0, 1))))
        yield Case(f"png-{dtype}-cicp-{name}", data, samples, readers.png, keeps=readers.looks)
    for name, chunks in PNG_COLOURS.items():
        samples = painted("RGB", "u1")
        yield Case(f"png-{name}", png(samples, 2, *chunks), samples, readers.png, keeps=readers.looks)
    for bits, name in itertools.product((8, 10, 12), ("p3", "pq")):
        seen = painted("RGB", "u1") if bits == 8 else painted("RGB", "u2") >> (16 - bits)
        data = avif(seen, bits, NUMBERS[name])
        yield Case(
            f"avif-{bits}-numbers-{name}", data, readers.avif(data), readers.avif, lossless=False, keeps=readers.nclx
        )


def avif(samples: Samples, bits: int, numbers: tuple[int, int], quality: int = 90) -> bytes:
    """By libavif."""
    stated: dict[str, Any] = {"primaries": numbers[0], "transfer": numbers[1], "matrix": 6}
    return bytes(imagecodecs.avif_encode(samples, quality, bitspersample=bits, speed=8, **stated))


def gamma(value: float) -> bytes:
    return chunk(b"gAMA", struct.pack(">I", round(value * 100_000)))


def points(*values: float) -> bytes:
    return chunk(b"cHRM", struct.pack(">8I", *(round(value * 100_000) for value in values)))


WIDE = points(0.3457, 0.3585, 0.7347, 0.2653, 0.1596, 0.8404, 0.0366, 0.0001)
PNG_COLOURS = {
    "gama": [gamma(1 / 1.8)],
    "gama-like-srgb": [gamma(0.45455)],
    "gama-and-chrm": [gamma(1 / 1.8), WIDE],
    "chrm": [WIDE],
}


def heic(samples: Samples, mode: str, **options: Any) -> bytes:
    """By libheif and x265, with as little loss as they have. mode: pillow-heif's."""
    data = io.BytesIO()
    file = pillow_heif.from_bytes(mode=mode, size=samples.shape[1::-1], data=samples.tobytes())
    file.save(data, quality=-1, chroma=444, **options)
    return data.getvalue()


def heic_cases() -> Iterator[tuple[str, bytes, Samples, str]]:
    """Name, bytes, samples, and the format that they are written in."""
    for model, mode, dtype in (("G", "L", "u1"), ("RGB", "RGB", "u1"), ("RGBA", "RGBA", "u1"), ("RGB", "RGB;16", "u2")):
        data = heic(painted(model, dtype), mode)
        yield f"heic-{model}-{dtype}", data, readers.heic(data), "png"
