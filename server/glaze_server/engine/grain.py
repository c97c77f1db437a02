"""How coarse a cloak's grain is: flat art packs into little, since hardly a sample changes there until it is cloaked.

A coarser grain packs better and reaches less, so a page gets the finest one with which its file stays small enough, and
of the coarsest only what does most; docs/tried.md has what each costs and saves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from glaze_server.engine.jnd import EPSILON, FLAT, LEAST

CELL = 2
"""px of each side of a cell."""
LEVEL = LEAST * EPSILON
"""From one level of δ to the next, at full strength: all that a flat area may take."""
UNIT = 1 / 255
"""What levels are multiples of, so that they pack well in 8 and in 16 bits."""
SEED = 0
NOWHERE, IN_FLAT_AREAS, EVERYWHERE = "nowhere", "in flat areas", "everywhere"


@dataclass(frozen=True)
class Grain:
    """levels: whether δ takes multiples of LEVEL alone. cells: where all pixels of a cell share one δ."""

    levels: bool = False
    cells: str = NOWHERE

    def shared(self, seen: Tensor) -> Tensor | None:
        """Where pixels share δ with their cell, (1, 1, H, W); None for nowhere. seen: (1, 3, H, W) in [0, 1]."""
        if self.cells == NOWHERE:
            return None
        if self.cells == EVERYWHERE:
            return torch.ones_like(seen[:, :1], dtype=torch.bool)
        around = [F.max_pool2d(side, 3, stride=1, padding=1) for side in (seen, -seen)]
        busy = (around[0] + around[1]).amax(1, keepdim=True) > FLAT
        return spread(F.max_pool2d(busy.float(), CELL, ceil_mode=True), seen) == 0


FINE, COARSE = Grain(), Grain(True, EVERYWHERE)
GRAINS = (FINE, Grain(True), Grain(True, IN_FLAT_AREAS), COARSE)
"""From the finest to the coarsest."""


def spread(cells: Tensor, like: Tensor) -> Tensor:
    """One value for each cell, (1, C, ⌈H/CELL⌉, ⌈W/CELL⌉), over all of its pixels, as high and wide as `like`."""
    height, width = like.shape[-2:]
    return cells.repeat_interleave(CELL, -2).repeat_interleave(CELL, -1)[..., :height, :width]


def mean(planes: Tensor, room: Tensor, shared: Tensor | None) -> Tensor:
    """`planes`, with the mean over each cell where pixels share; those without room count for nothing."""
    if shared is None:
        return planes
    live = (room > 0).to(planes)
    total, count = (F.avg_pool2d(plane, CELL, ceil_mode=True, divisor_override=1) for plane in (planes * live, live))
    return torch.where(shared, spread(total / count.clamp_min(1), planes), planes)


def least(room: Tensor, shared: Tensor | None) -> Tensor:
    """`room`, (1, 1, H, W), where pixels share the least of each cell; 0 stays 0 and counts for nothing."""
    if shared is None:
        return room
    found = -F.max_pool2d(-room.masked_fill(room == 0, 1.0), CELL, ceil_mode=True)
    return torch.where(shared & (room > 0), spread(found, room), room)


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


def noise(room: Tensor, shared: Tensor | None, colours: int) -> Tensor:
    """What packs no better than a cloak: each pixel or cell draws from all that it may take, (1, colours, H, W)."""
    dice = torch.Generator().manual_seed(SEED)
    drawn = 2 * torch.rand(1, colours, *room.shape[-2:], generator=dice) - 1
    if shared is not None:
        drawn = torch.where(shared, spread(drawn[..., ::CELL, ::CELL], drawn), drawn)
    return drawn * room
