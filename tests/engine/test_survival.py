"""The transforms of the benchmark do what they are named after."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from glaze_server.engine.pixels import rounded
from glaze_server.engine.survival import ALL_TRANSFORMS, TRANSFORMS, noise
from tests.engine.conftest import waves

SIZES = {"half": (32, 36), "three_eighths": (24, 27), "quarter": (16, 18), "half_jpeg75": (32, 36), "crop": (61, 67)}


@pytest.fixture(scope="module")
def x(scene: Callable[[int, int], Tensor]) -> Tensor:
    return rounded(scene(64, 72))


@pytest.mark.parametrize("name", ALL_TRANSFORMS)
def test_each_gives_an_8_bit_picture_the_same_every_time(name: str, x: Tensor) -> None:
    after = ALL_TRANSFORMS[name](x)
    assert after.shape == (1, 3, *SIZES.get(name, (64, 72)))
    torch.testing.assert_close(after, rounded(after), rtol=0, atol=0)
    torch.testing.assert_close(after, ALL_TRANSFORMS[name](x), rtol=0, atol=0)
    assert not torch.equal(after, x)


def test_the_five_that_results_show_are_among_them() -> None:
    assert len(TRANSFORMS) == 5
    assert list(ALL_TRANSFORMS)[:5] == list(TRANSFORMS)


def test_less_quality_changes_a_picture_more(x: Tensor) -> None:
    changes = [float((ALL_TRANSFORMS[f"jpeg{quality}"](x) - x).square().mean()) for quality in (95, 85, 75)]
    assert 0 < changes[0] < changes[1] < changes[2] < 0.01


def test_noise_is_as_strong_as_asked_and_the_same_for_pictures_of_a_size() -> None:
    gray = torch.full((1, 3, 64, 64), 0.5)
    grain = noise(0.05)(gray) - gray
    assert float(grain.std()) == pytest.approx(0.05, rel=0.05)
    torch.testing.assert_close(noise(0.05)(gray + 0.1) - gray - 0.1, grain, rtol=0, atol=1.01 / 255)


def test_blur_spreads_a_point_by_its_sigma() -> None:
    point = torch.zeros(1, 3, 33, 33)
    point[..., 16, 16] = 1
    spread = ALL_TRANSFORMS["blur"](point)[0, 0]
    offsets = torch.arange(-16.0, 17.0)
    assert float((spread.sum(1) * offsets**2).sum() / spread.sum()) == pytest.approx(1, rel=0.1)


def test_the_median_takes_single_pixels_away() -> None:
    speckled = torch.zeros(1, 3, 32, 32)
    speckled[..., 5::8, 5::8] = 1
    assert not ALL_TRANSFORMS["median"](speckled).any()


def test_the_bilateral_filter_smooths_noise_and_keeps_edges() -> None:
    step = torch.zeros(1, 3, 32, 32)
    step[..., 16:] = 0.8
    noisy = noise(0.01)(step + 0.1)
    after = ALL_TRANSFORMS["bilateral"](noisy)
    left, right = after[..., 2:13], after[..., 19:30]
    assert float(left.std()) < 0.5 * float(noisy[..., 2:13].std())
    assert float(right.mean() - left.mean()) == pytest.approx(0.8, abs=0.01)
    assert float(after[..., 16].mean() - after[..., 15].mean()) > 0.7


def test_what_is_already_flat_stays() -> None:
    flat = torch.full((1, 3, 32, 32), 51 / 255)
    for name in ("blur", "median", "bilateral"):
        torch.testing.assert_close(ALL_TRANSFORMS[name](flat), flat)


def test_pictures_of_any_size_pass() -> None:
    for transform in ALL_TRANSFORMS.values():
        assert transform(rounded(waves(33, 47))).isfinite().all()
