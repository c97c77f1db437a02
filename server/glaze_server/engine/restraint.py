"""What holds a cloak back while it is optimised: one Lagrange multiplier for each visible difference."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from glaze_server.engine.budget import Budget
from glaze_server.engine.colorvideovdp import JodLoss
from glaze_server.engine.device import Compute
from glaze_server.engine.jnd import EPSILON
from glaze_server.engine.looking import Difference
from glaze_server.engine.lpips_distance import Lpips
from glaze_server.engine.scielab import ColourDifference

START = 0.015
"""The multiplier of a difference that is just at its limit, at first: slopes are those of a relative distance."""
LEARNING = 0.3
"""By how much its logarithm changes in an iteration where the limit is exceeded by the limit itself."""
STIFFNESS = 4.0
"""How much stronger than its multiplier a restraint pulls, in the logarithm, at twice the limit."""
FARTHEST = 1.5
"""An excess counts as no more than this many limits, or it would outlast its cause."""

CHEAP = 2
"""Iterations from one look of LPIPS-alex and S-CIELAB to the next."""
COLOUR_LIMIT = 1.0
"""Mean S-CIELAB difference (ΔE) at full strength. No part of the budget: it keeps the cloak where eyes are weak."""


@dataclass
class Restraint:
    """Keeps one difference near its limit.

    every, phase: it is looked at in iterations that leave `phase` when divided by `every`, and then counts for all.
    distance: what was seen last.
    """

    difference: Difference
    limit: float
    every: int
    phase: int
    multiplier: float = START
    distance: float = math.inf

    def pull(self, seen: Tensor) -> Tensor:
        """The gradient with respect to the picture that is seen, weighted; moves the multiplier."""
        self.distance, slope = self.difference.gradient(seen)
        excess = min(max(self.distance / self.limit - 1, -FARTHEST), FARTHEST)
        weight = self.multiplier * math.exp(STIFFNESS * excess) * self.every / self.limit
        self.multiplier *= math.exp(LEARNING * excess * self.every)
        return slope * weight


class Restraints:
    """All of them for one picture.

    reference: (1, 3, H, W) in [0, 1]. looks: iterations from one look of the dear ones to the next, 0 for none.
    """

    def __init__(self, reference: Tensor, budget: Budget, looks: int, compute: Compute) -> None:
        strength = budget.max_change / EPSILON
        alex, colour = Lpips(reference, "alex", None, compute), ColourDifference(reference, None, compute)
        often = min(CHEAP, looks or CHEAP)
        self._all = [
            Restraint(alex, budget.lpips_alex, often, 0),
            Restraint(colour, strength * COLOUR_LIMIT, often, often // 2),
        ]
        if looks:
            vgg, jod_loss = Lpips(reference, "vgg", None, compute, half=True), JodLoss(reference, None, compute)
            self._all += [
                Restraint(vgg, budget.lpips_vgg, looks, 0),
                Restraint(jod_loss, budget.jod_loss, looks, looks // 2),
            ]

    def gradient(self, delta: Tensor, show: Callable[[Tensor], Tensor], iteration: int) -> Tensor:
        """The sum of their pulls, with respect to δ. show: δ → what a viewer sees, (1, 3, H, W)."""
        delta = delta.detach().requires_grad_()
        seen = show(delta)
        pull = torch.zeros_like(seen)
        for restraint in self._all:
            if iteration % restraint.every == restraint.phase:
                pull += restraint.pull(seen.detach())
        (result,) = torch.autograd.grad(seen, delta, pull)
        return result

    @property
    def held(self) -> bool:
        """Whether every difference was within its limit when it was last looked at."""
        return all(restraint.distance <= restraint.limit for restraint in self._all)

    def facts(self) -> list[tuple[float, float]]:
        """Its state, for `load`."""
        return [(restraint.multiplier, restraint.distance) for restraint in self._all]

    def load(self, facts: Sequence[tuple[float, float]]) -> None:
        for restraint, (multiplier, distance) in zip(self._all, facts, strict=True):
            restraint.multiplier, restraint.distance = multiplier, distance
