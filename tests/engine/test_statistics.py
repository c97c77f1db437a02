"""Means and intervals against cases that are known."""

from __future__ import annotations

import random
import statistics

import pytest

from glaze_server.engine.statistics import Estimate, estimate


def test_what_never_varies_has_no_interval() -> None:
    assert estimate({"a": [2.0, 2.0], "b": [2.0]}) == Estimate(2, 2, 2, 2)


def test_targets_are_averaged_within_their_picture() -> None:
    found = estimate({"a": [0.0, 0.0, 0.0], "b": [1.0]})
    assert (found.mean, found.low, found.high) == (0.5, 0, 1)


def test_the_interval_is_that_of_the_mean() -> None:
    draw = random.Random(3)
    values = [draw.gauss(10, 2) for _ in range(400)]
    found = estimate({str(number): [value] for number, value in enumerate(values)})
    half = 1.96 * statistics.stdev(values) / 20
    assert found.mean == pytest.approx(statistics.mean(values))
    assert found.low == pytest.approx(found.mean - half, abs=0.1 * half)
    assert found.high == pytest.approx(found.mean + half, abs=0.1 * half)


def test_without_pictures_there_is_no_mean() -> None:
    with pytest.raises(ValueError, match="nothing"):
        estimate({})
