"""The judges that the benchmark adds: encoders made of other networks, purifiers, FLIP."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from bench.cloakbench import home, judges, purifiers
from glaze_server.engine import measure, networks
from glaze_server.engine.device import Compute
from glaze_server.engine.encoders import Encoder
from glaze_server.engine.survival import TRANSFORMS, unchanged
from tests.bench.conftest import scene
from tests.engine.conftest import waves

DECODER = home.SHARED / networks.TAEF2_DECODER


@pytest.mark.parametrize("size", [(64, 72), (61, 67)])
def test_feature_maps_have_the_shape_of_latents(size: tuple[int, int], embedded: Encoder) -> None:
    extra = [judges.vgg16(), *([one] if (one := judges.lite0()) else [])]
    for judge in extra:
        latent = judge(waves(*size))
        assert latent.shape[-2:] == embedded(waves(*size)).shape[-2:] == (8, 9)
        assert latent.isfinite().all() and float(latent.std()) > 0


def test_every_judge_sees_the_way_to_the_target(embedded: Encoder) -> None:
    one = scene()
    middle = (one.picture.seen + one.target) / 2
    for judge in judges.at_hand():
        (shift,) = measure.targeted_shift(judge, one.picture.seen, one.target, middle)
        assert 0 < shift < 1


def test_the_decoder_maps_latents_back_to_a_pictures_size() -> None:
    decoded = networks.taef2_decoder()(torch.zeros(1, 32, 4, 5))
    assert decoded.shape == (1, 3, 32, 40)


@pytest.mark.skipif(not DECODER.exists(), reason="the decoder's weights are not there")
def test_the_decoder_is_the_published_one() -> None:
    networks.taef2_decoder().load_state_dict(torch.load(DECODER, weights_only=True))


def test_what_does_not_run_here_is_said(home_without_weights: None) -> None:
    said: list[str] = []
    found = purifiers.at_hand(said.append)
    assert "autoencoder" not in found and "autoencoder" in said[0]
    assert "noise_upscale" in found or "Real-ESRGAN" in said[1]
    assert all(sentence.endswith(".") for sentence in said)
    said.clear()
    assert purifiers.at_hand(said.append, quick=True) == {}
    assert len(said) == 2


@pytest.fixture
def home_without_weights(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setenv("GLAZE_HOME", str(tmp_path_factory.mktemp("empty home")))


def test_flip_is_0_for_the_same_picture_and_grows_with_the_difference() -> None:
    x = waves(64, 64)
    seen = [measure.flip(x, (x + step).clamp(0, 1)) for step in (0.0, 0.02, 0.1)]
    assert seen[0] == 0 < seen[1] < seen[2] < 1


def test_s_is_the_mean_over_the_five_and_the_worst_the_least() -> None:
    shifts = dict(zip((*measure.FIVE, "blur"), (0.5, 0.4, 0.3, 0.1, 0.2, -1.0), strict=True))
    assert measure.score(shifts) == pytest.approx(0.3)
    assert measure.worst(shifts) == pytest.approx(0.1)
    assert set(measure.FIVE) - {"none"} <= set(TRANSFORMS)


def test_shifts_of_many_are_those_of_each() -> None:
    encoder, compute = Encoder("pooled", nn.AvgPool2d(8)), Compute()
    x, target = waves(64, 64), waves(64, 64, 0.7)
    cloaked = [(x + target) / 2, x]
    transforms: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {"none": unchanged, "half": TRANSFORMS["half"]}
    both = measure.shifts_after(transforms, encoder, x, target, cloaked, compute)
    assert [shifts["none"] for shifts in both] == pytest.approx([0.5, 0], abs=1e-6)
    halved = [transforms["half"](picture) for picture in (x, target, cloaked[0])]
    assert both[0]["half"] == pytest.approx(measure.targeted_shift(encoder, *halved)[0])
