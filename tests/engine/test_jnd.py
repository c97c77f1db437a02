"""The eye tolerates more in texture than where a picture is flat."""

from __future__ import annotations

import torch

from glaze_server.engine.budget import Budget
from glaze_server.engine.jnd import EPSILON, FLAT, HALO, LEAST, ROUGH, jnd_map, local_contrast
from tests.engine.conftest import flat, half_flat, signs, waves


def test_the_eye_tolerates_least_where_it_is_flat() -> None:
    tolerance = jnd_map(half_flat())
    assert tolerance.shape == (1, 1, 64, 96)
    assert float(tolerance.min()) >= LEAST
    assert float(tolerance.max()) <= 1
    torch.testing.assert_close(tolerance[..., :40], torch.tensor(LEAST).expand(1, 1, 64, 40), rtol=0, atol=1e-2)
    assert (tolerance[..., 56:] > 0.9).all()


def test_what_the_budget_calls_flat_cannot_exceed_its_limit() -> None:
    x = half_flat()
    flat_there = local_contrast(x) < FLAT
    assert flat_there.any() and not flat_there.all()
    assert float(EPSILON * jnd_map(x)[flat_there].max()) <= Budget().flat_rms + 1e-8


def test_near_a_flat_ground_the_eye_tolerates_as_little_as_on_it_though_not_on_a_line_across_it() -> None:
    x = flat(64, 64)
    x[..., 32:34] = 0
    tolerance = jnd_map(x)
    rough = local_contrast(x) > ROUGH / 3
    assert rough[..., 26:40].all() and not rough[..., :26].any()
    torch.testing.assert_close(tolerance[..., : 26 + HALO], torch.tensor(LEAST).expand(1, 1, 64, 26 + HALO))
    assert (tolerance[..., 32:34] == 1).all()


def test_the_largest_change_is_16_levels() -> None:
    assert EPSILON * 255 == 16


def test_local_contrast_is_the_standard_deviation_of_luma() -> None:
    assert (local_contrast(half_flat())[..., :40] < FLAT).all()
    gray_noise = 0.5 + 0.1 * signs(torch.Size((1, 1, 96, 96))).expand(1, 3, -1, -1)
    assert 0.09 < float(local_contrast(gray_noise).square().mean().sqrt()) < 0.1
    blue = torch.zeros(1, 3, 96, 96)
    blue[:, 2:] = gray_noise[:, :1]
    torch.testing.assert_close(local_contrast(blue), 0.114 * local_contrast(gray_noise), rtol=1e-3, atol=1e-5)


def test_a_picture_as_small_as_can_be_cloaked_has_a_map() -> None:
    assert jnd_map(waves(32, 32)).isfinite().all()
    assert jnd_map(waves(3, 200)).isfinite().all()
