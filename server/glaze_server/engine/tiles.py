"""Windows over a picture of any size, so that the memory of a network stays bounded.

A window is seen with a halo around its core; only latents of the core count, so every latent counts exactly once. δ
itself is one canvas and never tiled: there is no seam to blend.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from glaze_server.engine.device import CORE, Compute, Device
from glaze_server.engine.encoders import STRIDE, Encoder

HALO = 64
"""px; beyond it the gradient of a window was measured to hardly change."""


Damage = Callable[[Tensor], Tensor]


def untouched(x: Tensor) -> Tensor:
    return x


@dataclass(frozen=True)
class Window:
    """outer: what the encoder sees, px. core: the part of its latent that counts. place: where that lies in all."""

    outer: tuple[slice, slice]
    core: tuple[slice, slice]
    place: tuple[slice, slice]


def _stretches(length: int, size: int, stride: int) -> Iterator[tuple[slice, slice, slice]]:
    """The windows along one axis; a picture that fits into one window is one window."""
    if length <= size + 2 * HALO:
        latent = -(-length // stride)
        yield slice(0, length), slice(0, latent), slice(0, latent)
        return
    for start in range(0, length, size):
        end = min(start + size, length)
        low, high = max(0, start - HALO), min(length, end + HALO)
        first, last = start // stride, -(-end // stride)
        inner = first - low // stride
        yield slice(low, high), slice(inner, inner + last - first), slice(first, last)


def windows(height: int, width: int, size: int = CORE, stride: int = STRIDE) -> list[Window]:
    """Windows that cover a picture of that size, for an encoder of that stride.

    size: px of a window's core, a multiple of the stride, as HALO is.
    """
    return [
        Window((rows[0], columns[0]), (rows[1], columns[1]), (rows[2], columns[2]))
        for rows in _stretches(height, size, stride)
        for columns in _stretches(width, size, stride)
    ]


def encode(encoder: Encoder, x: Tensor, compute: Compute | None = None, damage: Damage = untouched) -> Tensor:
    """The latent of a picture (1, 3, H, W) of any size, window by window, without gradients, in full precision.

    damage: what is done to each window before it is encoded.
    """

    @torch.no_grad()
    def work(device: Device) -> Tensor:
        height, width = x.shape[-2:]
        parts = [
            (
                window,
                encoder(damage(x[..., window.outer[0], window.outer[1]]), device)[..., window.core[0], window.core[1]],
            )
            for window in windows(height, width, device.core, encoder.stride)
        ]
        if len(parts) == 1:
            return parts[0][1]
        whole = x.new_empty(1, parts[0][1].shape[1], -(-height // encoder.stride), -(-width // encoder.stride))
        for window, latent in parts:
            whole[..., window.place[0], window.place[1]] = latent
        return whole

    return (compute or Compute()).run(work, f"The encoder {encoder.name}")


def gradient(
    encoder: Encoder,
    x: Tensor,
    loss: Callable[[Tensor, Window], Tensor],
    compute: Compute | None = None,
    damage: Damage = untouched,
) -> tuple[float, Tensor]:
    """Sum over windows of `loss(core latent, window)`, and its gradient with respect to x, shaped like x.

    damage: what is done to each window before it is encoded. Half precision holds the gradient best where the loss
    changes by about 1 with each number of the latent.
    """

    def work(device: Device) -> tuple[float, Tensor]:
        total, slope = 0.0, torch.zeros_like(x)
        for window in windows(x.shape[-2], x.shape[-1], device.core, encoder.stride):
            seen = x[..., window.outer[0], window.outer[1]].detach().requires_grad_()
            value = loss(encoder(damage(seen), device)[..., window.core[0], window.core[1]], window)
            (part,) = torch.autograd.grad(value, seen)
            slope[..., window.outer[0], window.outer[1]] += part
            total += value.item()
        return total, slope

    return (compute or Compute()).run(work, f"The encoder {encoder.name}", half=True)
