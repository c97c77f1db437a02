"""PNG (third edition, 2025). Chunks are kept as they are, but for what is not to go along; libvips packs the pixels."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from glaze_plugin.errors import BadInput
from glaze_server.engine import cicp
from glaze_server.engine.formats import png_texts, vips
from glaze_server.engine.formats.file import PictureFile, Wanted, check_claim, damaged, same
from glaze_server.engine.metadata import KEEP_ALL, Metadata, keeps_text
from glaze_server.engine.picture import Picture, interpreted

NAME = "png"
LEVELS = 1

MAGIC = b"\x89PNG\r\n\x1a\n"
XMP = png_texts.XMP.encode() + bytes(5)
LOOKS = (b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"cICP", b"mDCV", b"cLLI", b"pHYs")
"""Chunks that say how the samples are shown."""
SAMPLES = (b"PLTE", b"tRNS", b"sBIT", b"bKGD", b"hIST", b"IDAT")
"""Chunks that go with the samples."""
MORE = (b"tIME", b"oFFs", b"pCAL", b"sCAL", b"sTER", b"sPLT", b"caNv", b"vpAg")
"""Other chunks of which it is known that they hold no copy of the picture, and nothing of how it was packed."""
LINEAR = (90_000, 110_000)
"""gAMA of linear light is 100,000."""
UNIT = 100_000
"""gAMA and cHRM are in so many parts."""
SRGB_GAMMA, NEAR = 0.45455, 0.005
INCH = 0.0254
CHANNELS = {0: 1, 2: 3, 3: 4, 4: 2, 6: 4}
"""Colour type → channels at most, with a transparent colour one more."""


@dataclass(frozen=True)
class Chunk:
    kind: bytes
    body: bytes

    @property
    def whole(self) -> bytes:
        return (
            struct.pack(">I", len(self.body))
            + self.kind
            + self.body
            + struct.pack(">I", zlib.crc32(self.kind + self.body))
        )

    @property
    def keyword(self) -> str:
        """Of a text."""
        return self.body.partition(b"\0")[0].decode("latin-1")


def holds(data: bytes) -> bool:
    return data.startswith(MAGIC)


def chunks(data: bytes) -> Iterator[Chunk]:
    """Up to IEND; raises BadInput for a file that ends before."""
    at = len(MAGIC)
    while at + 12 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        if at + 12 + size > len(data):
            break
        yield Chunk(kind, data[at + 8 : at + 8 + size])
        if kind == b"IEND":
            return
        at += 12 + size
    raise damaged(NAME)


def decode(data: bytes) -> PictureFile:
    found = list(chunks(data))
    bodies = {chunk.kind: chunk.body for chunk in reversed(found)}
    if found[0].kind != b"IHDR" or len(found[0].body) != 13:
        raise damaged(NAME)
    width, height, depth, colour, *_ = struct.unpack(">IIBBBBB", found[0].body)
    if colour not in CHANNELS:
        raise damaged(NAME)
    if b"acTL" in bodies:
        raise BadInput("several_pages", "This file holds an animation; save one picture alone.")
    check_claim(width, height, (CHANNELS[colour] + (b"tRNS" in bodies)) * max(1, depth // 8), NAME)
    samples, image = vips.samples(data, NAME)
    profile = vips.profile(image)
    (gamma,) = struct.unpack(">I", bodies[b"gAMA"]) if len(bodies.get(b"gAMA", b"")) == 4 else (0,)
    linear = LINEAR[0] < gamma < LINEAR[1] and b"sRGB" not in bodies
    picture = interpreted(samples, vips.CHANNELS[samples.shape[2]], profile, linear)
    told = png_texts.about((chunk.kind, chunk.body) for chunk in found)
    about = replace(
        told,
        profile=profile or _described(bodies, colour in (0, 4)),
        exif=bodies.get(b"eXIf", b"").removeprefix(png_texts.EXIF) or told.exif,
        resolution=_resolution(bodies.get(b"pHYs", b"")),
        numbers=None if profile else _numbers(bodies),
    )
    return PictureFile(NAME, (picture,), about, data, narrow=depth < 8 or colour == 3, own=found)


def _numbers(bodies: Mapping[bytes, bytes]) -> tuple[int, int] | None:
    """Primaries and transfer, where they say something other than sRGB."""
    body = bodies.get(b"cICP", b"")
    found = (body[0], body[1]) if len(body) == 4 and body[2:] == b"\0\1" else cicp.SRGB
    return found if cicp.known(*found) and found != cicp.SRGB else None


def _described(bodies: Mapping[bytes, bytes], gray: bool) -> bytes:
    """A profile of what gAMA and cHRM say, where nothing says it better and it is not nearly sRGB."""
    gamma, points = bodies.get(b"gAMA", b""), bodies.get(b"cHRM", b"")
    if b"cICP" in bodies or b"sRGB" in bodies or len(gamma) not in (0, 4) or len(points) not in (0, 32):
        return b""
    exponent = struct.unpack(">I", gamma)[0] / UNIT if gamma else SRGB_GAMMA
    flat = [value / UNIT for value in struct.unpack(">8I", points)] if points else []
    white, *primaries = zip(flat[::2], flat[1::2], strict=True) if points else (cicp.D65, *cicp.REC709)
    usual = np.allclose([white, *primaries], (cicp.D65, *cicp.REC709), atol=NEAR)
    if not 0.1 < exponent < 10 or (abs(exponent - SRGB_GAMMA) < NEAR and (usual or gray)):
        return b""
    try:
        return cicp.described(white, tuple(primaries), 1 / exponent, gray)
    except (ValueError, RuntimeError):  # points that span no colours
        return b""


def _resolution(body: bytes) -> tuple[float, float] | None:
    if len(body) != 9 or body[8] != 1:
        return None
    across, down, _ = struct.unpack(">IIB", body)
    return across * INCH, down * INCH


def check(file: PictureFile) -> None:
    if file.pages[0].model not in ("G", "RGB", "BGR") or not file.pages[0].integers:
        raise BadInput("format", "PNG holds gray and RGB of 8 or 16 bits a channel; choose TIFF.")


def encode(pages: Sequence[Picture], about: Metadata, file: PictureFile, wanted: Wanted) -> bytes:
    own: list[Chunk] = file.own if file.format == NAME else []
    if own and same(pages, file):
        header, pixels = own[0], [chunk for chunk in own if chunk.kind in SAMPLES]
    else:
        interlaced = bool(own and own[0].body[12])
        options = {"compression": 9, "filter": "all", "interlace": interlaced}
        packed = list(chunks(vips.packed(pages[0].samples, NAME, **options)))
        header, pixels = packed[0], [chunk for chunk in packed if chunk.kind in SAMPLES]
    shown = [chunk for chunk in own if chunk.kind in LOOKS and (chunk.kind != b"iCCP" or about.profile)]
    shown = shown if own else _looks(about)
    block = about.exif if own else about.described
    told = [Chunk(b"eXIf", block)] if block else []
    told += [Chunk(b"iTXt", XMP + about.xmp)] if about.xmp else []
    told += [Chunk(b"zTXt", png_texts.iptc_text(about.iptc))] if about.iptc else []
    told += [chunk for chunk in own if _goes_along(chunk, wanted.metadata)]
    before = [chunk for chunk in pixels if chunk.kind != b"IDAT"]
    rest = [chunk for chunk in pixels if chunk.kind == b"IDAT"]
    return MAGIC + b"".join(one.whole for one in (header, *shown, *before, *told, *rest, Chunk(b"IEND", b"")))


def _goes_along(chunk: Chunk, mode: str) -> bool:
    """Whether a chunk of no interest to the samples is kept as it is. mode: one of metadata.MODES."""
    if chunk.kind in png_texts.KINDS:
        written_anew = chunk.keyword == png_texts.XMP or chunk.keyword.startswith(png_texts.BLOCK)
        return not written_anew and keeps_text(chunk.keyword, mode)
    return mode == KEEP_ALL and chunk.kind in MORE


def _looks(about: Metadata) -> list[Chunk]:
    """How the samples of a picture from another format are shown."""
    found = [Chunk(b"iCCP", b"icc\0\0" + zlib.compress(about.profile))] if about.profile else []
    if about.numbers and not about.profile:
        found.append(Chunk(b"cICP", bytes((*about.numbers, 0, 1))))
    if about.resolution:
        across, down = (round(value / INCH) for value in about.resolution)
        found.append(Chunk(b"pHYs", struct.pack(">IIB", across, down, 1)))
    return found
