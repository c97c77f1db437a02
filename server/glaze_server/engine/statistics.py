"""Means with bootstrap intervals over units that are independent: pictures (whose targets are not), or seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

ROUNDS = 4000
SEED = 20_241_106


@dataclass(frozen=True)
class Estimate:
    """mean: over units. low, high: 95 % bootstrap interval. units: how many there were."""

    mean: float
    low: float
    high: float
    units: int


def estimate(by_unit: Mapping[str, Sequence[float]]) -> Estimate:
    """The mean over units of the mean over each unit's own values, with Efron's percentile interval.

    by_unit: unit → values, at least one each. Raises ValueError where there is no unit.
    """
    if not by_unit:
        raise ValueError("there is nothing to average")
    means = np.array([np.mean(values) for values in by_unit.values()])
    drawn = np.random.default_rng(SEED).integers(len(means), size=(ROUNDS, len(means)))
    low, high = np.quantile(means[drawn].mean(1), [0.025, 0.975])
    return Estimate(float(means.mean()), float(low), float(high), len(means))
