"""Means with intervals over units that are independent: pictures (whose targets are not), or seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t

COVERED = 0.95


@dataclass(frozen=True)
class Estimate:
    """mean: over units. low, high: 95 % interval, that mean itself for one unit. units: how many there were."""

    mean: float
    low: float
    high: float
    units: int


def estimate(by_unit: Mapping[str, Sequence[float]]) -> Estimate:
    """The mean over units of the mean over each unit's own values, with Student's interval.

    That covers as often as it says however few units there are, as long as their means are spread like a bell; of two
    or three a bootstrap's would be their range. It may go beyond what is possible, such as a share above 1.
    by_unit: unit → values, at least one each. Raises ValueError where there is no unit.
    """
    if not by_unit:
        raise ValueError("there is nothing to average")
    means = np.array([np.mean(values) for values in by_unit.values()])
    count, mean = len(means), float(means.mean())
    half = float(t.ppf((1 + COVERED) / 2, count - 1) * means.std(ddof=1)) / math.sqrt(count) if count > 1 else 0.0
    return Estimate(mean, mean - half, mean + half, count)
