"""JPEG as the optimiser knows it is libjpeg's, with a slope that points where the compressed picture goes."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from glaze_server.engine import survival
from glaze_server.engine.jpeg import jpeg
from tests.engine.conftest import waves

Scene = Callable[[int, int], Tensor]


def psnr(x: Tensor, y: Tensor) -> float:
    """dB"""
    return -10 * math.log10(float((x - y).square().mean()))


@pytest.mark.parametrize("quality", [30, 60, 75, 85])
def test_it_is_that_of_libvips_at_the_same_quality(scene: Scene, quality: int) -> None:
    x = scene(96, 80)
    own = jpeg(x, quality)
    near = {other: psnr(own, survival._jpeg(other)(x)) for other in (30, 60, 75, 85)}
    assert near[quality] > 40
    assert all(near[quality] > near[other] + 4 for other in near if other != quality)


def test_what_was_compressed_before_hardly_changes_when_compressed_again(scene: Scene) -> None:
    once = survival.jpeg75(scene(96, 80))
    assert psnr(jpeg(once, 75), once) > psnr(jpeg(scene(96, 80), 75), scene(96, 80)) + 4


@pytest.mark.parametrize("size", [(16, 16), (17, 33), (61, 75), (8, 100), (1, 5)])
def test_sides_that_are_no_multiple_of_a_block_stay(size: tuple[int, int]) -> None:
    leaf = waves(*size).requires_grad_()
    seen = jpeg(leaf, 75)
    (gradient,) = torch.autograd.grad(seen.square().sum(), leaf)
    assert seen.shape == leaf.shape
    assert 0 <= seen.min().item() <= seen.max().item() <= 1
    assert gradient.isfinite().all()


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_a_plain_picture_comes_back_and_its_slope_is_finite(level: float) -> None:
    leaf = torch.full((1, 3, 32, 32), level, requires_grad=True)
    seen = jpeg(leaf, 75)
    (gradient,) = torch.autograd.grad(seen.sum(), leaf)
    assert gradient.isfinite().all()
    torch.testing.assert_close(seen.detach(), leaf.detach(), rtol=0, atol=0.01)


@pytest.mark.parametrize("coarseness", [4, 2, 1])
def test_its_slope_foretells_what_libvips_makes_of_a_change(scene: Scene, coarseness: int) -> None:
    """As far as a staircase has a slope: for smooth changes of 6/255, which survive, and for fine ones."""
    x = scene(128, 128)
    grain = torch.randn(1, 3, 128 // coarseness, 128 // coarseness, generator=torch.Generator().manual_seed(1))
    change = torch.nn.functional.interpolate(grain, x.shape[-2:], mode="bilinear") * 6 / 255
    real = survival.jpeg75((x + change).clamp(0, 1)) - survival.jpeg75(x)
    _, foretold = torch.autograd.functional.jvp(lambda picture: jpeg(picture, 75), x, change)
    likeness = float((foretold * real).sum() / foretold.norm() / real.norm())
    size = float((foretold * real).sum() / real.square().sum())
    assert likeness > 0.3
    assert 0.15 < size < 1
