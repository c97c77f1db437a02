"""Pictures ↔ tensors, (1, C, H, W) in [0, 1], as the engine computes with them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glaze_plugin.raster import Raster, RasterFormat
from glaze_server.engine.formats import vips
from glaze_server.engine.picture import Picture

MIN_SIDE = 32
"""px; below, the scales that the cloak must survive leave nothing to encode. The painting programs refuse it."""

SQUARE = 8
"""px; the side of a transparency checker's squares."""
DEPTHS: dict[str, Any] = {"u8": np.dtype("u1"), "u16": np.dtype("<u2")}


def from_raster(raster: Raster) -> Picture:
    layout = raster.format
    samples = np.frombuffer(raster.pixels, DEPTHS[layout.depth])
    return Picture(samples.reshape(layout.height, layout.width, len(layout.channels)), layout.channels)


def to_raster(picture: Picture) -> Raster:
    depth = "u8" if picture.samples.dtype == np.uint8 else "u16"
    layout = RasterFormat(picture.width, picture.height, picture.channels, depth)
    return Raster(layout, np.ascontiguousarray(picture.samples, DEPTHS[depth]).tobytes())


def _planes(values: NDArray[np.float32]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1)))[None]


def colour(picture: Picture) -> Tensor:
    """What is seen of the colours, sRGB in [0, 1], (1, 1 or 3, H, W), RGB order."""
    return _planes(picture.seen)


def alpha(picture: Picture) -> Tensor | None:
    """Alpha in [0, 1], (1, 1, H, W), or None for an opaque picture."""
    opacity = picture.alpha
    return None if opacity is None else _planes(opacity)


def add(picture: Picture, delta: Tensor) -> Picture:
    """The picture with δ added to its samples (`Picture.changed`). delta: (1, 1 or 3, H, W), units of [0, 1], RGB."""
    return picture.changed(delta[0].numpy().transpose(1, 2, 0))


def over(unit: Tensor, opacity: Tensor | None, background: float | Tensor = 1.0) -> Tensor:
    """What a viewer sees: (1, 3, H, W), composited over a gray `background` in [0, 1] where there is alpha.

    background: one gray, or one for each pixel, (1, 1, H, W).
    """
    seen = unit if opacity is None else unit * opacity + background * (1 - opacity)
    return seen.expand(-1, 3, -1, -1)


def checker(like: Tensor, first: float, second: float) -> float | Tensor:
    """Squares of two grays in [0, 1] in turns, from the top left, (1, 1, H, W) like `like`; of equal ones the gray."""
    if first == second:
        return first
    down, right = (torch.arange(side, device=like.device) // SQUARE for side in like.shape[-2:])
    odd = (down[:, None] + right) % 2 == 1
    return torch.where(odd, second, first).to(like.dtype)[None, None]


def rounded(unit: Tensor) -> Tensor:
    """As an 8-bit picture shows it: rounded to multiples of 1/255 within [0, 1]."""
    return (unit.clamp(0, 1) * 255).round() / 255


def to_8bit(unit: Tensor) -> NDArray[np.uint8]:
    """Samples (H, W, C) of a picture (1, C, H, W) in [0, 1], rounded."""
    return np.ascontiguousarray((unit[0].permute(1, 2, 0).clamp(0, 1) * 255).round().to(torch.uint8).numpy())


def from_8bit(samples: NDArray[np.uint8]) -> Tensor:
    """A picture (1, C, H, W) in [0, 1] from samples (H, W, C)."""
    return torch.from_numpy(np.ascontiguousarray(samples.transpose(2, 0, 1), np.float32) / 255)[None]


def png(unit: Tensor) -> bytes:
    """A PNG file of a picture (1, 3, H, W) in [0, 1]."""
    return vips.packed(to_8bit(unit), "png")
