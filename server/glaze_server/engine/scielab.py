"""S-CIELAB (Zhang & Wandell, SID 1996): the CIELAB difference of pictures blurred as the eye blurs each colour.

Luminance is seen sharper than red-green, and red-green sharper than blue-yellow, so fine colour noise counts little.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from glaze_server.engine.device import Device
from glaze_server.engine.looking import Difference

PIXELS_PER_DEGREE = 70.0
"""A 4K screen looked at from half a metre or so."""

TO_XYZ = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750), (0.0193339, 0.1191920, 0.9503041))
TO_OPPONENT = ((0.279, 0.720, -0.107), (-0.449, 0.290, -0.077), (0.086, -0.590, 0.501))
"""XYZ to luminance, red-green and blue-yellow (Poirson & Wandell 1993)."""
WHITE = (0.95047, 1.0, 1.08883)
LINEAR_TO_OPPONENT = torch.tensor(TO_OPPONENT) @ torch.tensor(TO_XYZ)
OPPONENT_TO_XYZ = torch.linalg.inv(torch.tensor(TO_OPPONENT)) / torch.tensor(WHITE)[:, None]
"""Back again, in units of white."""
FILTERS = (
    ((0.921, 0.0283), (0.105, 0.133)),
    ((0.531, 0.0392), (0.330, 0.494)),
    ((0.488, 0.0536), (0.371, 0.386)),
)
"""Per opponent channel: weights and spreads, in degrees, of its Gaussians; a third, broad and weak, is left out."""
COARSE, FROM_SIGMA = 4, 4.0
"""Gaussians of FROM_SIGMA px and more are computed at a COARSE-th of the size."""


class ColourDifference(Difference):
    """Mean S-CIELAB difference: |ΔL*| plus the distance in a*b*, in units of ΔE."""

    NAME = "S-CIELAB"

    def _prepare(self, reference: Tensor, device: Device) -> Tensor:
        return seen_lab(reference)

    def _value(self, seen: Tensor, prepared: Tensor, device: Device) -> Tensor:
        return _mean_difference(seen_lab(seen), prepared)


def _mean_difference(lab: Tensor, other: Tensor) -> Tensor:
    change = lab - other
    chroma = (change[:, 1:].square().sum(1) + 1e-4).sqrt() - 1e-2
    return (change[:, 0].abs() + chroma).mean()


def seen_lab(x: Tensor) -> Tensor:
    """CIELAB of a picture (N, 3, H, W), sRGB in [0, 1], as the eye blurs it."""
    linear = torch.where(x <= 0.04045, x / 12.92, ((x.clamp_min(0.04045) + 0.055) / 1.055) ** 2.4)
    opponent = _mix(LINEAR_TO_OPPONENT, linear)
    blurred = torch.cat([_blurred(opponent[:, c : c + 1], FILTERS[c]) for c in range(3)], 1)
    xyz = _mix(OPPONENT_TO_XYZ, blurred)
    root = torch.where(xyz > 0.008856, xyz.clamp_min(0.008856) ** (1 / 3), 7.787 * xyz + 16 / 116)
    return torch.stack([116 * root[:, 1] - 16, 500 * (root[:, 0] - root[:, 1]), 200 * (root[:, 1] - root[:, 2])], 1)


def _mix(matrix: Tensor, x: Tensor) -> Tensor:
    return torch.einsum("ij,njhw->nihw", matrix.to(x), x)


def _blurred(x: Tensor, gaussians: tuple[tuple[float, float], ...]) -> Tensor:
    """The weighted mean of Gaussian blurs; spreads as exp(−(r/s)²)."""
    total = sum(weight for weight, _ in gaussians)
    sigmas = [spread * PIXELS_PER_DEGREE / math.sqrt(2) for _, spread in gaussians]
    parts = [weight / total * _blur(x, sigma) for (weight, _), sigma in zip(gaussians, sigmas, strict=True)]
    return torch.stack(parts).sum(0)


def _blur(x: Tensor, sigma: float) -> Tensor:
    if sigma < FROM_SIGMA:
        return gaussian_blur(x, sigma)
    height, width = x.shape[-2:]
    padded = F.pad(x, (0, -width % COARSE, 0, -height % COARSE), mode="replicate")
    coarse = gaussian_blur(F.avg_pool2d(padded, COARSE), sigma / COARSE)
    fine = F.interpolate(coarse, padded.shape[-2:], mode="bilinear", align_corners=False)
    return fine[..., :height, :width]


def gaussian_blur(x: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of (N, C, H, W) with mirrored borders. sigma: px."""
    radius = min(round(3 * sigma), min(x.shape[-2:]) - 1)
    offsets = torch.arange(-radius, radius + 1, dtype=x.dtype, device=x.device)
    kernel = torch.exp(-(offsets**2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).expand(x.shape[1], 1, -1)
    padded = F.pad(x, (radius,) * 4, mode="reflect")
    rows = F.conv2d(padded, kernel[:, :, None, :], groups=x.shape[1])
    return F.conv2d(rows, kernel[:, :, :, None], groups=x.shape[1])
