"""What happens to a picture online: the transforms that a cloak is measured after.

Each maps a picture (1, 3, H, W) in [0, 1], rounded to 8 bits, to another picture.
"""

from __future__ import annotations

from collections.abc import Callable

import pyvips
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
    return F.interpolate(x, (height, width), mode="bicubic", antialias=True, align_corners=False)


def _shrink(ratio: float) -> Transform:
    return lambda x: rounded(resize(x, ratio))


def _jpeg(quality: int) -> Transform:
    def compress(x: Tensor) -> Tensor:
        data = pyvips.Image.new_from_array(to_8bit(x)).jpegsave_buffer(Q=quality)
        return from_8bit(pyvips.Image.new_from_buffer(data, "").numpy())

    return compress


def _crop_off_grid(x: Tensor) -> Tensor:
    """3 rows and 5 columns off, so that the encoder's 8 px grid falls elsewhere."""
    return x[..., 3:, 5:]


half = _shrink(1 / 2)
jpeg75 = _jpeg(75)

TRANSFORMS: dict[str, Transform] = {
    "half": half,
    "quarter": _shrink(1 / 4),
    "jpeg75": jpeg75,
    "half_jpeg75": lambda x: jpeg75(half(x)),
    "crop": _crop_off_grid,
}
