"""Renditions look like what happens to a picture online, and let its slopes through."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from glaze_server.engine import survival
from glaze_server.engine.renditions import JPEG_QUALITY, LEAST_HALF, LEAST_SMALLER, SHIFTS, Deck, Rendition, jpeg
from tests.engine.conftest import signs, waves

Scene = Callable[[int, int], Tensor]


def psnr(x: Tensor, y: Tensor) -> float:
    """dB"""
    return -10 * math.log10(float((x - y).square().mean()))


# JPEG


def test_the_differentiable_jpeg_is_that_of_libvips(scene: Scene) -> None:
    """40.4 dB to libvips' own at the same quality where it was measured, and 30 dB or so from the original."""
    x = scene(96, 80)
    own = jpeg(x)
    near = {quality: psnr(own, survival._jpeg(quality)(x)) for quality in (30, 60, JPEG_QUALITY, 90)}
    assert JPEG_QUALITY == 75
    assert near[75] > 39
    assert all(near[75] > near[other] + 4 for other in (30, 60, 90))
    assert psnr(own, x) < 32


def test_what_was_compressed_before_hardly_changes_when_compressed_again(scene: Scene) -> None:
    once = survival.jpeg75(scene(96, 80))
    assert psnr(jpeg(once), once) > psnr(jpeg(scene(96, 80)), scene(96, 80)) + 4


@pytest.mark.parametrize("size", [(16, 16), (17, 33), (61, 75), (8, 100), (1, 5)])
def test_sides_that_are_no_multiple_of_a_block_stay(size: tuple[int, int]) -> None:
    x = waves(*size)
    leaf = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(jpeg(leaf).square().sum(), leaf)
    assert jpeg(x).shape == x.shape
    assert 0 <= float(jpeg(x).min()) <= float(jpeg(x).max()) <= 1
    assert gradient.isfinite().all()


def test_at_black_and_white_the_compressed_picture_and_its_slope_are_finite() -> None:
    for level in (0.0, 1.0):
        leaf = torch.full((1, 3, 32, 32), level, requires_grad=True)
        (gradient,) = torch.autograd.grad(jpeg(leaf).sum(), leaf)
        assert gradient.isfinite().all()
        torch.testing.assert_close(jpeg(leaf), leaf, rtol=0, atol=0.02)


def test_the_slope_through_jpeg_points_where_the_compressed_picture_goes(scene: Scene) -> None:
    """JPEG is a staircase, so only steps larger than its quantiser can be asked, and only whether they go up."""
    x = scene(64, 80)
    weights = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))

    def height(picture: Tensor) -> Tensor:
        return (jpeg(picture) * weights).sum()

    leaf = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(height(leaf), leaf)
    direction = gradient / gradient.norm()
    for step in (0.3, 1.0, 3.0):
        slope = float(height(x + step * direction) - height(x - step * direction)) / (2 * step)
        assert 1 < slope / float(gradient.norm()) < 6
        sideways = signs(x.shape)
        sideways /= sideways.norm()
        assert slope > 5 * abs(float(height(x + step * sideways) - height(x - step * sideways))) / (2 * step)


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
    assert torch.equal(Rendition(jpeg=True).damaged(x), jpeg(x))


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
