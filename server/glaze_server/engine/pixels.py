"""Samples ↔ tensors: depth, channel order and alpha. The cloak is added to the original samples, never to a conversion.

Samples are read as they are, as if they were sRGB: that is what a trainer's loader does, which ignores profiles, and it
lets δ return without a colour conversion. Alpha is straight and is never changed, nor is colour where alpha is 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glaze_plugin.errors import BadInput
from glaze_plugin.raster import Raster, RasterFormat

MIN_SIDE = 32
"""px; below, the scales that the cloak must survive leave nothing to encode."""

DEPTHS: dict[str, Any] = {"u8": np.dtype("u1"), "u16": np.dtype("<u2")}


@dataclass(frozen=True)
class Picture:
    """samples: (H, W, C), uint8 or uint16. channels: one of raster.CHANNEL_ORDERS, naming the last axis."""

    samples: NDArray[np.uint8] | NDArray[np.uint16]
    channels: str

    @property
    def height(self) -> int:
        return int(self.samples.shape[0])

    @property
    def width(self) -> int:
        return int(self.samples.shape[1])

    @property
    def top(self) -> int:
        """The sample that means 1."""
        return int(np.iinfo(self.samples.dtype).max)

    @property
    def has_alpha(self) -> bool:
        return self.channels.endswith("A")

    @property
    def colours(self) -> int:
        """Channels without alpha: 1 or 3."""
        return len(self.channels.rstrip("A"))

    def check_size(self) -> None:
        """Raise BadInput for a picture too small to cloak."""
        if min(self.width, self.height) < MIN_SIDE:
            raise BadInput(
                "too_small",
                f"This picture is {self.width}×{self.height} px; a cloak needs at least {MIN_SIDE} px on each side.",
            )


def from_raster(raster: Raster) -> Picture:
    layout = raster.format
    samples = np.frombuffer(raster.pixels, DEPTHS[layout.depth])
    return Picture(samples.reshape(layout.height, layout.width, len(layout.channels)), layout.channels)


def to_raster(picture: Picture) -> Raster:
    depth = "u8" if picture.samples.dtype == np.uint8 else "u16"
    layout = RasterFormat(picture.width, picture.height, picture.channels, depth)
    return Raster(layout, np.ascontiguousarray(picture.samples, DEPTHS[depth]).tobytes())


def colour(picture: Picture) -> Tensor:
    """Colour in [0, 1], (1, 1 or 3, H, W); RGB order whatever the samples' order."""
    planes = picture.samples[:, :, : picture.colours]
    if picture.channels == "BGRA":
        planes = planes[:, :, ::-1]
    unit = np.ascontiguousarray(planes.transpose(2, 0, 1), np.float32) / picture.top
    return torch.from_numpy(unit)[None]


def alpha(picture: Picture) -> Tensor | None:
    """Alpha in [0, 1], (1, 1, H, W), or None for an opaque picture."""
    if not picture.has_alpha:
        return None
    return torch.from_numpy(picture.samples[:, :, -1].astype(np.float32) / picture.top)[None, None]


def over(unit: Tensor, opacity: Tensor | None, background: float = 1.0) -> Tensor:
    """What a viewer sees: (1, 3, H, W), composited over a gray `background` in [0, 1] where there is alpha."""
    seen = unit if opacity is None else unit * opacity + background * (1 - opacity)
    return seen.expand(-1, 3, -1, -1)


def add(picture: Picture, delta: Tensor) -> Picture:
    """The picture with δ added to its samples and clipped to their range.

    delta: (1, 1 or 3, H, W) in units of [0, 1], RGB order. A δ that rounds to 0 leaves the sample bit-exact.
    """
    change = np.rint(delta[0].numpy().transpose(1, 2, 0) * picture.top).astype(np.int32)
    if picture.channels == "BGRA":
        change = change[:, :, ::-1]
    samples = picture.samples.copy()
    planes = samples[:, :, : picture.colours]
    planes[...] = np.clip(planes.astype(np.int32) + change, 0, picture.top)
    return Picture(samples, picture.channels)


def rounded(unit: Tensor) -> Tensor:
    """As an 8-bit picture shows it: rounded to multiples of 1/255 within [0, 1]."""
    return (unit.clamp(0, 1) * 255).round() / 255


def to_8bit(unit: Tensor) -> NDArray[np.uint8]:
    """Samples (H, W, C) of a picture (1, C, H, W) in [0, 1], rounded."""
    return np.ascontiguousarray((unit[0].permute(1, 2, 0).clamp(0, 1) * 255).round().to(torch.uint8).numpy())


def from_8bit(samples: NDArray[np.uint8]) -> Tensor:
    """A picture (1, C, H, W) in [0, 1] from samples (H, W, C)."""
    return torch.from_numpy(np.ascontiguousarray(samples.transpose(2, 0, 1), np.float32) / 255)[None]
