"""The figures mean what they are said to mean."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glaze_plugin.errors import GlazeError
from glaze_server.engine import measure
from glaze_server.engine.budget import Eye
from glaze_server.engine.encoders import Encoder
from glaze_server.engine.lpips_distance import Lpips
from glaze_server.engine.pixels import rounded
from glaze_server.engine.survival import TRANSFORMS
from tests.engine.conftest import nothing, refusal, signs, waves


class Blind(nn.Module):
    """An encoder's network that has gone wrong."""

    def forward(self, x: Tensor) -> Tensor:
        return x[..., ::8, ::8] * torch.nan


def test_the_shift_is_0_at_the_picture_1_at_the_target_and_a_half_between(pooled: Encoder) -> None:
    x, target = waves(64, 64), waves(64, 64, 0.7)
    shifts = measure.targeted_shift(pooled, x, target, x, target, (x + target) / 2)
    assert shifts == pytest.approx([0, 1, 0.5], abs=1e-6)


def test_the_shift_is_negative_away_from_the_target(pooled: Encoder) -> None:
    x, target = waves(64, 64), waves(64, 64, 0.7)
    assert measure.targeted_shift(pooled, x, target, 2 * x - target) == pytest.approx([-1], abs=1e-5)


def test_an_encoder_without_an_answer_is_named() -> None:
    with refusal("not_finite", GlazeError) as caught:
        measure.targeted_shift(Encoder("blind", Blind()), waves(64, 64), waves(64, 64, 0.7), waves(64, 64))
    assert "blind" in caught.value.sentence


def test_a_target_that_is_the_picture_gives_no_distance(pooled: Encoder) -> None:
    x = waves(64, 64)
    with refusal("no_distance", GlazeError) as caught:
        measure.targeted_shift(pooled, x, x, waves(64, 64, 0.7))
    assert "pooled" in caught.value.sentence


@pytest.mark.parametrize("distance", [0.0, 0.01, 0.05, 0.2])
def test_the_noise_control_is_as_visible_as_asked(scene: Callable[[int, int], Tensor], distance: float) -> None:
    x = rounded(0.25 + 0.5 * scene(64, 64))
    lpips, noisy = Lpips(x, "alex"), measure.noise_like(x, distance)
    assert lpips.distance(noisy) <= distance
    levels = (noisy - x).abs() * 255
    assert float(levels.max() - levels.min()) < 1.01
    level_more = x + (float(levels.max()) + 1) / 255 * signs(x.shape, measure.NOISE_SEED)
    assert lpips.distance(level_more) > distance


def test_the_noise_control_is_the_same_every_time() -> None:
    x = waves(64, 64)
    torch.testing.assert_close(measure.noise_like(x, 0.03), measure.noise_like(x, 0.03), rtol=0, atol=0)


@pytest.fixture(scope="module")
def eye(scene: Callable[[int, int], Tensor]) -> Eye:
    return Eye(scene(64, 72))


@pytest.fixture(scope="module")
def target(eye: Eye) -> Tensor:
    return rounded(eye.reference.flip(-1))


def test_every_encoder_is_measured_after_every_transform_beside_noise(
    embedded: Encoder, pooled: Encoder, eye: Eye, target: Tensor
) -> None:
    ticks: list[int] = []
    cloaked = eye.reference + 0.02 * signs(eye.reference.shape, 1)
    figures = measure.report([embedded, pooled], eye, cloaked, target, lambda: ticks.append(1))
    assert len(ticks) == measure.STEPS
    visibility = {"lpips", "max_change", "flat_rms", "jod", "psnr"}
    assert set(figures) == visibility | {"targeted_shift", "trained", "survival", "noise_control"}
    for shifts in (figures, figures["noise_control"]):
        assert set(shifts["targeted_shift"]) == {"embedded", "pooled"}
        assert set(shifts["survival"]) == set(TRANSFORMS)
        assert all(set(values) == {"embedded", "pooled"} for values in shifts["survival"].values())
    visible = eye.judge(cloaked)
    assert figures["lpips"] == {"alex": visible.lpips_alex, "vgg": visible.lpips_vgg}
    assert figures["max_change"] == pytest.approx(5 / 255, abs=1e-6)
    assert figures["jod"] == visible.jod == 10 - visible.jod_loss < 10
    json.dumps(figures, allow_nan=False)


def test_survival_is_the_shift_after_the_transform_of_all_pictures(pooled: Encoder, eye: Eye, target: Tensor) -> None:
    cloaked = rounded(0.7 * eye.reference + 0.3 * target)
    survival = measure.report([pooled], eye, cloaked, target, nothing)["survival"]
    assert len({round(values["pooled"], 4) for values in survival.values()}) > 2
    for name, transform in TRANSFORMS.items():
        pictures = [transform(picture) for picture in (eye.reference, target, cloaked)]
        assert [survival[name]["pooled"]] == pytest.approx(measure.targeted_shift(pooled, *pictures), abs=1e-6)


@pytest.mark.parametrize(
    ("name", "size"),
    [("half", (32, 36)), ("quarter", (16, 18)), ("jpeg75", (64, 72)), ("half_jpeg75", (32, 36)), ("crop", (61, 67))],
)
def test_a_transform_does_to_a_picture_what_happens_online(name: str, size: tuple[int, int], eye: Eye) -> None:
    after = TRANSFORMS[name](eye.reference)
    assert after.shape == (1, 3, *size)
    torch.testing.assert_close(after, rounded(after))
    back = F.interpolate(after, (64, 72), mode="bicubic") if name != "crop" else F.pad(after, (5, 0, 3, 0), "reflect")
    assert 0.001 < (back - eye.reference).abs().mean() < 0.1


def test_the_target_itself_is_all_the_way_there_after_every_transform(
    pooled: Encoder, eye: Eye, target: Tensor
) -> None:
    figures = measure.report([pooled], eye, target, target, nothing)
    assert figures["targeted_shift"] == {"pooled": 1.0}
    assert all(values == {"pooled": 1.0} for values in figures["survival"].values())


def test_an_uncloaked_picture_has_moved_nowhere_and_neither_has_its_noise(
    pooled: Encoder, eye: Eye, target: Tensor
) -> None:
    figures = measure.report([pooled], eye, eye.reference, target, nothing)
    assert figures["lpips"] == {"alex": 0, "vgg": 0}
    assert figures["psnr"] is None
    assert figures["jod"] == 10
    for shifts in (figures, figures["noise_control"]):
        assert shifts["targeted_shift"] == {"pooled": 0.0}
        assert all(values == {"pooled": 0.0} for values in shifts["survival"].values())


def test_without_a_target_only_visibility_is_reported(pooled: Encoder, eye: Eye) -> None:
    figures = measure.report([pooled], eye, eye.reference, None, nothing)
    assert set(figures) == {"lpips", "max_change", "flat_rms", "jod", "psnr"}
