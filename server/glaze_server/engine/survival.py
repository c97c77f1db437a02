"""What happens to a picture online: the transforms that a cloak is measured after.

Each maps a picture (1, 3, H, W) in [0, 1], rounded to 8 bits, to another picture; what is random in one is the same for
every picture of a size, so that picture, target and cloaked picture meet the same.
"""

from __future__ import annotations

from collections.abc import Callable

import pyvips
import torch
import torch.nn.functional as F
from torch import Tensor

from glaze_server.engine.pixels import from_8bit, rounded, to_8bit

Transform = Callable[[Tensor], Tensor]


def unchanged(x: Tensor) -> Tensor:
    return x


def resize(x: Tensor, ratio: float) -> Tensor:
    """Bicubic with antialiasing, as image libraries shrink pictures; sides are rounded, at least 1 px."""
    height, width = (max(1, round(side * ratio)) for side in x.shape[-2:])
    if (height, width) == tuple(x.shape[-2:]):
        return x
    return resized(x, height, width)


def resized(x: Tensor, height: int, width: int) -> Tensor:
    """Bicubic with antialiasing, to a size of px."""
    return F.interpolate(x, (height, width), mode="bicubic", antialias=True, align_corners=False)


def _shrink(ratio: float) -> Transform:
    return lambda x: rounded(resize(x, ratio))


def _image(x: Tensor) -> pyvips.Image:
    return pyvips.Image.new_from_array(to_8bit(x))


def _jpeg(quality: int) -> Transform:
    def compress(x: Tensor) -> Tensor:
        data = _image(x).jpegsave_buffer(Q=quality)
        return from_8bit(pyvips.Image.new_from_buffer(data, "").numpy())

    return compress


def _webp(quality: int) -> Transform:
    def compress(x: Tensor) -> Tensor:
        data = _image(x).webpsave_buffer(Q=quality)
        return from_8bit(pyvips.Image.new_from_buffer(data, "").numpy())

    return compress


def _crop_off_grid(x: Tensor) -> Tensor:
    """3 rows and 5 columns off, so that the encoder's 8 px grid falls elsewhere."""
    return x[..., 3:, 5:]


NOISE_SEED = 20_240_620


def noise(deviation: float) -> Transform:
    """Gaussian noise of that standard deviation in [0, 1]."""

    def add(x: Tensor) -> Tensor:
        grain = torch.randn(x.shape, generator=torch.Generator().manual_seed(NOISE_SEED))
        return rounded(x + deviation * grain)

    return add


def _blur(x: Tensor) -> Tensor:
    """Gaussian blur, sigma 1 px."""
    return from_8bit(_image(x).gaussblur(1, min_ampl=0.01).numpy())


def _median(x: Tensor) -> Tensor:
    """Median of 3×3 px, each channel for itself."""
    return from_8bit(_image(x).median(3).numpy())


BILATERAL_ROUNDS = 64
BILATERAL_RADIUS = 2
BILATERAL_SPACE = 8.0
BILATERAL_COLOUR = 8 / 255


def bilateral(x: Tensor) -> Tensor:
    """One round of the bilateral filter (Tomasi & Manduchi, ICCV 1998) as OpenCV computes it, not rounded.

    Diameter 5 px, sigma 8 px in space and 8/255 in colour (sum over channels).
    """
    height, width = x.shape[-2:]
    reach = range(-BILATERAL_RADIUS, BILATERAL_RADIUS + 1)
    offsets = [(row, column) for row in reach for column in reach if 0 < row**2 + column**2 <= BILATERAL_RADIUS**2]
    padded = F.pad(x, (BILATERAL_RADIUS,) * 4, mode="reflect")
    total, weights = x.clone(), torch.ones_like(x[:, :1])
    for row, column in offsets:
        top, left = BILATERAL_RADIUS + row, BILATERAL_RADIUS + column
        other = padded[..., top : top + height, left : left + width]
        apart = (other - x).abs().sum(1, keepdim=True) / BILATERAL_COLOUR
        near = (row**2 + column**2) / BILATERAL_SPACE**2
        weight = torch.exp(-(apart.square() + near) / 2)
        total += weight * other
        weights += weight
    return total / weights


def _bilateral(x: Tensor) -> Tensor:
    """The bilateral filter as cloak removers use it: many rounds with a narrow range, rounded to 8 bits after each."""
    for _ in range(BILATERAL_ROUNDS):
        x = rounded(bilateral(x))
    return x


half = _shrink(1 / 2)
jpeg75 = _jpeg(75)

TRANSFORMS: dict[str, Transform] = {
    "half": half,
    "quarter": _shrink(1 / 4),
    "jpeg75": jpeg75,
    "half_jpeg75": lambda x: jpeg75(half(x)),
    "crop": _crop_off_grid,
}
"""The five that every result shows."""

ALL_TRANSFORMS: dict[str, Transform] = TRANSFORMS | {
    "three_eighths": _shrink(3 / 8),
    "jpeg95": _jpeg(95),
    "jpeg85": _jpeg(85),
    "webp80": _webp(80),
    "noise": noise(0.05),
    "blur": _blur,
    "median": _median,
    "bilateral": _bilateral,
}
"""All that a cloak is judged after in the benchmark."""
