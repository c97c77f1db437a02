"""JPEG XL (ISO/IEC 18181): what it tells lies in boxes around the picture, which are laid out here.

imagecodecs decodes, OpenImageIO writes colours and their profile. A JPEG that was packed as JPEG XL stays that JPEG,
and is cloaked in its coefficients. A lossy file is packed with loss again; all others come back to the bit.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import OpenImageIO

from glaze_plugin.errors import BadInput
from glaze_server.engine import cicp
from glaze_server.engine.formats import boxes, jpeg, jxl_header
from glaze_server.engine.formats.boxes import Box
from glaze_server.engine.formats.file import PictureFile, Wanted, check_claim, coarsest, damaged, same
from glaze_server.engine.metadata import Metadata, exif
from glaze_server.engine.picture import Picture, Samples, interpreted

NAME = "jxl"
DISTANCES = (3.0, 2.0, 1.4, 1.0, 0.7, 0.5, 0.3, 0.1, 0.0)
"""libjxl's measure of loss, 1 being hardly visible and usual, 0 none; a file does not say with which it was made."""
LEVELS = max(len(DISTANCES), jpeg.LEVELS)
EFFORT = 7
"""libjxl's usual one: what is written with less is 7 % larger."""

CONTAINER = b"\0\0\0\x0cJXL \r\n\x87\n"
TYPE = boxes.packed(b"ftyp", b"jxl \0\0\0\0jxl ")
STREAM, PIECE, LEVEL, JPEG, PACKED = b"jxlc", b"jxlp", b"jxll", b"jbrd", b"brob"
SPACE = boxes.packed(b"free", bytes(128))
"""OpenImageIO opens no file that is smaller."""
EXIF, XMP = b"Exif", b"xml "
LARGEST = 2**22
"""Bytes that a packed description may have."""
DEPTHS = {(8, 0): "u1", (16, 0): "u2", (16, 5): "f2", (32, 8): "f4"}
"""(bits, of the exponent) → samples. Other integers are widened to the next of these."""
TYPES = {"u1": "uint8", "u2": "uint16", "f2": "half", "f4": "float"}
GRAYS = {"u1": cicp.SRGB[1], "u2": cicp.LINEAR[1], "f2": cicp.LINEAR[1], "f4": cicp.LINEAR[1]}
"""Samples → the curve that imagecodecs calls gray ones by."""
SHORT = range(2, 18)
"""Curves that `jxl_header.with_transfer` can call them by instead."""


def holds(data: bytes) -> bool:
    return data.startswith((jxl_header.MAGIC, CONTAINER))


def decode(data: bytes) -> PictureFile:
    found = list(boxes.walk(data)) if data.startswith(CONTAINER) else []
    stream = _codestream(data, found)
    header = jxl_header.read(stream)
    if header.animated:
        raise BadInput("several_pages", "This file holds an animation; save one picture alone.")
    if header.extra not in ((), (jxl_header.ALPHA,)):
        raise BadInput("colour_model", "This JPEG XL file holds channels beyond colour and transparency.")
    if header.associated:
        raise BadInput("colour_model", "The colours of this JPEG XL file are multiplied by its transparency.")
    if header.lossy and header.profiled:  # decoders then give linear light, in no more bits
        sentence = "The colour profile of this lossy JPEG XL file cannot be converted; save it as PNG."
        raise BadInput("profile", sentence)
    if (header.bits > 16 and not header.exponent) or (header.exponent and (header.bits, header.exponent) not in DEPTHS):
        raise BadInput("depth", f"JPEG XL files with samples of {header.bits} bits of this kind are not supported.")
    check_claim(header.width, header.height, 4 * max(1, header.bits // 8), NAME)
    if any(box.kind == JPEG for box in found):
        inner = jpeg.decode(bytes(imagecodecs.jpegxl_decode_jpeg(data, numthreads=1)))
        return replace(inner, format=NAME, data=data, own=inner)
    samples = np.asarray(imagecodecs.jpegxl_decode(data, numthreads=1))
    samples = _widened(samples.reshape(*samples.shape[:2], -1), header)
    model = {1: "G", 2: "GA", 3: "RGB", 4: "RGBA"}[samples.shape[2]]
    profile, numbers = _colours(stream, samples)
    told = dict(_told(found))
    block = exif.upright(told.get(EXIF, b"")[4:])  # the samples are turned already
    about = Metadata(profile, block, told.get(XMP, b""), resolution=exif.resolution(block), numbers=numbers)
    picture = interpreted(samples, model, about.stated(model[0] == "G"))
    lossy = header.lossy and (model[0] != "G" or _curve(samples, about) == GRAYS[samples.dtype.str[1:]])
    return PictureFile(NAME, (picture,), about, data, lossy=lossy, narrow=header.bits < 8, own=found)


def _codestream(data: bytes, found: Sequence[Box]) -> bytes:
    if not found:
        return data
    pieces = [box.body if box.kind == STREAM else box.body[4:] for box in found if box.kind in (STREAM, PIECE)]
    return b"".join(pieces)


def _told(found: Sequence[Box]) -> list[tuple[bytes, bytes]]:
    """EXIF and XMP, unpacked. What cannot be is left behind."""
    told = []
    for box in reversed(found):
        kind, body = box.kind, box.body
        if kind == PACKED:
            kind = body[:4]
            try:
                body = bytes(imagecodecs.brotli_decode(body[4:], out=LARGEST))
            except (imagecodecs.BrotliError, ValueError):
                continue
        if kind in (EXIF, XMP):
            told.append((kind, body))
    return told


def _widened(samples: Samples, header: jxl_header.Header) -> Samples:
    """Integers of 8 or 16 bits from those of fewer."""
    if header.exponent or (header.bits, 0) in DEPTHS:
        return samples
    dtype = np.dtype("u1" if header.bits < 8 else "u2")
    wide = samples.astype(np.uint32) * np.iinfo(dtype).max + (2**header.bits - 1) // 2
    widened: Samples = (wide // (2**header.bits - 1)).astype(dtype)
    return widened


def _colours(stream: bytes, samples: Samples) -> tuple[bytes, tuple[int, int] | None]:
    """Profile, or else the numbers that stand for it; neither where the colours are what such samples always are."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "given.jxl")
        path.write_bytes(CONTAINER + TYPE + boxes.packed(STREAM, stream) + SPACE)
        image = OpenImageIO.ImageInput.open(str(path))
        if image is None:
            OpenImageIO.geterror()  # else it is told when the process ends
            raise damaged(NAME)
        told: dict[str, Any] = {one.name: one.value for one in image.spec().extra_attribs}
        image.close()
    if "CICP" in told:
        primaries, transfer = (int(number) for number in told["CICP"][:2])
        numbers = (primaries or 1, transfer)  # of gray there are none
        if numbers == _usual(samples):
            return b"", None
        if cicp.known(*numbers):
            return b"", numbers
    return bytes(told.get("ICCProfile", b"")), None


def check(file: PictureFile) -> None:
    """For a file without loss."""
    if file.pages[0].model not in ("G", "RGB", "BGR") or file.pages[0].samples.dtype.str[1:] not in TYPES:
        raise BadInput("format", "JPEG XL is written in gray and RGB, not in CMYK or Lab; choose TIFF.")
    if _sinks(file.pages[0]) and (file.pages[0].samples < 0).any():
        raise BadInput("format", "JPEG XL is not written with colours of 32 bits below 0; choose TIFF or OpenEXR.")
    one = np.zeros_like(file.pages[0].samples[:1, :1])
    _packed(replace(file.pages[0], samples=one), file.about, 0.0)  # libjxl does not take every profile


def encode(pages: Sequence[Picture], about: Metadata, file: PictureFile, wanted: Wanted) -> bytes:
    if file.format == NAME and isinstance(file.own, PictureFile):
        level = min(wanted.level, jpeg.LEVELS - 1)
        data = jpeg.encode(pages, about, file.own, replace(wanted, level=level))
        return bytes(imagecodecs.jpegxl_encode_jpeg(data, usecontainer=True))
    if file.format == NAME and same(pages, file):
        return _with_metadata(file.data, about)
    if file.format == NAME and file.lossy:
        distances = DISTANCES[:-1] if _sinks(pages[0]) else DISTANCES
        distance = distances[min(_base(file.data) + wanted.level, len(distances) - 1)]
        return _with_metadata(_packed(pages[0], about, distance), about)
    check(file)
    risen = replace(pages[0], samples=_risen(pages[0].samples, file.pages[0]))
    return _with_metadata(_packed(risen, about, 0.0), about)


@lru_cache(maxsize=1)
def _base(data: bytes) -> int:
    file = decode(data)
    told = replace(file.about, exif=b"", xmp=b"")
    return coarsest(len(DISTANCES), lambda level: _packed(file.pages[0], told, DISTANCES[level]), file)


def _sinks(picture: Picture) -> bool:
    """Whether its samples are colours of which OpenImageIO's libjxl packs few pictures with numbers below 0."""
    return picture.model != "G" and picture.samples.dtype.str[1:] == "f4"


def _risen(samples: Samples, given: Picture) -> Samples:
    """Such samples that the cloak has brought below 0, as profiles are inexact at black, become 0."""
    if not _sinks(given) or samples.shape != given.samples.shape:
        return samples
    risen: Samples = np.where((samples < 0) & (given.samples >= 0), samples.dtype.type(0), samples)
    return risen


def _usual(samples: Samples) -> tuple[int, int]:
    """The numbers of colours about which nothing is said."""
    return cicp.LINEAR if samples.dtype.kind == "f" else cicp.SRGB


def _curve(samples: Samples, about: Metadata) -> int:
    return (about.numbers or _usual(samples))[1]


def _packed(picture: Picture, about: Metadata, distance: float) -> bytes:
    """A file of the samples with their colours. distance: 0 for nothing lost."""
    samples = np.ascontiguousarray(picture.samples)
    if picture.model != "G":
        return _coloured(samples, about, distance)
    curve, called = _curve(samples, about), GRAYS[samples.dtype.str[1:]]
    if about.profile or curve not in SHORT:
        raise BadInput("format", "JPEG XL is not written in gray with a colour profile; choose PNG or TIFF.")
    loss: dict[str, Any] = {"distance": distance} if distance else {"lossless": True}
    planes = samples if picture.has_alpha else samples[..., 0]
    data = bytes(imagecodecs.jpegxl_encode(planes, effort=EFFORT, usecontainer=True, numthreads=1, **loss))
    if curve == called:
        return data
    found = list(boxes.walk(data))
    levels = [boxes.packed(LEVEL, box.body) for box in found if box.kind == LEVEL]
    stream = jxl_header.with_transfer(_codestream(data, found), curve)
    return b"".join((CONTAINER, TYPE, *levels, boxes.packed(STREAM, stream)))


def _coloured(samples: Samples, about: Metadata, distance: float) -> bytes:
    height, width, channels = samples.shape
    dtype = samples.dtype.str[1:]
    spec = OpenImageIO.ImageSpec(width, height, channels, TYPES[dtype])
    spec.attribute("jpegxl:distance", distance)
    spec.attribute("jpegxl:effort", EFFORT)
    if about.profile:
        kind = OpenImageIO.TypeDesc(f"uint8[{len(about.profile)}]")
        spec.attribute("ICCProfile", kind, np.frombuffer(about.profile, np.uint8))
    else:
        numbers = about.numbers or _usual(samples)
        spec.attribute("CICP", OpenImageIO.TypeDesc("int[4]"), (*numbers, 0, 1))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "written.jxl")
        image = OpenImageIO.ImageOutput.create(str(path))
        if image is None:
            raise RuntimeError("OpenImageIO lacks JPEG XL")
        written = image.open(str(path), spec) and image.write_image(samples)
        if not (image.close() and written) or image.geterror():
            raise BadInput("format", "The colour profile of this picture does not go into JPEG XL; choose PNG or TIFF.")
        return path.read_bytes()


def _with_metadata(data: bytes, about: Metadata) -> bytes:
    """The picture of a file, with what is told of it and nothing else."""
    found = list(boxes.walk(data)) if data.startswith(CONTAINER) else []
    block = exif.with_resolution(about.described, about.resolution)
    told = [(EXIF, bytes(4) + block)] if block else []
    told += [(XMP, about.xmp)] if about.xmp else []
    if not found and not told:
        return data
    levels = [(box.kind, box.body) for box in found if box.kind == LEVEL]
    laid = [*levels, *told, (STREAM, _codestream(data, found))]
    return CONTAINER + TYPE + b"".join(boxes.packed(kind, body) for kind, body in laid)
