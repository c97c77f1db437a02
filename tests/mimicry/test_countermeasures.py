"""What a mimic does to pictures first: each does what it is named after, and the same each time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import diffusers
import numpy as np
import pytest
import torch
from torch import Tensor

from glaze_server.engine.device import CPU
from glaze_server.engine.lpips_distance import Lpips
from glaze_server.engine.survival import noise, unchanged
from glaze_server.mimicry import detection, upscaling
from glaze_server.mimicry.cleaner import guided
from glaze_server.mimicry.countermeasures import ALLOWED, COUNTERMEASURES, NOISE, ROBUST, SIMILARITY, impress, tuned
from glaze_server.mimicry.generator import FineTuning
from glaze_server.mimicry.stable import Stable
from tests.engine.conftest import signs

Trip = Callable[[Tensor], Tensor]
UPSCALES = pytest.mark.skipif(upscaling.weights() is None, reason="Real-ESRGAN is not installed")
DRAWN = ("noise", "crop", "upscale")


@pytest.fixture(scope="module")
def trip(sd: Path) -> Trip:
    return Stable(sd, CPU).round_trip


@pytest.fixture(scope="module")
def two(pictures: Tensor) -> Tensor:
    return pictures[:2]


def rms(found: Tensor) -> float:
    return float(found.square().mean().sqrt())


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=UPSCALES) if name == "upscale" else name for name in COUNTERMEASURES]
)
def test_pictures_keep_their_shape_and_range_and_come_out_the_same_each_time(
    name: str, two: Tensor, trip: Trip
) -> None:
    counter = COUNTERMEASURES[name]
    found = counter(two, 1, trip)
    assert found.shape == two.shape and float(found.min()) >= 0 and float(found.max()) <= 1
    assert torch.equal(found, two) == (name == ROBUST)
    assert torch.equal(counter(two, 1, trip), found)
    assert torch.equal(counter(two, 2, trip), found) == (name not in DRAWN)
    torch.testing.assert_close(counter(two[:1], 1, trip), found[:1])


def test_the_round_trip_is_that_of_the_generators_own_autoencoder(sd: Path, two: Tensor, trip: Trip) -> None:
    vae = diffusers.AutoencoderKL.from_pretrained(sd / "vae")
    with torch.no_grad():
        latents = vae.encode(2 * two - 1).latent_dist.mean
        expected = (vae.decode(latents).sample + 1) / 2
        torch.testing.assert_close(trip(two), expected, rtol=1e-4, atol=1e-5)
    x = two.clone().requires_grad_()
    trip(x).sum().backward()
    assert x.grad is not None and x.grad.any()


def test_impress_lowers_what_it_is_to_lower(two: Tensor, trip: Trip) -> None:
    x = two[:1]
    near = Lpips(x, "alex")

    def objective(picture: Tensor) -> float:
        with torch.no_grad():
            apart = float((picture - trip(picture)).square().mean())
        return apart + SIMILARITY * max(near.distance(picture) - ALLOWED, 0)

    assert objective(impress(x, trip)) < 0.9 * objective(x)


def test_the_cleaner_takes_noise_and_leaves_an_edge(trip: Trip) -> None:
    edge = torch.full((1, 3, 64, 64), 0.2)
    edge[..., 32:] = 0.8
    noisy = edge + 4 / 255 * signs(edge.shape)
    left = COUNTERMEASURES["cleaner"](noisy, 0, trip) - edge
    assert float(left.square().mean()) < 0.3 * float((noisy - edge).square().mean())
    assert float(left[..., 30:34].abs().max()) < 0.1


def test_the_guided_filter_keeps_what_follows_its_guide_and_averages_what_does_not() -> None:
    guide = torch.rand(1, 3, 40, 50, generator=torch.Generator().manual_seed(1))
    mixed = torch.einsum("ij,njhw->nihw", torch.tensor([[0.2, 0.5, 0.1], [0.3, 0, 0.4], [0.1, 0.1, 0.6]]), guide) + 0.1
    torch.testing.assert_close(guided(guide, mixed), mixed, rtol=0, atol=2 / 255)
    flat = torch.full_like(guide, 0.5)
    one = torch.zeros(1, 3, 40, 50)
    one[..., 19, 29] = 1
    spread = guided(flat, one)
    assert float(spread[0, 0, 19, 29]) == pytest.approx(81 / 81**2, rel=1e-3)
    assert float(spread[0, 0, 19, 29 + 9]) == 0 and float(spread.sum()) == pytest.approx(3, rel=1e-3)


def test_each_picture_has_grain_of_its_own_before_it_is_upscaled(trip: Trip, monkeypatch: pytest.MonkeyPatch) -> None:
    """With an upscaler that changes nothing, so that the grain alone is seen."""
    monkeypatch.setattr(upscaling, "upscale_and_back", lambda: unchanged)
    gray = torch.full((2, 3, 64, 64), 0.5)
    grain = COUNTERMEASURES["upscale"](gray, 1, trip) - gray
    assert float(grain.std()) == pytest.approx(upscaling.NOISE, rel=0.02)
    assert abs(float(torch.corrcoef(grain.flatten(1))[0, 1])) < 0.05
    assert torch.equal(COUNTERMEASURES["upscale"](gray, 1, trip) - gray, grain)
    assert not torch.equal(COUNTERMEASURES["upscale"](gray, 2, trip) - gray, grain)


@UPSCALES
def test_real_esrgan_takes_noise_off_and_leaves_the_picture(two: Tensor) -> None:
    noisy = noise(upscaling.NOISE)(two[:1])
    found = upscaling.noise_and_upscale()(two[:1])
    assert rms(found - two[:1]) < 0.7 * rms(noisy - two[:1])


@UPSCALES
def test_a_picture_upscaled_in_tiles_is_that_upscaled_whole(two: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = two[:1, :, :60]
    whole = upscaling.upscale_and_back()(picture)
    monkeypatch.setattr(upscaling, "TILE", 40)
    tiled = upscaling.upscale_and_back()(picture)
    assert tiled.shape == picture.shape
    assert rms(tiled - whole) < rms(whole - picture) / 2


def test_noisy_pictures_are_found_and_like_ones_are_not(pictures: Tensor) -> None:
    noisy = (pictures + 12 / 255 * signs(pictures.shape)).clamp(0, 1)
    assert detection.found(pictures, noisy).mean == 1
    chances = [detection.auc(*np.random.default_rng(seed).normal(size=(2, 30)).tolist()) for seed in range(20)]
    assert sum(chance.low < 0.5 < chance.high for chance in chances) >= 17
    assert detection.auc([1, 2, 3], [2, 1, 9]).mean == 0.5  # a tie is half


@pytest.mark.parametrize("count", [2, 3, 18])
def test_a_cloaked_picture_is_not_told_from_its_own_twin(count: int) -> None:
    """Residuals that rise by nearly nothing tell nothing to who does not have the clean pictures."""
    found = [
        detection.auc(clean, [one + 1e-9 for one in clean])
        for clean in np.random.default_rng(1).random((40, count)).tolist()
    ]
    assert all(one.mean == 0.5 for one in found)


def test_robust_training_alone_changes_how_a_mimic_fine_tunes() -> None:
    how = FineTuning("lora", steps=3)
    assert tuned(how, ROBUST) == replace(how, noise=NOISE)
    assert {tuned(how, name) for name in ("", *COUNTERMEASURES) if name != ROBUST} == {how}
