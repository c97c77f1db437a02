"""Raster: pixels exactly as a painting program holds them. No conversion happens here; the engine does that."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from glaze_plugin.errors import BadInput

CHANNEL_ORDERS = ("G", "GA", "RGB", "RGBA", "BGRA")
"""G is gray. Alpha is straight (never premultiplied) and always last."""

SAMPLE_BYTES = {"u8": 1, "u16": 2}
"""Bytes of one sample; u16 is little-endian, 0..65535."""

MAX_SIDE = 65_535
"""px; a larger claim is refused before memory is taken."""

MAX_PIXELS = 400_000_000
"""px; 20,000 × 20,000, refused beyond before memory is taken."""


@dataclass(frozen=True)
class RasterFormat:
    """Shape and sample layout of a raster, without its pixels.

    width, height: px, 1..65535. channels: one of CHANNEL_ORDERS. depth: a key of SAMPLE_BYTES.
    Rows follow each other from top to bottom without padding.
    """

    width: int
    height: int
    channels: str
    depth: str

    def check(self) -> None:
        """Raise BadInput unless every field is usable. Costs nothing, whatever the sizes claim."""
        if self.channels not in CHANNEL_ORDERS:
            raise BadInput("channels", f"Pixels in the order {self.channels!r} are not supported.")
        if self.depth not in SAMPLE_BYTES:
            raise BadInput("depth", f"Samples of the kind {self.depth!r} are not supported.")
        if not (0 < self.width <= MAX_SIDE and 0 < self.height <= MAX_SIDE):
            raise BadInput("size", f"A picture of {self.width}×{self.height} px is not supported.")
        if self.width * self.height > MAX_PIXELS:
            raise BadInput("size", f"A picture of {self.width}×{self.height} px is too large to cloak.")

    @property
    def row_bytes(self) -> int:
        return self.width * len(self.channels) * SAMPLE_BYTES[self.depth]

    @property
    def size(self) -> int:
        """Bytes of all pixels."""
        return self.row_bytes * self.height

    def band_rows(self, target_bytes: int) -> int:
        """Rows in a band of at most `target_bytes`, at least one."""
        return max(1, target_bytes // self.row_bytes)


@dataclass(frozen=True)
class Raster:
    """A picture as raw samples: format, pixel bytes, and ICC profile bytes (b"" for none)."""

    format: RasterFormat
    pixels: bytes
    profile: bytes = b""

    def __post_init__(self) -> None:
        self.format.check()
        if len(self.pixels) != self.format.size:
            raise BadInput(
                "pixels",
                f"The picture needs {self.format.size} bytes of pixels but {len(self.pixels)} came.",
            )


class Rectangle(NamedTuple):
    """px; x and y may be negative."""

    x: int
    y: int
    width: int
    height: int

    @property
    def empty(self) -> bool:
        return self.width <= 0 or self.height <= 0

    def grown(self, margin: int) -> Rectangle:
        return Rectangle(self.x - margin, self.y - margin, self.width + 2 * margin, self.height + 2 * margin)

    def moved(self, x: int, y: int) -> Rectangle:
        return Rectangle(self.x + x, self.y + y, self.width, self.height)

    def __and__(self, other: Rectangle) -> Rectangle:
        x, y = max(self.x, other.x), max(self.y, other.y)
        right = min(self.x + self.width, other.x + other.width)
        bottom = min(self.y + self.height, other.y + other.height)
        return Rectangle(x, y, right - x, bottom - y)

    def __or__(self, other: Rectangle) -> Rectangle:
        x, y = min(self.x, other.x), min(self.y, other.y)
        right = max(self.x + self.width, other.x + other.width)
        bottom = max(self.y + self.height, other.y + other.height)
        return Rectangle(x, y, right - x, bottom - y)

    def strips(self, rows: int) -> Iterator[Rectangle]:
        """From top to bottom, of so many rows each; the last may have less."""
        for top in range(0, self.height, rows):
            yield Rectangle(self.x, self.y + top, self.width, min(rows, self.height - top))
