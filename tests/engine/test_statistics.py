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
    assert (found.mean, found.units) == (0.5, 2)


def test_the_interval_is_students() -> None:
    """Of 1, 2 and 6: 4.303 · 2.646 / √3 on both sides of 3."""
    found = estimate({"a": [1.0], "b": [2.0], "c": [6.0]})
    assert (found.low, found.high) == pytest.approx((3 - 6.572, 3 + 6.572), abs=0.001)
    one = estimate({"a": [1.0, 4.0]})
    assert (one.mean, one.low, one.high) == (2.5, 2.5, 2.5)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_the_interval_of_few_units_covers_as_often_as_it_says(count: int) -> None:
    draw = random.Random(count)
    found = [estimate({str(unit): [draw.gauss(0, 1)] for unit in range(count)}) for _ in range(1000)]
    assert sum(one.low <= 0 <= one.high for one in found) / len(found) == pytest.approx(0.95, abs=0.02)


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
