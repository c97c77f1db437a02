"""The matrix: one case for each container, colour model, depth, profile and compression that an artist may have."""

from __future__ import annotations

import io
import itertools
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import OpenEXR
import pyvips
import tifffile
from numpy.typing import NDArray
from PIL import Image
from psd_tools import PSDImage

from tests.corpus import profiles, readers

Samples = NDArray[Any]
HEIGHT, WIDTH = 40, 48
CHANNELS = {"G": 1, "GA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4, "CMYKA": 5, "Lab": 3}


@dataclass(frozen=True)
class Case:
    """samples: (H, W, C) that the file holds. read: an independent reader of them. lossless: δ comes back exactly.

    widened: whether a cloaked file holds more bits than this one. keeps: what a reader must find in both files alike.
    """

    name: str
    data: bytes
    samples: Samples
    read: Callable[[bytes], Samples]
    model: str = "RGB"
    profile: bytes = b""
    lossless: bool = True
    widened: bool = False
    keeps: Callable[[bytes], Any] = field(default=lambda data: None)


def painted(model: str, dtype: str, height: int = HEIGHT, width: int = WIDTH, seed: int = 3) -> Samples:
    """Samples with structure, noise, both ends of the range, and where there is alpha all of it, 0 over colour too."""
    dice = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    count = CHANNELS[model]
    waves = [0.5 + 0.3 * np.sin(x / (4 + c) + y / (7 - c)) for c in range(count)]
    planes = np.stack(waves, -1) + dice.normal(0, 0.03, (height, width, count))
    if model == "Lab":  # a and b as art has them
        planes[..., 1:] = 0.5 + 0.3 * (planes[..., 1:] - 0.5)
    elif model.startswith("CMYK"):
        planes[..., 3] *= 0.3
    if model != "Lab":
        planes[0, :], planes[-1, :] = 0, 1
    if model.endswith("A"):
        planes[..., -1] = np.repeat([0, 1 / 255, 0.5, 1], -(-width // 4))[None, :width]
    planes = planes.clip(0, 1)
    if np.dtype(dtype).kind == "f":
        planes[height // 2, width // 2] = 1.75  # above white
        planes[height // 2, width // 3] = -0.25  # out of gamut
        if model.endswith("A"):
            planes[height // 2, :, -1] = 1
        return planes.astype(dtype)
    return np.rint(planes * np.iinfo(dtype).max).astype(dtype)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(samples: Samples, colour: int, *more: bytes, depth: int = 0) -> bytes:
    """A PNG file, written here."""
    height, width = samples.shape[:2]
    depth = depth or 8 * samples.dtype.itemsize
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    if depth < 8:
        shifts = np.arange(8 - depth, -1, -depth)
        rows = np.pad(samples[:, :, 0], ((0, 0), (0, -width % (8 // depth)))).reshape(height, -1, 8 // depth)
        lines = [(row << shifts).sum(-1).astype(np.uint8).tobytes() for row in rows]
    else:
        lines = [row.astype(row.dtype.newbyteorder(">")).tobytes() for row in samples]
    packed = zlib.compress(b"".join(b"\0" + line for line in lines))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(more) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def icc(profile: bytes) -> list[bytes]:
    return [chunk(b"iCCP", b"p\0\0" + zlib.compress(profile))] if profile else []


COLOURS = {"G": 0, "RGB": 2, "GA": 4, "RGBA": 6}
DPI = chunk(b"pHYs", struct.pack(">IIB", 11811, 11811, 1))


def png_cases() -> Iterator[Case]:
    for model, dtype in itertools.product(COLOURS, ("u1", "u2")):
        for name, profile in (profiles.GRAY if model[0] == "G" else profiles.RGB).items():
            samples = painted(model, dtype)
            data = png(samples, COLOURS[model], *icc(profile), DPI)
            yield Case(f"png-{model}-{dtype}-{name}", data, samples, readers.png, model, profile, keeps=readers.dpi)
    for depth in (1, 2, 4):
        levels = painted("G", "u1") >> (8 - depth)
        yield Case(
            f"png-{depth}bit",
            png(levels, 0, depth=depth),
            levels * (255 // (2**depth - 1)),
            readers.gray,
            "G",
            widened=True,
        )
    for depth, clear in itertools.product((4, 8), (False, True)):
        table = np.random.default_rng(1).integers(0, 256, (2**depth, 3), np.uint8)
        indexes = painted("G", "u1") >> (8 - depth)
        more = [chunk(b"PLTE", table.tobytes())] + [chunk(b"tRNS", b"\xff\xff\0\x80")] * clear
        samples = table[indexes[:, :, 0]]
        if clear:
            alpha = np.full(2**depth, 255, np.uint8)
            alpha[2:4] = 0, 128
            samples = np.concatenate([samples, alpha[indexes]], 2)
        model = "RGBA" if clear else "RGB"
        yield Case(
            f"png-palette{depth}-{model}",
            png(indexes, 3, *more, depth=depth),
            samples,
            readers.palette(model),
            model,
            widened=True,
        )
    samples = painted("RGB", "u2")
    yield Case("png-gama-linear", png(samples, 2, chunk(b"gAMA", struct.pack(">I", 100_000))), samples, readers.png)
    samples = painted("RGB", "u1")
    yield Case("png-srgb-chunk", png(samples, 2, chunk(b"sRGB", b"\1")), samples, readers.png)


def jpeg(samples: Samples, mode: str, **options: Any) -> bytes:
    data = io.BytesIO()
    Image.fromarray(samples.squeeze(), mode).save(data, "JPEG", **options)
    return data.getvalue()


def jpeg_case(name: str, data: bytes, model: str, profile: bytes = b"") -> Case:
    return Case(
        f"jpeg-{name}", data, readers.pillow(data), readers.pillow, model, profile, False, keeps=readers.jpeg_tables
    )


def jpeg_cases() -> Iterator[Case]:
    """Samples are what Pillow decodes: no one knows better."""
    modes = {"G": "L", "RGB": "RGB", "CMYK": "CMYK"}
    for model, progressive in itertools.product(modes, (False, True)):
        for sub in (0, 1, 2) if model == "RGB" else (0,):
            data = jpeg(
                painted(model, "u1"), modes[model], quality=88, subsampling=sub, progressive=progressive, dpi=(300, 300)
            )
            yield jpeg_case(f"{model}-{'progressive' if progressive else 'baseline'}-{sub}", data, model)
    rgb = painted("RGB", "u1")
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[274] = orientation
        yield jpeg_case(f"orientation{orientation}", jpeg(rgb, "RGB", quality=90, exif=exif), "RGB")
    for name, profile in profiles.RGB.items():
        yield jpeg_case(f"profile-{name}", jpeg(rgb, "RGB", quality=90, icc_profile=profile), "RGB", profile)
    press = profiles.CMYK["press"]
    yield jpeg_case("cmyk-press", jpeg(painted("CMYK", "u1"), "CMYK", quality=90, icc_profile=press), "CMYK", press)
    for lumps in ("444", "420"):
        inverted = np.ascontiguousarray(255 - painted("CMYK", "u1"))
        ycck = imagecodecs.jpeg8_encode(inverted, 90, colorspace="CMYK", outcolorspace="YCCK", subsampling=lumps)
        yield jpeg_case(f"ycck-{lumps}", bytes(ycck), "CMYK")
    yield jpeg_case("rgb-components", jpeg(rgb, "RGB", quality=90, keep_rgb=True), "RGB")
    yield jpeg_case("restarts", jpeg(rgb, "RGB", quality=90, restart_marker_rows=1), "RGB")
    yield jpeg_case("odd-tables", jpeg(rgb, "RGB", qtables=[list(range(1, 65)), list(range(64, 0, -1))]), "RGB")
    yield jpeg_case("odd-size", jpeg(rgb[:33, :41], "RGB", quality=90, subsampling=2), "RGB")


def webp_cases() -> Iterator[Case]:
    for model, lossless in itertools.product(("RGB", "RGBA"), (False, True)):
        for name in ("none", "srgb", "p3"):
            data = io.BytesIO()
            options = {"lossless": lossless, "exact": True, "quality": 90, "icc_profile": profiles.RGB[name]}
            Image.fromarray(painted(model, "u1")).save(data, "WEBP", **options)
            seen = readers.pillow(data.getvalue())
            kind = "lossless" if lossless else "lossy"
            yield Case(
                f"webp-{model}-{kind}-{name}",
                data.getvalue(),
                seen,
                readers.pillow,
                model,
                profiles.RGB[name],
                lossless,
            )


PHOTOMETRIC = {"G": "minisblack", "RGB": "rgb", "CMYK": "separated", "Lab": "icclab"}


def tiff(samples: Samples, model: str, **options: Any) -> bytes:
    """A TIFF file of what may be several pages."""
    data = io.BytesIO()
    alpha = {"extrasamples": ["unassalpha"]} if model.endswith("A") else {}
    big = {name: options.pop(name) for name in ("bigtiff", "byteorder") if name in options}
    pages = samples if isinstance(samples, list) else [samples]
    with tifffile.TiffWriter(data, **big) as writer:
        for page in pages:
            planes = np.moveaxis(page, -1, 0) if options.get("planarconfig") == "separate" else page
            planes = planes[..., 0] if page.shape[2] == 1 else planes
            defaults: dict[str, Any] = {"photometric": PHOTOMETRIC[model.removesuffix("A")], **alpha, "metadata": None}
            writer.write(
                np.ascontiguousarray(planes), **{**defaults, "resolution": (300, 300), "resolutionunit": 2, **options}
            )
    return data.getvalue()


def tiff_case(name: str, model: str, dtype: str, profile: bytes = b"", widened: bool = False, **options: Any) -> Case:
    samples = painted(model, dtype)
    if options.get("photometric") == "cielab":  # a and b with a sign
        samples[..., 1:] ^= samples.dtype.type(1 << (8 * samples.dtype.itemsize - 1))
    if profile:
        options["iccprofile"] = profile
    data = tiff(samples, model, **options)
    read = readers.inks if model.startswith("CMYK") else readers.tiff
    return Case(f"tiff-{name}", data, samples, read, model, profile, widened=widened, keeps=readers.tiff_layout)


def tiff_cases() -> Iterator[Case]:
    for model, dtype in itertools.product(("G", "GA", "RGB", "RGBA"), ("u1", "u2", "f2", "f4")):
        for kind in ("none", "lzw", "zlib"):
            yield tiff_case(f"{model}-{dtype}-{kind}", model, dtype, compression=None if kind == "none" else kind)
    for model, dtype in itertools.product(("CMYK", "CMYKA", "Lab"), ("u1", "u2")):
        for kind in ("none", "lzw", "zlib"):
            yield tiff_case(f"{model}-{dtype}-{kind}", model, dtype, compression=None if kind == "none" else kind)
    for model, dtype in itertools.product(("RGB", "CMYK", "G"), ("u1", "u2", "f4")):
        table = {"RGB": profiles.RGB, "CMYK": profiles.CMYK, "G": profiles.GRAY}[model]
        for name, profile in table.items():
            if profile and not (model == "CMYK" and dtype == "f4"):
                yield tiff_case(f"{model}-{dtype}-profile-{name}", model, dtype, profile, compression="zlib")
    for dtype in ("u1", "u2", "f4"):
        yield tiff_case(f"tiled-{dtype}", "RGBA", dtype, tile=(16, 32), compression="zlib")
        yield tiff_case(f"big-{dtype}", "RGB", dtype, bigtiff=True, compression="lzw")
        yield tiff_case(f"big-endian-{dtype}", "RGB", dtype, byteorder=">", compression="lzw")
        yield tiff_case(f"planar-{dtype}", "RGBA", dtype, planarconfig="separate", compression="zlib")
        yield tiff_case(f"predictor-{dtype}", "RGB", dtype, compression="zlib", predictor=True)
    yield tiff_case("strips", "RGB", "u1", rowsperstrip=7, compression="packbits")
    yield tiff_case("white-is-0", "G", "u1", photometric="miniswhite")
    yield tiff_case("cielab", "Lab", "u1", photometric="cielab")
    yield tiff_case("cielab16", "Lab", "u2", photometric="cielab", compression="lzw")
    yield from dct_cases()
    extra = tiff_case("extra-channel", "RGBA", "u1", extrasamples=["unspecified"])
    yield replace(extra, model="RGB")
    yield tiff_case("double", "RGB", "f8", compression="zlib")


SUBSAMPLED = {"444": (1, 1), "422": (2, 1), "420": (2, 2), "411": (4, 1)}


def dct_cases() -> Iterator[Case]:
    """TIFF with JPEG inside: samples are what libtiff decodes."""
    smooth = pyvips.Image.new_from_array(painted("RGB", "u1")).gaussblur(1.5).numpy()
    options = {"photometric": "rgb", "compression": "jpeg", "rowsperstrip": 32}
    made = {f"ycc-{name}": tiff(smooth, "RGB", subsampling=sub, **options) for name, sub in SUBSAMPLED.items()}
    made["ycc-tiled"] = tiff(smooth, "RGB", **{**options, "tile": (16, 32), "rowsperstrip": None})
    made["ycc-big-endian"] = tiff(smooth, "RGB", byteorder=">", **options)
    tall = np.concatenate([smooth] * 4)  # more than one of its strips
    made |= {"ycc-libtiff": libtiff(tall, Q=75), "rgb-libtiff": libtiff(tall, Q=95)}
    made["rgb-planar"] = tiff(smooth, "RGB", **options, planarconfig="separate")
    made["gray"] = tiff(smooth[..., :1], "G", **{**options, "photometric": "minisblack"})
    for name, data in made.items():
        model = "G" if name == "gray" else "RGB"
        seen, keeps = readers.tiff(data), readers.dct_layout
        yield Case(f"tiff-dct-{name}", data, seen, readers.tiff, model, lossless=False, keeps=keeps)


def libtiff(samples: Samples, **options: Any) -> bytes:
    """A TIFF file with JPEG inside, by libvips' libtiff: below a quality of 90 YCbCr."""
    image = pyvips.Image.new_from_array(samples, interpretation="srgb")
    return bytes(image.tiffsave_buffer(compression="jpeg", **options))


def exr_cases() -> Iterator[Case]:
    """Written by OpenEXR, as the engine's are, and read by a few lines: OpenEXR has no second reader in Python."""
    for model, dtype in itertools.product(("G", "RGB", "RGBA"), ("f2", "f4")):
        samples = painted(model, dtype)
        if model == "RGBA":
            samples[..., :3] *= samples[..., 3:]
        planes = {name: np.ascontiguousarray(samples[..., i]) for i, name in enumerate("Y" if model == "G" else model)}
        header = {"compression": OpenEXR.NO_COMPRESSION, "type": OpenEXR.scanlineimage, "owner": "Ann"}
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "made.exr")
            with OpenEXR.File(header, {**planes, "Z": np.ascontiguousarray(planes[min(planes)])}) as file:
                file.write(str(path))
            data = path.read_bytes()
        yield Case(f"exr-{model}-{dtype}", data, samples, readers.exr, model, keeps=lambda data: b"owner" in data)


def avif_cases() -> Iterator[Case]:
    for bits, name in itertools.product((8, 10, 12), ("none", "p3")):
        image = pyvips.Image.new_from_array(painted("RGB", "u1" if bits == 8 else "u2"))
        image = image.copy(interpretation="srgb" if bits == 8 else "rgb16")
        if profiles.RGB[name]:
            image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profiles.RGB[name])
        data = image.heifsave_buffer(compression="av1", bitdepth=bits, Q=70)
        seen = readers.avif(data)
        yield Case(f"avif-{bits}-{name}", data, seen, readers.avif, "RGB", profiles.RGB[name], False)


def merged_cases() -> Iterator[tuple[str, bytes, Samples, str]]:
    """Documents of painting programs: name, bytes, samples, and the format that they are written in."""
    for mimetype, dtype in itertools.product(("application/x-krita", "image/openraster"), ("u1", "u2")):
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w") as archive:
            archive.writestr("mimetype", mimetype)
            archive.writestr("mergedimage.png", png(painted("RGBA", dtype), 6))
        yield f"{mimetype[-5:]}-{dtype}", data.getvalue(), painted("RGBA", dtype), "png"
    for model, mode in (("G", "L"), ("RGB", "RGB"), ("CMYK", "CMYK")):
        data = io.BytesIO()
        PSDImage.frompil(Image.fromarray(painted(model, "u1").squeeze(), mode)).save(data)
        shown = PSDImage.open(io.BytesIO(data.getvalue())).topil()
        assert shown is not None
        yield f"psd-{model}", data.getvalue(), np.asarray(shown).reshape(HEIGHT, WIDTH, -1), "tiff"
