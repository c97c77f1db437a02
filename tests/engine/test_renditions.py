"""Renditions look like what happens to a picture online, and let its slopes through."""

from __future__ import annotations

import random

import pytest
import torch

from glaze_server.engine import survival
from glaze_server.engine.jpeg import jpeg
from glaze_server.engine.renditions import JPEG_QUALITY, LEAST_HALF, LEAST_SMALLER, SHIFTS, Deck, Rendition
from tests.engine.conftest import waves

# Placing and damage


@pytest.mark.parametrize(
    ("rendition", "size"),
    [
        (Rendition(), (70, 93)),
        (Rendition(0.5), (35, 46)),
        (Rendition(0.5, (3, 5)), (32, 41)),
        (Rendition(1.0, (6, 2)), (64, 91)),
        (Rendition(0.375, (5, 7)), (21, 28)),
    ],
    ids=str,
)
def test_a_rendition_is_placed_as_it_says(rendition: Rendition, size: tuple[int, int]) -> None:
    x = waves(70, 93)
    placed = rendition.placed(x)
    assert placed.shape == (1, 3, *size)
    whole = survival.resize(x, rendition.scale)
    assert torch.equal(placed, whole[..., rendition.shift[0] :, rendition.shift[1] :])


def test_only_a_compressed_rendition_is_damaged() -> None:
    x = waves(48, 40)
    assert Rendition(0.5, (3, 5)).damaged(x) is x
    assert torch.equal(Rendition(jpeg=True).damaged(x), jpeg(x, JPEG_QUALITY))


# Drawing


def drawn(shorter: int, count: int, seed: int = 0, times: int = 50) -> list[list[Rendition]]:
    deck, dice = Deck(shorter), random.Random(seed)
    return [deck.draw(dice, count) for _ in range(times)]


@pytest.mark.parametrize("shorter", [32, 63, 64, 600, 2000])
def test_the_first_is_always_the_full_size_and_there_are_never_more_than_asked_for(shorter: int) -> None:
    for count in (1, 2, 3, 4, 9):
        for hand in drawn(shorter, count):
            assert 1 <= len(hand) <= count
            assert (hand[0].scale, hand[0].jpeg) == (1.0, False)
            assert all(one.shift in SHIFTS for one in hand)
            if count > 2:
                assert any(one.jpeg for one in hand)


def test_a_picture_has_the_smaller_renditions_of_which_enough_is_left() -> None:
    for shorter, scales in (
        (32, {1.0}),
        (63, {1.0}),
        (64, {1.0, 0.5}),
        (680, {1.0, 0.5}),
        (700, {1.0, 0.5, 0.375}),
        (1024, {1.0, 0.5, 0.375, 0.25}),
    ):
        seen = {one.scale for hand in drawn(shorter, 4) for one in hand}
        assert seen == scales
        assert all(shorter * scale >= (LEAST_HALF if scale == 0.5 else LEAST_SMALLER) for scale in seen - {1.0})


def test_four_renditions_are_of_four_kinds_and_every_shift_comes() -> None:
    hands = drawn(64, 4)
    for hand in hands:
        kinds = {(one.scale, one.jpeg) for one in hand}
        assert kinds == {(1.0, False), (0.5, True), (0.5, False), (1.0, True)}
    assert {one.shift for hand in hands for one in hand} == set(SHIFTS)


def test_half_the_size_comes_more_often_than_any_smaller_one() -> None:
    smaller = [one.scale for hand in drawn(1024, 3, times=200) for one in hand if one.scale < 1]
    assert smaller.count(0.5) > 1.5 * max(smaller.count(0.375), smaller.count(0.25))
    assert min(smaller.count(0.375), smaller.count(0.25)) > 0.15 * len(smaller)


def test_two_renditions_of_a_picture_are_its_full_size_and_a_smaller_one_where_there_is_one() -> None:
    for full, other in drawn(64, 2):
        assert (full.scale, other.scale, other.jpeg) == (1.0, 0.5, False)
    for full, other in drawn(63, 2):
        assert (full.scale, other.scale, other.jpeg) == (1.0, 1.0, True)


def test_the_same_dice_draw_the_same() -> None:
    assert drawn(64, 3, 5) == drawn(64, 3, 5)
    assert drawn(64, 3, 5) != drawn(64, 3, 6)


def test_no_rendition_of_the_smallest_picture_is_empty() -> None:
    for hand in drawn(32, 3):
        for one in hand:
            assert min(one.damaged(one.placed(waves(32, 32))).shape[-2:]) >= 25
