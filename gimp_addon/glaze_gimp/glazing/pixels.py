"""Drawables' pixels in bands of rows, as GIMP keeps them and as the engine takes them.

The engine reads samples as if they were sRGB. 8 and 16 bits with a tone curve are submitted as they are. Everything
else is submitted with 16 bits and sRGB's tone curve, and comes back as a difference (glaze_plugin.samples). No colour
is ever moved to another profile.
"""

from __future__ import annotations

import re
from typing import Any

from glaze_plugin.frames import MAX_PAYLOAD
from glaze_plugin.messages import BAND
from glaze_plugin.raster import RasterFormat, Rectangle
from glaze_plugin.samples import moved

from .host import Babl, Gegl

ENCODING = re.compile(r"(R'G'B'|R~G~B~|RGB|Y'|Y~|Y)(A?) (u8|u16|u32|half|float|double)")
PLAIN = ("u8", "u16")
"""Depths of which samples may be submitted as they are."""
QUARTER = {"u8": b"\x40", "u16": b"\x00\x40"}
"""A gray at a quarter of the range."""
LINEAR = 0.45
"""Brightness of that gray with sRGB's tone curve, in 0..1, above which a profile is linear: 0.54; gamma 1.8 makes it
0.32."""
TILE_ROWS = 64
"""Rows of GIMP's tiles; bands of whole tiles are read and written quicker."""
CACHE_BYTES = 64 << 20
"""What GEGL may keep of GIMP's tiles in this process; by itself it would take half of the computer's memory."""


def start() -> None:
    """Must come before anything else here."""
    Gegl.init(None)
    Gegl.config().set_property("tile-cache-size", CACHE_BYTES)


def read(drawable: Any, where: Rectangle, format: str | None = None, scale: float = 1.0) -> bytes:
    """Pixels of a part of a drawable, in its own coordinates times `scale`; of its own format for None."""
    return pixels(drawable.get_buffer(), where, format, scale)


def pixels(buffer: Any, where: Rectangle, format: str | None, scale: float = 1.0) -> bytes:
    return bytes(buffer.get(Gegl.Rectangle.new(*where), scale, format, Gegl.AbyssPolicy.NONE))


def copy(source: Any, target: Any) -> None:
    """A drawable's pixels into another one of the same size and format."""
    space = Babl.format_get_space(source.get_format())
    name = Babl.get_name(Babl.format_with_space(Babl.format_get_encoding(source.get_format()), space))
    whole = Rectangle(0, 0, source.get_width(), source.get_height())
    one, other = source.get_buffer(), target.get_buffer()
    for strip in whole.strips(TILE_ROWS):
        other.set(Gegl.Rectangle.new(*strip), name, pixels(one, strip, name))
    other.flush()
    target.update(*whole)


def weights(channel: Any) -> str:
    """Babl's name for a channel's own values, as 8 bits."""
    model, *_ = Babl.format_get_encoding(channel.get_format()).split()
    return str(Babl.get_name(Babl.format_with_space(f"{model} u8", Babl.format_get_space(channel.get_format()))))


class Samples:
    """How the samples of a drawable travel. native, submitted: Babl's names, of the drawable's own space.

    raw: whether they are submitted as they are. channels, depth: what is submitted, as in raster.RasterFormat.
    """

    def __init__(self, drawable: Any) -> None:
        encoding = Babl.format_get_encoding(drawable.get_format())
        found = ENCODING.fullmatch(encoding)
        if not found:
            raise ValueError(encoding)
        model, alpha, self.own_depth = found.groups()
        gray = model.startswith("Y")
        self._space = Babl.format_get_space(drawable.get_format())
        self._perceptual = "Y~" if gray else "R~G~B~"
        self.native = self._named(encoding)
        self.raw = self.own_depth in PLAIN and (model == self._perceptual or ("'" in model and not self._linear(model)))
        self.submitted = self.native if self.raw else self._named(f"{self._perceptual}{alpha} u16")
        self.channels = ("G" if gray else "RGB") + alpha
        self.depth = self.own_depth if self.raw else "u16"

    def layout(self, where: Rectangle) -> RasterFormat:
        return RasterFormat(where.width, where.height, self.channels, self.depth)

    def rows(self, where: Rectangle) -> int:
        """How many rows of it to send at a time."""
        row = self.layout(where).row_bytes
        rows = max(1, BAND // row)
        whole = -(-rows // TILE_ROWS) * TILE_ROWS
        return whole if whole * row <= MAX_PAYLOAD else rows

    def returned(self, buffer: Any, where: Rectangle, result: bytes) -> bytes:
        """What the engine made of the submitted pixels of a part of a buffer, as that buffer's own pixels."""
        if self.raw:
            return result
        own, sent = pixels(buffer, where, self.native), pixels(buffer, where, self.submitted)
        if sent == result:
            return own
        before, after = (self._as_native(one, where) for one in (sent, result))
        return moved(own, before, after, self.own_depth)

    def _as_native(self, data: bytes, where: Rectangle) -> bytes:
        """Both halves of a difference go this way in the same shape: their rounding must be the same."""
        return self._converted(data, where.width, where.height, self.submitted, self.native)

    def _named(self, encoding: str) -> str:
        return str(Babl.get_name(Babl.format_with_space(encoding, self._space)))

    def _linear(self, model: str) -> bool:
        """Whether the profile is linear: measured, since names tell nothing of an artist's own profile."""
        gray = QUARTER[self.own_depth] * (1 if model.startswith("Y") else 3)
        own, sent = self._named(f"{model} {self.own_depth}"), self._named(f"{self._perceptual} u16")
        return int.from_bytes(self._converted(gray, 1, 1, own, sent)[:2], "little") > LINEAR * 65535

    @staticmethod
    def _converted(data: bytes, width: int, height: int, before: str, after: str) -> bytes:
        where = Rectangle(0, 0, width, height)
        sheet = Gegl.Buffer.new(before, *where)
        sheet.set(Gegl.Rectangle.new(*where), before, data)
        return pixels(sheet, where, after)
