"""Windows over a picture of any size, so that the memory of a network stays bounded.

A window is seen with a halo around its core; only latents of the core count, so every latent counts exactly once. δ
itself is one canvas and never tiled: there is no seam to blend.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from glaze_server.engine.encoders import STRIDE, Encoder

CORE = 768
HALO = 64
"""px; ENGINE measurements: beyond it the gradient of a window hardly changes."""


@dataclass(frozen=True)
class Window:
    """outer: what the encoder sees, px. core: the part of its latent that counts. place: where that lies in all."""

    outer: tuple[slice, slice]
    core: tuple[slice, slice]
    place: tuple[slice, slice]


def _stretches(length: int) -> Iterator[tuple[slice, slice, slice]]:
    """The windows along one axis; a picture that fits into one window is one window."""
    if length <= CORE + 2 * HALO:
        latent = -(-length // STRIDE)
        yield slice(0, length), slice(0, latent), slice(0, latent)
        return
    for start in range(0, length, CORE):
        end = min(start + CORE, length)
        low, high = max(0, start - HALO), min(length, end + HALO)
        first, last = start // STRIDE, -(-end // STRIDE)
        inner = first - low // STRIDE
        yield slice(low, high), slice(inner, inner + last - first), slice(first, last)


def windows(height: int, width: int) -> list[Window]:
    """Windows that cover a picture of that size, px."""
    return [
        Window((rows[0], columns[0]), (rows[1], columns[1]), (rows[2], columns[2]))
        for rows in _stretches(height)
        for columns in _stretches(width)
    ]


def encode(encoder: Encoder, x: Tensor) -> Tensor:
    """The latent of a picture (1, 3, H, W) of any size, window by window, without gradients."""
    with torch.no_grad():
        rows = []
        for window in windows(*x.shape[-2:]):
            latent = encoder(x[..., window.outer[0], window.outer[1]])[..., window.core[0], window.core[1]]
            rows.append((window, latent))
        if len(rows) == 1:
            return rows[0][1]
        height, width = (-(-side // STRIDE) for side in x.shape[-2:])
        whole = rows[0][1].new_empty(1, rows[0][1].shape[1], height, width)
        for window, latent in rows:
            whole[..., window.place[0], window.place[1]] = latent
        return whole


def gradient(encoder: Encoder, x: Tensor, loss: Callable[[Tensor, Window], Tensor]) -> Tensor:
    """Sum over windows of the gradient of `loss(core latent, window)` with respect to x, shaped like x."""
    total = torch.zeros_like(x)
    for window in windows(*x.shape[-2:]):
        seen = x[..., window.outer[0], window.outer[1]].detach().requires_grad_()
        value = loss(encoder(seen)[..., window.core[0], window.core[1]], window)
        (part,) = torch.autograd.grad(value, seen)
        total[..., window.outer[0], window.outer[1]] += part
    return total
