"""The visual budget: what of a change is seen, how much of it may be, and δ scaled until that holds.

Five limits at once, since any single metric gets gamed: an LPIPS penalty alone lets single pixels move by 90/255.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from glaze_server.engine.colorvideovdp import BEST, JodLoss
from glaze_server.engine.device import Compute
from glaze_server.engine.jnd import EPSILON, FLAT, local_contrast
from glaze_server.engine.lpips_distance import Lpips
from glaze_server.engine.pixels import rounded

TOLERANCE = 1e-12
"""For limits that are met exactly; what is shown never exceeds the budget by more."""


@dataclass(frozen=True)
class Visibility:
    """How visible a change is, measured after rounding to 8 bits.

    max_change, and flat_rms (root mean square over flat areas, 0 where there are none), in units of [0, 1]. jod_loss:
    JOD of ColorVideoVDP below its best. psnr: dB.
    """

    lpips_alex: float
    lpips_vgg: float
    max_change: float
    flat_rms: float
    jod_loss: float
    psnr: float

    @property
    def jod(self) -> float:
        return BEST - self.jod_loss


GROWTH = {"lpips_alex": 2.0, "lpips_vgg": 2.0, "max_change": 1.0, "flat_rms": 1.0, "jod_loss": 2.0}
"""The power of δ's size with which each limited figure grows as long as it is small."""


@dataclass(frozen=True)
class Budget:
    """The most that may be seen: all limits hold at once, since any single one gets gamed."""

    lpips_alex: float = 0.05
    lpips_vgg: float = 0.20
    max_change: float = EPSILON
    flat_rms: float = 4 / 255
    jod_loss: float = 0.3

    def scaled(self, strength: float) -> Budget:
        """What a cloak of `strength` times the size may show."""
        return Budget(**{name: strength ** GROWTH[name] * limit for name, limit in vars(self).items()})

    def allowing(self, moved: float) -> Budget:
        """The same where a lossy file that is saved again moves samples so far without a cloak.

        Where that is more than a cloak may, the cloak's own comes on top.
        """
        return replace(self, max_change=self.max_change + (moved if moved > self.max_change else 0))

    def holds(self, seen: Visibility) -> bool:
        return all(getattr(seen, name) <= limit + TOLERANCE for name, limit in vars(self).items())

    def headroom(self, seen: Visibility, other: Visibility | None = None, ratio: float = 1.0) -> float:
        """The factor for δ at which the tightest limit would just hold, if all figures follow GROWTH.

        other, ratio: what was seen of another share of δ, and how many times `seen`'s that was. Then each figure is
        taken to grow as it did between the two, since LPIPS saturates and a lossy file moves samples of its own.
        """
        factors = [1e9]
        for name, limit in vars(self).items():
            value, power = getattr(seen, name), GROWTH[name]
            if other and value > 0 and getattr(other, name) > 0:
                power = min(max(math.log(getattr(other, name) / value) / math.log(ratio), SLOWEST), power)
            if value > 0:
                factors.append((limit / value) ** (1 / power))
        return min(factors)


VGG_WINDOWS = 4
"""Windows at most that LPIPS of VGG looks at, which takes ten times as long as the other figures."""


class Eye:
    """Judges changes of one picture. reference: what a viewer sees of the original, (1, 3, H, W) in [0, 1]."""

    def __init__(self, reference: Tensor, compute: Compute | None = None) -> None:
        self.reference = rounded(reference)
        self._flat = (local_contrast(self.reference) < FLAT).expand_as(self.reference)
        self.alex = Lpips(self.reference, "alex", compute=compute)
        self.vgg = Lpips(self.reference, "vgg", VGG_WINDOWS, compute)
        self._jod_loss = JodLoss(self.reference, compute=compute)

    @torch.no_grad()
    def judge(self, picture: Tensor) -> Visibility:
        """picture: (1, 3, H, W) in [0, 1]."""
        seen = rounded(picture)
        change = seen - self.reference
        mean_square = float(change.square().mean())
        flat = change[self._flat]
        return Visibility(
            lpips_alex=self.alex.distance(seen),
            lpips_vgg=self.vgg.distance(seen),
            max_change=round(float(change.abs().max()) * 255) / 255,
            flat_rms=float(flat.square().mean().sqrt()) if flat.numel() else 0.0,
            jod_loss=self._jod_loss.distance(seen),
            psnr=-10 * math.log10(mean_square) if mean_square else math.inf,
        )


SLOWEST = 0.5
"""A figure that grows slower than this power of δ between two trials counts as growing so fast."""
FIT_STEPS = 6
FIT_LEAP = 0.8
"""As long as nothing held, each trial is at most this share of the one before."""
FIT_MARGIN = 0.985
"""How far below its estimate each trial is aimed; it costs 1.5 % of δ and saves trials."""


@torch.no_grad()
def fit(show: Callable[[float], Tensor], eye: Eye, budget: Budget, tick: Callable[[], None]) -> float:
    """The largest share of δ found, at most 1, at which the budget holds for the picture as it will be seen; 0 if none.

    show: a share → the picture with so much of δ, (1, 3, H, W), as it will be stored. tick: called after each of at
    most FIT_STEPS trials.
    """
    share, ceiling = 1.0, 1.0
    best, before, before_share = 0.0, None, 1.0
    for _ in range(FIT_STEPS):
        seen = eye.judge(show(share))
        tick()
        if budget.holds(seen):
            best = share
            if share == ceiling:
                break
        else:
            ceiling = share
        estimate = share * budget.headroom(seen, before, before_share / share) * FIT_MARGIN
        before, before_share = seen, share
        if not best:
            estimate = min(estimate, FIT_LEAP * ceiling)
        share = estimate if best < estimate < ceiling else (best + ceiling) / 2
        if best and share < best * 1.01:
            break
    return best


RESTARTS = 4
RESTART = 0.25
"""Where `fit` finds nothing that holds, `fill` begins anew at this share of where it began."""


def fill(
    delta: Tensor,
    most: float,
    show: Callable[[Tensor], Tensor],
    eye: Eye,
    budget: Budget,
    tick: Callable[[], None],
) -> Tensor:
    """δ scaled up or down as far as the budget lets it; 0 where nothing holds. most: the largest change that is seen.

    Single pixels beyond the largest change are clipped to it first: scaling by them alone would leave nothing of a δ
    that has few of them. show: δ → the picture with it, as for `fit`.
    """
    if not most:
        return delta
    begin = (delta * max(1.0, budget.max_change / most)).clamp(-budget.max_change, budget.max_change)
    for _ in range(RESTARTS):
        share = fit(lambda share, begin=begin: show(begin * share), eye, budget, tick)  # type: ignore[misc]
        if share:
            return begin * share
        begin = begin * RESTART
    return torch.zeros_like(delta)
