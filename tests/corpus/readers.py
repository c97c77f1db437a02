"""Readers that did not write what they read.

libvips writes PNG, WebP and AVIF, jpeglib JPEG, tifffile TIFF, OpenImageIO JPEG XL of colours and imagecodecs of grays.
"""

from __future__ import annotations

import io
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import OpenImageIO
import pillow_heif
import pylibjxl
import pyvips
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

Samples = NDArray[Any]


def png(data: bytes) -> Samples:
    found = np.asarray(imagecodecs.png_decode(data))
    return found.reshape(*found.shape[:2], -1)


def pillow(data: bytes) -> Samples:
    with Image.open(io.BytesIO(data)) as image:
        found = np.asarray(image)
    return found.reshape(*found.shape[:2], -1)


def gray(data: bytes) -> Samples:
    """Of 1 to 8 bits."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("L"))[:, :, None]


def palette(model: str) -> Callable[[bytes], Samples]:
    def read(data: bytes) -> Samples:
        with Image.open(io.BytesIO(data)) as image:
            return np.asarray(image.convert(model))

    return read


def tiff(data: bytes, page: int = 0) -> Samples:
    """By libtiff."""
    found = np.asarray(imagecodecs.tiff_decode(data, index=page))
    if found.ndim == 3 and found.shape[0] < 8 < found.shape[2]:
        found = np.moveaxis(found, 0, -1)
    return found.reshape(*found.shape[:2], -1)


def inks(data: bytes) -> Samples:
    """CMYK, which imagecodecs' libtiff converts, by libvips' libtiff."""
    image = pyvips.Image.tiffload_buffer(data)
    return np.asarray(image.numpy()).reshape(image.height, image.width, image.bands)


def exr(data: bytes) -> Samples:
    """An uncompressed OpenEXR file of scan lines: header, table of offsets, then line after line and its channels.

    Source: OpenEXR File Layout.
    """
    at, header = 8, {}
    while data[at]:
        end = data.index(b"\0", at)
        kind_end = data.index(b"\0", end + 1)
        (size,) = struct.unpack_from("<i", data, kind_end + 1)
        header[data[at:end]] = data[kind_end + 5 : kind_end + 5 + size]
        at = kind_end + 5 + size
    left, top, right, bottom = struct.unpack("<iiii", header[b"dataWindow"])
    height, width = bottom - top + 1, right - left + 1
    channels, place = {}, 0
    while header[b"channels"][place]:
        end = header[b"channels"].index(b"\0", place)
        channels[header[b"channels"][place:end].decode()] = "<f2" if header[b"channels"][end + 1] == 1 else "<f4"
        place = end + 17
    rows: dict[str, list[Samples]] = {name: [] for name in channels}
    for offset in np.frombuffer(data, "<u8", height, at + 1):
        place = int(offset) + 8
        for name, kind in channels.items():
            rows[name].append(np.frombuffer(data, kind, width, place))
            place += rows[name][-1].nbytes
    names = [name for name in "RGBYA" if name in rows]
    return np.stack([np.array(rows[name]) for name in names], -1)


def avif(data: bytes) -> Samples:
    """By libavif, at the file's own number of bits."""
    return np.asarray(imagecodecs.avif_decode(data))


def jxl(data: bytes) -> Samples:
    """8 bits by pylibjxl, more of colours by imagecodecs and of grays by OpenImageIO."""
    told = pylibjxl.probe(data)
    if told["bits_per_sample"] == 8:
        found = np.asarray(pylibjxl.decode(data))
    elif told["color_channels"] == 3:
        found = np.asarray(imagecodecs.jpegxl_decode(data))
    else:
        found = np.asarray(_opened(data, lambda image: image.read_image(image.spec().format)))
    return found.reshape(*found.shape[:2], -1)


def jxl_numbers(data: bytes) -> Any:
    """Primaries and transfer."""
    return tuple(_opened(data, lambda image: image.spec().getattribute("CICP"))[:2])


FREE = struct.pack(">I4s128x", 136, b"free")
"""A box of nothing."""


def _opened(data: bytes, look: Callable[[Any], Any]) -> Any:
    """What there is to see in a JPEG XL file, by OpenImageIO, which opens none that is too small: a box is added."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "given.jxl")
        path.write_bytes(data + FREE)
        straight = OpenImageIO.ImageSpec()
        straight.attribute("oiio:UnassociatedAlpha", 1)
        image = OpenImageIO.ImageInput.open(str(path), straight)
        assert image is not None
        return look(image)


def inner_jpeg(data: bytes) -> Samples:
    """Of a JPEG that was packed as JPEG XL."""
    return pillow(bytes(imagecodecs.jpegxl_decode_jpeg(data, numthreads=1)))


def inner_tables(data: bytes) -> Any:
    return jpeg_tables(bytes(imagecodecs.jpegxl_decode_jpeg(data, numthreads=1)))


def heic(data: bytes) -> Samples:
    """By pillow-heif, whose libheif is not pi-heif's; of more than 8 bits so that the top is 65535."""
    image = pillow_heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=False)
    found = np.asarray(image).reshape(image.size[1], image.size[0], -1)
    return found if found.dtype == np.uint8 else found | found >> image.info["bit_depth"]


def nclx(data: bytes) -> bytes:
    """Primaries and transfer that an AVIF file states."""
    return data.partition(b"colrnclx")[2][:4]


def looks(data: bytes) -> Any:
    """Chunks of a PNG file that say how its samples are shown."""
    found, at = [], 8
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        if kind in (b"cICP", b"gAMA", b"cHRM", b"sRGB", b"iCCP"):
            found.append((kind, data[at + 8 : at + 8 + size]))
        at += size + 12
    return found


def dpi(data: bytes) -> Any:
    with Image.open(io.BytesIO(data)) as image:
        return image.info.get("dpi")


def profile(data: bytes) -> bytes:
    if data.startswith(b"\x76\x2f\x31\x01"):
        return b""
    if data.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL ")):
        return bytes(pylibjxl.decode(data, metadata=True)[1].get("icc", b""))
    if data[:2] in (b"II", b"MM"):
        return bytes(directory(data).get(34675, b""))
    with Image.open(io.BytesIO(data)) as image:
        return bytes(image.info.get("icc_profile") or b"")


def jpeg_tables(data: bytes) -> Any:
    """Tables, subsampling, coding, colour transform, orientation and resolution."""
    with Image.open(io.BytesIO(data)) as image:
        marks = [image.info.get(name) for name in ("progressive", "adobe_transform", "dpi")]
        orientation = image.getexif().get(274)
        return image.quantization, [layer[1:3] for layer in image.layer], marks, orientation  # type: ignore[attr-defined]


LAYOUT = (254, 258, 259, 262, 274, 277, 278, 282, 283, 284, 296, 317, 322, 323, 338, 339)
"""Tags that say how a page lies in its file."""


def tiff_layout(data: bytes) -> Any:
    """By Pillow, which reads directories of every kind."""
    return [(tag, directory(data).get(tag)) for tag in LAYOUT]


def dct_layout(data: bytes) -> Any:
    """The same of a page with JPEG inside, which is of whole numbers anyway, and how its colours are subsampled."""
    found, ycc = dict(tiff_layout(data)), directory(data).get(262) == 6
    return found | {339: None, 530: directory(data).get(530, (2, 2)) if ycc else None}


def directory(data: bytes) -> TiffImagePlugin.ImageFileDirectory_v2:
    """The first directory of a TIFF file."""
    stream = io.BytesIO(data)
    header = stream.read(16)
    found = TiffImagePlugin.ImageFileDirectory_v2(header if header[2] == 43 or header[3] == 43 else header[:8])
    stream.seek(found.next)
    found.load(stream)
    return found
