"""How coarse a cloak's grain is: flat art packs into little, since hardly a sample changes there until it is cloaked.

A coarser grain packs better and reaches less, so a page gets the finest one with which its file stays nearly small
enough, and then what does most of it (`thinning`); docs/tried.md has what each costs and saves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from glaze_server.engine.jnd import EPSILON, FLAT, LEAST

LEVEL = LEAST * EPSILON
"""From one level of δ to the next, at full strength: all that a flat area may take."""
UNIT = 1 / 255
"""What levels are multiples of, so that they pack well in 8 and in 16 bits."""
SEED = 0


@dataclass(frozen=True)
class Grain:
    """levels: whether δ takes multiples of LEVEL alone. cell: px of each side of the cells whose pixels share one δ.
    in_flat: whether they do so in flat areas alone.
    """

    levels: bool = False
    cell: int = 1
    in_flat: bool = False

    def cells(self, seen: Tensor) -> Cells | None:
        """None where no pixels share δ. seen: (1, 3, H, W) in [0, 1]."""
        if self.cell == 1:
            return None
        if not self.in_flat:
            return Cells(self.cell, torch.ones_like(seen[:, :1], dtype=torch.bool))
        around = [F.max_pool2d(side, 3, stride=1, padding=1) for side in (seen, -seen)]
        busy = (around[0] + around[1]).amax(1, keepdim=True) > FLAT
        return Cells(self.cell, spread(F.max_pool2d(busy.float(), self.cell, ceil_mode=True), self.cell, seen) == 0)


FINE = Grain()
GRAINS = (FINE, Grain(True), Grain(True, 2, in_flat=True), Grain(True, 2), Grain(True, 3))
"""From the finest to the coarsest."""


@dataclass(frozen=True)
class Cells:
    """Squares of a picture whose pixels share one δ. side: px. where: which pixels do, (1, 1, H, W)."""

    side: int
    where: Tensor

    def to(self, device: str) -> Cells:
        """The same on another device."""
        return Cells(self.side, self.where.to(device))

    def mean(self, planes: Tensor, room: Tensor) -> Tensor:
        """`planes`, with the mean over each cell; pixels without room count for nothing. All (1, C, H, W)."""
        live = (room > 0).to(planes)
        total, count = (
            F.avg_pool2d(plane, self.side, ceil_mode=True, divisor_override=1) for plane in (planes * live, live)
        )
        return torch.where(self.where, spread(total / count.clamp_min(1), self.side, planes), planes)

    def first(self, planes: Tensor) -> Tensor:
        """`planes`, (1, C, H, W), with the value of each cell's first pixel."""
        found = planes[..., :: self.side, :: self.side]
        return torch.where(self.where, spread(found, self.side, planes), planes)

    def least(self, room: Tensor) -> Tensor:
        """`room`, (1, 1, H, W), with the least of each cell; 0 stays 0 and counts for nothing."""
        found = -F.max_pool2d(-room.masked_fill(room == 0, 1.0), self.side, ceil_mode=True)
        return torch.where(self.where & (room > 0), spread(found, self.side, room), room)


def spread(cells: Tensor, side: int, like: Tensor) -> Tensor:
    """One value for each cell, (1, C, ⌈H/side⌉, ⌈W/side⌉), over all of its pixels, as high and wide as `like`."""
    height, width = like.shape[-2:]
    return cells.repeat_interleave(side, -2).repeat_interleave(side, -1)[..., :height, :width]


def best(worth: Tensor, room: Tensor, share: float) -> Tensor:
    """Where δ does most: that share of all pixels with room, of the largest worth. All (1, 1, H, W)."""
    values = worth[room > 0]
    least = values.kthvalue(1 + int((1 - share) * (len(values) - 1))).values
    return (worth >= least) & (room > 0)


def step(share: float) -> float:
    """From one level to the next where δ is laid on by `share` only: LEVEL's, in whole units."""
    return max(1, math.floor(share * LEVEL / UNIT + 1e-6)) * UNIT


def stepped(delta: Tensor, room: Tensor, size: float) -> Tensor:
    """δ at multiples of `size`, none beyond its room; where there is less room than that, at 0 and at all of it."""
    sizes = room.clamp(max=size)
    count = delta / sizes.clamp_min(1e-9)
    near = count.round()
    return torch.where(near.abs() * sizes > room * 1.0001, count.trunc(), near) * sizes


def noise(room: Tensor, cells: Cells | None, colours: int) -> Tensor:
    """What packs no better than a cloak: each pixel or cell draws from all that it may take, (1, colours, H, W)."""
    dice = torch.Generator().manual_seed(SEED)
    drawn = 2 * torch.rand(1, colours, *room.shape[-2:], generator=dice) - 1
    return (cells.first(drawn) if cells else drawn) * room
