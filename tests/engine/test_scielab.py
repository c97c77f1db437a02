"""Colours differ as CIELAB says, and fine patterns as the eye resolves them: luminance best, blue-yellow least."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import pyvips
import torch
from torch import Tensor

from glaze_server.engine import looking, scielab
from glaze_server.engine.scielab import TO_OPPONENT, TO_XYZ, ColourDifference, gaussian_blur, seen_lab
from tests.engine.conftest import signs, waves


def plain(*colour: float) -> Tensor:
    """A picture of one colour, (1, 3, 64, 64)."""
    return torch.tensor(colour)[None, :, None, None].expand(1, 3, 64, 64).contiguous()


# CIELAB


@pytest.mark.parametrize(
    ("colour", "lab"),
    [
        ((1.0, 1.0, 1.0), (100, 0, 0)),
        ((1.0, 0.0, 0.0), (53.24, 80.09, 67.20)),
        ((0.0, 1.0, 0.0), (87.73, -86.18, 83.18)),
        ((0.0, 0.0, 1.0), (32.30, 79.19, -107.86)),
        ((0.5, 0.5, 0.5), (53.39, 0, 0)),
    ],
    ids=["white", "red", "green", "blue", "gray"],
)
def test_a_plain_colour_has_its_published_lab(colour: tuple[float, ...], lab: tuple[float, ...]) -> None:
    seen = seen_lab(plain(*colour))
    assert seen.mean((0, 2, 3)).tolist() == pytest.approx(lab, abs=0.01)
    assert float(seen.std((2, 3)).max()) < 1e-3


def test_any_plain_colour_has_the_lab_that_libvips_gives_it() -> None:
    colours = np.random.default_rng(2).integers(0, 256, (20, 1, 3), np.uint8)
    expected = pyvips.Image.new_from_array(colours).copy(interpretation="srgb").colourspace("lab").numpy()
    for colour, lab in zip(colours[:, 0], expected[:, 0], strict=True):
        assert seen_lab(plain(*(colour / 255))).mean((0, 2, 3)).tolist() == pytest.approx(lab.tolist(), abs=0.15)


def test_two_plain_colours_differ_by_their_lightness_and_their_chroma() -> None:
    distance = ColourDifference(plain(1.0, 0.0, 0.0)).distance(plain(0.0, 0.0, 1.0))
    chroma = math.hypot(80.09 - 79.19, 67.20 + 107.86)
    assert distance == pytest.approx(53.24 - 32.30 + chroma, abs=0.05)


# What the eye resolves


def encoded(linear: Tensor) -> Tensor:
    """Linear light as sRGB."""
    return torch.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear.clamp_min(0) ** (1 / 2.4) - 0.055)


OPPONENT_TO_RGB = torch.linalg.inv(torch.tensor(TO_OPPONENT) @ torch.tensor(TO_XYZ))
GRAY = torch.linalg.inv(OPPONENT_TO_RGB) @ torch.full((3,), ((0.5 + 0.055) / 1.055) ** 2.4)
DIRECTIONS = (GRAY / GRAY[0], torch.tensor([0.0, 1.0, 0.0]), torch.tensor([0.0, 0.0, 1.0]))
"""Luminance alone (a brighter gray), red-green alone and blue-yellow alone."""


def grating(channel: int, period: float, rms: float = 0.03) -> Tensor:
    """A gray picture, 96×96 px, with waves in one opponent channel. period: px. rms: of the change of its samples."""
    wave = torch.sin(2 * math.pi * torch.arange(96) / period + 0.7).expand(96, 96)
    low, high = 0.0, 0.3
    for _ in range(30):
        middle = (low + high) / 2
        opponent = GRAY[:, None, None] + middle * DIRECTIONS[channel][:, None, None] * wave
        picture = encoded(torch.einsum("ij,jhw->ihw", OPPONENT_TO_RGB, opponent))[None]
        if (picture - 0.5).square().mean().sqrt() < rms:
            low = middle
        else:
            high = middle
    return picture


@pytest.mark.parametrize("period", [3, 4, 6])
def test_fine_patterns_of_one_size_are_seen_best_in_luminance_and_least_in_blue_yellow(period: float) -> None:
    difference = ColourDifference(torch.full((1, 3, 96, 96), 0.5))
    luminance, red_green, blue_yellow = (difference.distance(grating(channel, period)) for channel in range(3))
    assert luminance > 2 * red_green > 2 * blue_yellow


def test_a_finer_pattern_is_seen_less_than_a_coarser_one_in_every_channel() -> None:
    difference = ColourDifference(torch.full((1, 3, 96, 96), 0.5))
    for channel in range(3):
        seen = [difference.distance(grating(channel, period)) for period in (2, 4, 8, 16, 32)]
        assert seen == sorted(seen)
        assert seen[0] < 0.01 < 1 < seen[-1]


@pytest.mark.parametrize(("height", "width"), [(96, 128), (97, 127), (98, 130)])
def test_a_wide_blur_at_a_quarter_of_the_size_is_near_the_exact_one(height: int, width: int) -> None:
    x = waves(height, width) + torch.linspace(0, 1, width)
    error = scielab._blur(x, 6.6) - gaussian_blur(x, 6.6)
    assert float(error[..., 20:-20, 20:-20].abs().max()) < 0.02


# As a difference


def test_a_picture_has_no_difference_to_itself() -> None:
    for x in (waves(64, 80), waves(8, 100), plain(0.0, 0.0, 0.0), plain(1.0, 1.0, 1.0)):
        distance, gradient = ColourDifference(x).gradient(x)
        assert distance == pytest.approx(0, abs=1e-6)
        assert gradient.isfinite().all()


def changed(x: Tensor) -> Tensor:
    return (x + 0.03 * signs(x.shape)).clamp(0, 1)


@pytest.mark.parametrize("place", [lambda: waves(64, 80), lambda: plain(0.1, 0.5, 0.9)], ids=["waves", "plain"])
def test_the_gradient_is_the_slope_of_the_difference(place: Callable[[], Tensor]) -> None:
    difference, y = ColourDifference(place()), changed(place())
    distance, gradient = difference.gradient(y)
    assert distance == difference.distance(y)
    direction = gradient / gradient.norm()
    slope = (difference.distance(y + 0.03 * direction) - difference.distance(y - 0.03 * direction)) / 0.06
    assert slope == pytest.approx(float(gradient.norm()), rel=0.01)


@pytest.mark.parametrize("level", [0.0, 1.0, 0.04045])
def test_at_black_and_white_and_where_srgb_bends_everything_is_finite(level: float) -> None:
    x = plain(level, level, level)
    distance, gradient = ColourDifference(x).gradient(changed(x))
    assert 0.05 < distance < 20
    assert gradient.isfinite().all()
    assert gradient.any()


@pytest.mark.parametrize("size", [(8, 100), (33, 33), (100, 8)])
def test_small_pictures_are_judged_too(size: tuple[int, int]) -> None:
    x = waves(*size)
    distance, gradient = ColourDifference(x).gradient(1 - x)
    assert distance > 1
    assert gradient.shape == x.shape
    assert gradient.isfinite().all()


def test_what_is_kept_of_the_reference_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "WINDOW", 64)
    x, y = waves(96, 160), waves(96, 160, 0.7)
    keeping = ColourDifference(x, None)
    expected = [keeping.distance(y) for _ in range(2)]
    monkeypatch.setattr(looking, "KEPT", 2)
    forgetful = ColourDifference(x, None)
    assert [forgetful.distance(y) for _ in range(2)] == expected
    assert expected[0] == expected[1]
