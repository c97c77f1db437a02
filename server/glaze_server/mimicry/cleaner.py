"""AdverseCleaner (lllyasviel, 2023): the bilateral filter many times, then guided filters along the picture's edges."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from glaze_server.engine.pixels import rounded
from glaze_server.engine.survival import BILATERAL_ROUNDS, bilateral

GUIDED_ROUNDS = 4
RADIUS = 4
"""px of the guided filter: its window is 9 px wide."""
EPSILON = 16 / 255**2
"""What the guide's variance is compared with, in units of [0, 1]²; the script's 16 is of 8-bit levels."""


def cleaned(x: Tensor) -> Tensor:
    """The published script's filters on pictures (N, 3, H, W) in [0, 1], rounded to 8 bits at the end."""
    y = x
    for _ in range(BILATERAL_ROUNDS):
        y = bilateral(y)
    for _ in range(GUIDED_ROUNDS):
        y = guided(x, y)
    return rounded(y)


def guided(guide: Tensor, x: Tensor) -> Tensor:
    """The guided filter (He et al., TPAMI 2013, equations 14 to 16): x smoothed along the guide's edges in colour.

    guide, x: (N, 3, H, W) in [0, 1]. Windows end at the picture's border, as in the paper.
    """
    mean, mean_x = _mean(guide), _mean(x)
    spread = _product(guide, guide) - mean[:, :, None] * mean[:, None]
    together = _product(guide, x) - mean[:, :, None] * mean_x[:, None]
    damped = spread.permute(0, 3, 4, 1, 2) + EPSILON * torch.eye(3)
    slopes: Tensor = torch.linalg.solve(damped, together.permute(0, 3, 4, 1, 2)).permute(0, 3, 4, 1, 2)
    offset = mean_x - (slopes * mean[:, :, None]).sum(1)
    slopes, offset = _mean(slopes.flatten(1, 2)).unflatten(1, (3, 3)), _mean(offset)
    return (slopes * guide[:, :, None]).sum(1) + offset


def _mean(x: Tensor) -> Tensor:
    """Of each window, (N, C, H, W)."""
    return F.avg_pool2d(x, 2 * RADIUS + 1, 1, RADIUS, count_include_pad=False)


def _product(one: Tensor, other: Tensor) -> Tensor:
    """The mean product of each two channels, (N, 3, 3, H, W)."""
    mean: Tensor = _mean((one[:, :, None] * other[:, None]).flatten(1, 2)).unflatten(1, (3, 3))
    return mean
