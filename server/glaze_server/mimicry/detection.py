"""Does a mimic find the cloaked pictures in a portfolio? A simple detector, which others surely exceed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from glaze_server.engine.statistics import COVERED, Estimate
from glaze_server.engine.survival import ALL_TRANSFORMS

ROUNDS = 4000
SEED = 20_241_106


def residual(picture: Tensor) -> float:
    """Root mean square of what a 3×3 median takes away, in [0, 1]; picture (3, H, W)."""
    x = picture[None]
    return float((x - ALL_TRANSFORMS["median"](x)).square().mean().sqrt())


def found(clean: Tensor, cloaked: Tensor) -> Estimate:
    """How often the residual of a cloaked picture is above that of a clean one of another work, ties half.

    clean, cloaked: (N, 3, H, W) in [0, 1], the same N ≥ 2 pictures; 0.5 is chance. A picture's own clean twin, which no
    detector has, counts for nothing. The interval is a bootstrap's over pictures.
    """
    return auc(*([residual(picture) for picture in pictures] for pictures in (clean, cloaked)))


def auc(clean: Sequence[float], cloaked: Sequence[float]) -> Estimate:
    """As `found`, of their residuals."""
    ground, raised = np.array(clean)[:, None], np.array(cloaked)[None]
    wins = (raised > ground) + (raised == ground) / 2
    others = ~np.eye(len(wins), dtype=bool)
    dice, drawn = np.random.default_rng(SEED), []
    for _ in range(ROUNDS):
        chosen = dice.integers(len(wins), size=len(wins))
        place = np.ix_(chosen, chosen)
        if others[place].any():
            drawn.append(wins[place][others[place]].mean())
    low, high = np.quantile(drawn, [(1 - COVERED) / 2, (1 + COVERED) / 2])
    return Estimate(float(wins[others].mean()), float(low), float(high), len(wins))
