"""Does a mimic find the cloaked pictures in a portfolio? A simple detector, which others surely exceed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from glaze_server.engine.statistics import ROUNDS, SEED, Estimate
from glaze_server.engine.survival import ALL_TRANSFORMS


def residual(picture: Tensor) -> float:
    """Root mean square of what a 3×3 median takes away, in [0, 1]; picture (3, H, W)."""
    x = picture[None]
    return float((x - ALL_TRANSFORMS["median"](x)).square().mean().sqrt())


def found(clean: Tensor, cloaked: Tensor) -> Estimate:
    """Area under the ROC curve: how often the residual of a cloaked picture is above that of a clean one, ties half.

    clean, cloaked: (N, 3, H, W) in [0, 1] of one artist; 0.5 is chance. The interval is over pictures of both kinds.
    """
    return auc(*([residual(picture) for picture in pictures] for pictures in (clean, cloaked)))


def auc(clean: Sequence[float], cloaked: Sequence[float]) -> Estimate:
    """As `found`, of their residuals."""
    ground, raised = np.array(clean)[:, None], np.array(cloaked)[None]
    wins = (raised > ground) + (raised == ground) / 2
    dice = np.random.default_rng(SEED)
    drawn = [wins[np.ix_(*(dice.integers(side, size=side) for side in wins.shape))].mean() for _ in range(ROUNDS)]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Estimate(float(wins.mean()), float(low), float(high), len(cloaked))
