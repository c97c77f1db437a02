"""A target style is neither the picture's own nor the farthest from it."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from torch import Tensor

from glaze_server.engine import choice, styles
from tests.engine.conftest import refusal


def test_the_26_styles_have_names_of_their_own() -> None:
    assert len(set(styles.STYLES)) == len(styles.STYLES) == 26


def test_a_style_is_found_by_its_name() -> None:
    assert [styles.index(name) for name in styles.STYLES] == list(range(26))


def test_an_unknown_style_is_refused_and_the_known_ones_named() -> None:
    with refusal("unknown_style") as caught:
        styles.index("van-gogh")
    assert "van-gogh" in caught.value.sentence
    assert all(name in caught.value.remedy for name in styles.STYLES)


FAR = [float(distance) for distance in np.random.default_rng(2).permutation(26) ** 1.5]


@pytest.mark.parametrize("seed", range(20))
def test_the_chosen_style_lies_between_the_percentiles(seed: int) -> None:
    distance = FAR[styles.index(choice.choose(FAR, seed))]
    assert np.quantile(FAR, 0.50) <= distance <= np.quantile(FAR, 0.75)
    assert choice.choose(FAR, seed) == choice.choose(FAR, seed)


def test_seeds_choose_different_styles() -> None:
    assert len({choice.choose(FAR, seed) for seed in range(20)}) > 3


def test_there_is_a_choice_even_where_all_styles_are_equally_far() -> None:
    assert choice.choose([1.0] * 26, 0) in styles.STYLES


def test_every_style_has_a_distance(scene: Callable[[int, int], Tensor]) -> None:
    ticks: list[int] = []
    far = choice.distances(scene(48, 64), lambda: ticks.append(1))
    assert len(far) == len(ticks) == 26
    assert all(math.isfinite(distance) and distance > 0 for distance in far)
