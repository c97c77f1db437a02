"""A layer's own samples to those that the engine takes and back, by Krita's own colour management.

The engine reads samples as if they were sRGB. RGB and gray of 8 and 16 bits with a profile that is not linear are
submitted as they are; everything else is converted to 16-bit sRGB, gray to 16-bit gray. Back comes a difference:
own + (converted result − converted original). So a sample that the cloak does not touch is bit-exact, and black ink,
light brighter than white and colours outside of sRGB stay what they are.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

from krita import Krita

from glaze_plugin.errors import GlazeError
from glaze_plugin.samples import moved

DEPTHS = {"U8": "u8", "U16": "u16", "F16": "half", "F32": "float"}
"""Krita's names for them → those of glaze_plugin.samples."""
QUARTER = {"U8": b"\x40", "U16": b"\x00\x40"}
"""A gray at a quarter of the range of each depth that may be submitted as it is."""
LINEAR = 0.45
"""Brightness of that gray, in sRGB's 0..1, above which a profile is linear: 0.54; gamma 1.8 makes it 0.32."""

SHEET = 256
"""px; pixels are converted in rows of this width, for Krita always converts whole tiles of 64 × 64 px."""


class Space(NamedTuple):
    """Krita's name for a colour space, such as ("RGBA", "U8", "sRGB-elle-V2-srgbtrc.icc")."""

    model: str
    depth: str
    profile: str

    @classmethod
    def of(cls, node: Any) -> Space:
        return cls(node.colorModel(), node.colorDepth(), node.colorProfile())


SRGB = Space("RGBA", "U16", "sRGB-elle-V2-srgbtrc.icc")
SRGB_GRAY = Space("GRAYA", "U16", "Gray-D50-elle-V2-srgbtrc.icc")


class Colours:
    """To and fro for one colour space.

    raw: whether samples are submitted as they are. channels, depth: what is submitted, as in raster.RasterFormat.
    pixel_bytes: bytes of one of the layer's own pixels. Krita does its work on small layers in no document.
    """

    def __init__(self, space: Space) -> None:
        """Raises GlazeError "colours" where Krita cannot convert."""
        self.space = space
        self._sheet = sheet(space)
        self.pixel_bytes = len(self._sheet.pixelData(0, 0, 1, 1))
        self._target = SRGB_GRAY if space.model == "GRAYA" else SRGB
        self.channels = "GA" if space.model == "GRAYA" else "BGRA"
        self.raw = space.model in ("RGBA", "GRAYA") and space.depth in QUARTER and not self._linear()
        self.depth = space.depth.lower() if self.raw else "u16"

    def submitted(self, own: bytes) -> bytes:
        """The layer's own pixels as the engine takes them."""
        return own if self.raw else self._converted(own)[1]

    def returned(self, own: bytes, result: bytes) -> bytes:
        """What the engine made of `submitted(own)`, as the layer's own pixels."""
        if self.raw:
            return result
        layer, before = self._converted(own)
        if before == result:
            return own
        rows = fill(layer, result, 0)  # in place of the original, which is then put below: both go back at once
        fill(layer, before, rows)
        recolour(layer, self.space)
        after, before = (pixels(layer, 0, top, SHEET, rows)[: len(own)] for top in (0, rows))
        return moved(own, before, after, DEPTHS[self.space.depth])

    def _converted(self, own: bytes) -> tuple[Any, bytes]:
        """A layer with these pixels converted, and the converted pixels."""
        layer = self._sheet.duplicate()
        rows = fill(layer, own, 0)
        recolour(layer, self._target)
        size = len(layer.pixelData(0, 0, 1, 1)) * (len(own) // self.pixel_bytes)
        return layer, pixels(layer, 0, 0, SHEET, rows)[:size]

    def _linear(self) -> bool:
        """Whether the profile is linear: measured, since names tell nothing of an artist's own profile."""
        gray = QUARTER[self.space.depth]
        opaque = b"\xff" * len(gray)
        pixel = gray * (self.pixel_bytes // len(gray) - 1) + opaque
        return int.from_bytes(self._converted(pixel)[1][:2], "little") > LINEAR * 65535


@cache
def workshop() -> Any:
    """A document of one pixel that no list shows.

    When Krita converts a layer's colours it draws the whole document again from which the layer comes, also one that
    the layer is not in.
    """
    made = Krita.instance().createDocument(1, 1, "Glaze", "RGBA", "U8", "", 72.0)
    hidden = made.clone()
    made.close()
    return hidden


def sheet(space: Space) -> Any:
    """A new empty paint layer that is in no document yet."""
    layer = workshop().createNode("Glaze", "paintlayer")
    recolour(layer, space)
    return layer


def fill(layer: Any, data: bytes, top: int) -> int:
    """Lay pixels out in rows of SHEET, whatever picture they are of, from row `top` on. Returns how many rows."""
    row = len(layer.pixelData(0, 0, 1, 1)) * SHEET
    rows = -(-len(data) // row)
    layer.setPixelData(data.ljust(rows * row, b"\0"), 0, top, SHEET, rows)
    return rows


def recolour(layer: Any, space: Space) -> None:
    """Convert a layer that is in no document. Raises GlazeError "colours" where Krita does not."""
    if Space.of(layer) != space and not (layer.setColorSpace(*space) and Space.of(layer) == space):
        raise GlazeError("colours", f"Krita cannot convert colours to {' '.join(space)}.")


def pixels(layer: Any, x: int, y: int, width: int, height: int) -> bytes:
    """What is seen of a layer alone, without its opacity: rows of its own pixels, straight alpha last."""
    return bytes(layer.projectionPixelData(x, y, width, height))
