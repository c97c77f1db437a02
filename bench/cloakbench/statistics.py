"""Means with bootstrap intervals over pictures: targets of one picture are not independent, so pictures are drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

ROUNDS = 4000
SEED = 20_241_106


@dataclass(frozen=True)
class Estimate:
    """mean: over pictures. low, high: 95 % bootstrap interval. pictures: how many there were."""

    mean: float
    low: float
    high: float
    pictures: int


def estimate(by_picture: Mapping[str, Sequence[float]]) -> Estimate:
    """The mean over pictures of the mean over each picture's own values, with Efron's percentile interval.

    by_picture: picture → values, at least one each. Raises ValueError where there is no picture.
    """
    if not by_picture:
        raise ValueError("there is nothing to average")
    means = np.array([np.mean(values) for values in by_picture.values()])
    drawn = np.random.default_rng(SEED).integers(len(means), size=(ROUNDS, len(means)))
    low, high = np.quantile(means[drawn].mean(1), [0.025, 0.975])
    return Estimate(float(means.mean()), float(low), float(high), len(means))
