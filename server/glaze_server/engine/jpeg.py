"""JPEG as a function that gradients pass through: what libjpeg does at one quality, with colour at half the size.

Rounding is what JPEG loses by, and its slope is 0 or infinite. Values are rounded here too; the slope is that of
rounding a number known no better than by SPREAD: what lies near a threshold moves most, all together as they are.
"""

from __future__ import annotations

import math
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

BLOCK = 8
SPREAD = 0.2
"""Standard deviation, in steps between two multiples. With it slopes are nearest to what real cloaks change."""
LUMA = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
"""ITU-T T.81, table K.1: how coarsely luminance is rounded at quality 50."""
CHROMA_CORNER = ((17, 18, 24, 47), (18, 21, 26, 66), (24, 26, 56, 99), (47, 66, 99, 99))
"""Table K.2 where it is not 99."""
TO_YCC = ((0.299, 0.587, 0.114), (-0.168735892, -0.331264108, 0.5), (0.5, -0.418687589, -0.081312411))
"""JFIF 1.02, page 3."""
TO_RGB = ((1.0, 0.0, 1.402), (1.0, -0.344136, -0.714136), (1.0, 1.772, 0.0))

COSINES = tuple(
    tuple(
        math.sqrt((2 if rate else 1) / BLOCK) * math.cos((2 * place + 1) * rate * math.pi / (2 * BLOCK))
        for place in range(BLOCK)
    )
    for rate in range(BLOCK)
)
"""The orthonormal cosine transform of BLOCK px, a row for each frequency (T.81, A.3.3)."""


def jpeg(x: Tensor, quality: int) -> Tensor:
    """x, (1, 3, H, W) in [0, 1], as it comes back from a JPEG file. quality: 1..100, libjpeg's."""
    height, width = x.shape[-2:]
    padded = F.pad(x.clamp(0, 1), (0, -width % (2 * BLOCK), 0, -height % (2 * BLOCK)), mode="replicate")
    ycc = F.conv2d(255 * padded, _matrix(TO_YCC, x))
    luma = _rounded(ycc[:, :1] - 128, _steps(LUMA, quality, x)) + 128
    small = _rounded(F.avg_pool2d(ycc[:, 1:], 2).transpose(0, 1), _steps(CHROMA_CORNER, quality, x))
    chroma = F.interpolate(small.transpose(0, 1), scale_factor=2, mode="bilinear", align_corners=False)
    seen = F.conv2d(torch.cat([luma, chroma], 1), _matrix(TO_RGB, x)) / 255
    return seen[..., :height, :width].clamp(0, 1)


def _rounded(planes: Tensor, steps: Tensor) -> Tensor:
    """Planes (N, 1, H, W) after their cosine transform's coefficients were rounded to multiples of `steps`."""
    waves = _waves(str(planes.device), planes.dtype)
    exact = F.conv2d(planes, waves, stride=BLOCK) / steps
    still = exact.detach()
    whole = still.round()
    beyond = 0.5 - (still - whole).abs()
    slope = torch.exp(-((beyond / SPREAD) ** 2) / 2) / (SPREAD * math.sqrt(2 * math.pi))
    return F.conv_transpose2d((whole + (exact - still) * slope) * steps, waves, stride=BLOCK)


@cache
def _waves(device: str, dtype: torch.dtype) -> Tensor:
    """The cosine transform of 8×8 px as a convolution's kernels, (64, 1, 8, 8), orthonormal."""
    wave = torch.tensor(COSINES)
    waves = torch.einsum("ux,vy->uvxy", wave, wave)
    return waves.reshape(BLOCK**2, 1, BLOCK, BLOCK).to(device, dtype)


def _steps(table: tuple[tuple[int, ...], ...], quality: int, like: Tensor) -> Tensor:
    """What coefficients are rounded to at that quality, (1, 64, 1, 1), by libjpeg's own rule."""
    steps = torch.full((BLOCK, BLOCK), 99.0)
    steps[: len(table), : len(table)] = torch.tensor(table, dtype=torch.float32)
    scale = 5000 / quality if quality < 50 else 200 - 2 * quality
    return ((steps * scale + 50) / 100).floor().clamp(1, 255).reshape(1, -1, 1, 1).to(like)


def _matrix(rows: tuple[tuple[float, ...], ...], like: Tensor) -> Tensor:
    return like.new_tensor(rows)[:, :, None, None]
