"""ColorVideoVDP as its authors compute it, as a loss whose slope is always defined."""

from __future__ import annotations

import pycvvdp
import pytest
import torch
from torch import Tensor

from glaze_server.engine.colorvideovdp import BEST, DISPLAY, JodLoss
from tests.engine.conftest import signs, waves


def noisy(x: Tensor, amplitude: float) -> Tensor:
    return (x + amplitude * signs(x.shape)).clamp(0, 1)


@pytest.mark.parametrize("size", [(64, 80), (90, 70)])
def test_the_loss_is_what_the_authors_package_finds(size: tuple[int, int]) -> None:
    x = waves(*size)
    metric = pycvvdp.cvvdp(display_name=DISPLAY, device=torch.device("cpu"), quiet=True)
    for y in (noisy(x, 0.03), waves(*size, 0.7)):
        jod = metric.predict(y, x, dim_order="BCHW")[0].item()
        assert JodLoss(x).distance(y) == pytest.approx(BEST - jod, abs=1e-5)


def test_the_packages_best_is_ours() -> None:
    metric = pycvvdp.cvvdp(display_name=DISPLAY, device=torch.device("cpu"), quiet=True)
    assert metric.predict(waves(64, 64), waves(64, 64), dim_order="BCHW")[0].item() == BEST


def test_nothing_is_seen_of_the_same_picture_and_its_slope_is_0() -> None:
    for x in (waves(64, 80), waves(8, 100), torch.zeros(1, 3, 64, 64)):
        loss, gradient = JodLoss(x).gradient(x)
        assert loss == JodLoss(x).distance(x) == 0
        assert gradient.shape == x.shape
        assert not gradient.any()


def test_more_noise_is_seen_more() -> None:
    x = waves(64, 80)
    loss = JodLoss(x)
    seen = [loss.distance(noisy(x, amplitude)) for amplitude in (0.01, 0.02, 0.04, 0.08, 0.16)]
    assert seen == sorted(seen)
    assert 0 < seen[0] < 0.02
    assert 0.5 < seen[-1] < BEST


def test_the_gradient_is_the_slope() -> None:
    x = waves(64, 80)
    loss, y = JodLoss(x), noisy(0.1 + 0.8 * x, 0.05)
    value, gradient = loss.gradient(y)
    assert value == loss.distance(y)
    direction = gradient / gradient.norm()
    slope = (loss.distance(y + 0.03 * direction) - loss.distance(y - 0.03 * direction)) / 0.06
    assert slope == pytest.approx(float(gradient.norm()), rel=0.02)


@pytest.mark.parametrize("amplitude", [1e-7, 1e-5, 1e-3, 1 / 255])
def test_the_slope_of_what_can_hardly_be_seen_is_finite(amplitude: float) -> None:
    x = waves(64, 64)
    loss, gradient = JodLoss(x).gradient(x + amplitude * signs(x.shape))
    assert 0 <= loss < 0.01
    assert gradient.isfinite().all()


def test_the_slope_of_one_changed_sample_is_finite() -> None:
    for x in (waves(64, 64), torch.zeros(1, 3, 64, 64)):
        y = x.clone()
        y[..., 20, 30] += 1 / 255
        assert JodLoss(x).gradient(y)[1].isfinite().all()


@pytest.mark.parametrize("size", [(8, 100), (33, 33), (100, 8)])
def test_small_pictures_are_judged_too(size: tuple[int, int]) -> None:
    x = waves(*size)
    loss, gradient = JodLoss(x).gradient(1 - x)
    assert loss > 1
    assert gradient.shape == x.shape
    assert gradient.isfinite().all()
