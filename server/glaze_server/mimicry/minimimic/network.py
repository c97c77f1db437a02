"""MiniMimic's denoiser: a diffusion transformer (Peebles & Xie, ICCV 2023) on latents, trained by flow matching.

Rectified flow (Liu et al., ICLR 2023): x_t = (1 − t)·x + t·noise, and the network learns noise − x. Labels are styles;
in a tenth of all steps none is told, so that it can be guided without a classifier (Ho & Salimans, 2022).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import DiTTransformer2DModel
from torch import Tensor

SAMPLE_STEPS = 20
GUIDANCE = 1.5
TIMES = 1000
"""What the network is told instead of t = 1."""


@dataclass(frozen=True)
class Size:
    """side: of the latents. channels: theirs. labels: styles, without that of the artist who is imitated."""

    labels: int
    side: int = 16
    channels: int = 32
    patch: int = 2
    layers: int = 4
    heads: int = 4
    head: int = 64

    @property
    def artist(self) -> int:
        """The label that training leaves free."""
        return self.labels

    @property
    def none(self) -> int:
        """The label that stands for none."""
        return self.labels + 1


def denoiser(size: Size) -> Any:
    """An untrained one; draws its weights from torch's own generator."""
    network = DiTTransformer2DModel(
        num_attention_heads=size.heads,
        attention_head_dim=size.head,
        in_channels=size.channels,
        out_channels=size.channels,
        num_layers=size.layers,
        sample_size=size.side,
        patch_size=size.patch,
        num_embeds_ada_norm=size.labels + 1,
    )
    for block in network.transformer_blocks:  # adaLN-Zero: each block begins as nothing
        torch.nn.init.zeros_(block.norm1.linear.weight)
        torch.nn.init.zeros_(block.norm1.linear.bias)
    torch.nn.init.zeros_(network.proj_out_2.weight)
    torch.nn.init.zeros_(network.proj_out_2.bias)
    return network


def label_tables(network: Any) -> list[Tensor]:
    """The embeddings of labels, one row each, of every layer."""
    tables = [m for m in network.modules() if isinstance(m, torch.nn.Embedding)]
    return [table.weight for table in tables]


def loss(network: Any, latents: Tensor, labels: Tensor, dice: torch.Generator, none: int) -> Tensor:
    """Flow matching's mean squared error; latents (N, C, H, W) of about unit variance, labels (N,)."""
    count = len(latents)
    t = torch.sigmoid(torch.randn(count, generator=dice)).to(latents)  # as Stable Diffusion 3 draws times
    noise = torch.randn(latents.shape, generator=dice).to(latents)
    told = torch.where(torch.rand(count, generator=dice) < 0.1, none, labels.cpu()).to(labels)
    share = t[:, None, None, None]
    found = velocity(network, (1 - share) * latents + share * noise, t, told)
    return (found - (noise - latents)).square().mean()


def velocity(network: Any, x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
    """noise − x, as the network sees it; t (N,) in [0, 1]."""
    found: Tensor = network(x, timestep=t * TIMES, class_labels=labels).sample
    return found


@torch.no_grad()
def sample(network: Any, size: Size, labels: Sequence[int], dice: torch.Generator, tick: Callable[[], None]) -> Tensor:
    """Latents (N, C, side, side) on the CPU, by SAMPLE_STEPS steps of Euler; tick is called once a step."""
    count, where = len(labels), next(network.parameters()).device
    x = torch.randn(count, size.channels, size.side, size.side, generator=dice).to(where)
    told = torch.tensor([*labels, *[size.none] * count], device=where)
    for step in range(SAMPLE_STEPS):
        t = torch.full((2 * count,), 1 - step / SAMPLE_STEPS, device=where)
        wanted, free = velocity(network, torch.cat([x, x]), t, told).chunk(2)
        x = x - (free + GUIDANCE * (wanted - free)) / SAMPLE_STEPS
        tick()
    return x.cpu()
