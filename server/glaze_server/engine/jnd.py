"""Just-noticeable difference: how much of the largest change each pixel may take."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from glaze_server.engine.scielab import gaussian_blur

EPSILON = 16 / 255
"""The largest |δ| where the eye forgives most, in [0, 1]."""
LEAST = 0.25
"""Share of it that a flat area may take."""
ROUGH = 0.035
"""Local contrast from which an area may take it all."""
SIGMA = 2.0
"""px around each pixel that its contrast is measured over."""
HALO = 2
"""px; how far an area must be from a flat one to count as rough: noise beside a line is seen, on it hardly."""
FLAT = 2 / 255
"""Local contrast below which an area counts as flat, where the eye sees noise first."""


def local_contrast(x: Tensor) -> Tensor:
    """Standard deviation of luma around each pixel (Gaussian, SIGMA), (1, 1, H, W); x (1, 3, H, W)."""
    luma = (x * x.new_tensor([0.299, 0.587, 0.114])[None, :, None, None]).sum(1, keepdim=True)
    mean = gaussian_blur(luma, SIGMA)
    return (gaussian_blur(luma**2, SIGMA) - mean**2).clamp_min(0).sqrt()


def jnd_map(x: Tensor) -> Tensor:
    """How much of the largest change each pixel may take, (1, 1, H, W): LEAST up to FLAT, 1 from ROUGH on.

    So the root mean square over flat areas cannot exceed LEAST · EPSILON, which is all that the budget allows there.
    """
    least = -F.max_pool2d(-local_contrast(x), 2 * HALO + 1, stride=1, padding=HALO)
    return LEAST + (1 - LEAST) * ((least - FLAT) / (ROUGH - FLAT)).clamp(0, 1)


def room(seen: Tensor, opacity: Tensor | None) -> Tensor:
    """The largest |δ| of each pixel, (1, 1, H, W): the eye's tolerance, and nothing where nothing is seen.

    seen: (1, 3, H, W) in [0, 1], as a viewer sees the picture. opacity: (1, 1, H, W), or None for an opaque one.
    """
    tolerated = EPSILON * jnd_map(seen)
    return tolerated if opacity is None else tolerated * (opacity > 0)
