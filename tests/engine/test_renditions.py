"""Renditions look like what happens to a picture online, and let its slopes through."""

from __future__ import annotations

import random

import pytest
import torch

from glaze_server.engine import survival
from glaze_server.engine.jpeg import jpeg
from glaze_server.engine.renditions import (
    JPEG_QUALITY,
    LEAST_HALF,
    LEAST_SMALLER,
    SHARES,
    SHIFTS,
    Deck,
    Kind,
    Rendition,
)
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


def test_the_grid_of_a_compressed_rendition_is_the_pictures_own() -> None:
    """What is cut off afterwards moves the encoder's grid and not JPEG's."""
    x = waves(64, 80)
    whole = jpeg(x, JPEG_QUALITY)[..., 6:, 2:]
    rendition = Rendition(1.0, (6, 2), jpeg=True)
    seen = rendition.damaged(rendition.placed(x))
    inner = (..., slice(16, None), slice(16, None))  # the blocks at the cut know nothing of what lay beyond it
    torch.testing.assert_close(seen[inner], whole[inner], atol=1e-5, rtol=0)
    assert (jpeg(x[..., 6:, 2:], JPEG_QUALITY) - whole)[inner].abs().max() > 0.02


# Drawing

Hand = list[tuple[Rendition, float]]


def drawn(shorter: int, seed: int = 0, steps: int = 50) -> list[Hand]:
    deck, dice = Deck(shorter), random.Random(seed)
    return [deck.draw(dice, step) for step in range(steps)]


def weights(hands: list[Hand]) -> dict[tuple[bool, bool], float]:
    """Kind (smaller, compressed) → the mean of what it counts in a step."""
    total: dict[tuple[bool, bool], float] = {}
    for one, weight in (pair for hand in hands for pair in hand):
        kind = one.scale < 1, one.jpeg
        total[kind] = total.get(kind, 0) + weight / len(hands)
    return total


def test_the_full_size_and_its_jpeg_take_turns_and_the_smaller_ones_always_come() -> None:
    for step, hand in enumerate(drawn(64)):
        kinds = [(one.scale < 1, one.jpeg) for one, _ in hand]
        assert kinds == [(False, step % 2 == 1), (True, False), (True, True)]
        assert all(one.shift in SHIFTS for one, _ in hand)
    assert {one.shift for hand in drawn(64) for one, _ in hand} == set(SHIFTS)


def test_over_all_turns_each_kind_counts_its_share() -> None:
    assert weights(drawn(64, steps=4)) == pytest.approx(SHARES)


def test_without_smaller_ones_the_others_count_more() -> None:
    found = weights(drawn(63, steps=4))
    assert set(found) == {(False, False), (False, True)}
    assert sum(found.values()) == pytest.approx(1)


def test_the_kind_that_least_is_reached_on_counts_most() -> None:
    deck, dice = Deck(64), random.Random(0)
    for step in range(40):
        for one, _ in deck.draw(dice, step):
            deck.note(one, 0.9 if one.jpeg and one.scale < 1 else 0.7)
    found = weights([deck.draw(dice, step) for step in range(2)])
    assert sum(found.values()) == pytest.approx(1)
    assert found[True, True] / found[True, False] > 4 * SHARES[Kind(True, True)] / SHARES[Kind(True, False)]


def test_a_deck_is_taken_up_again() -> None:
    first, second = Deck(64), Deck(64)
    first.note(Rendition(0.5, (0, 0), jpeg=True), 0.6)
    assert first.draw(random.Random(1), 0) != second.draw(random.Random(1), 0)
    second.load(first.facts())
    assert first.draw(random.Random(1), 0) == second.draw(random.Random(1), 0)


def test_a_picture_has_the_smaller_renditions_of_which_enough_is_left() -> None:
    for shorter, scales in (
        (32, {1.0}),
        (63, {1.0}),
        (64, {1.0, 0.5}),
        (680, {1.0, 0.5}),
        (700, {1.0, 0.5, 0.375}),
        (1024, {1.0, 0.5, 0.375, 0.25}),
    ):
        seen = {one.scale for hand in drawn(shorter) for one, _ in hand}
        assert seen == scales
        assert all(shorter * scale >= (LEAST_HALF if scale == 0.5 else LEAST_SMALLER) for scale in seen - {1.0})


def test_half_the_size_comes_more_often_than_any_smaller_one() -> None:
    smaller = [one.scale for hand in drawn(1024, steps=200) for one, _ in hand if one.scale < 1]
    assert smaller.count(0.5) > 1.5 * max(smaller.count(0.375), smaller.count(0.25))
    assert min(smaller.count(0.375), smaller.count(0.25)) > 0.15 * len(smaller)


def test_the_same_dice_draw_the_same() -> None:
    assert drawn(64, 5) == drawn(64, 5)
    assert drawn(64, 5) != drawn(64, 6)


def test_no_rendition_of_the_smallest_picture_is_empty() -> None:
    for hand in drawn(32):
        for one, _ in hand:
            assert min(one.damaged(one.placed(waves(32, 32))).shape[-2:]) >= 25
