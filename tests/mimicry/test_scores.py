"""The scores against cases that are known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from glaze_plugin import places
from glaze_plugin.errors import GlazeError
from glaze_server.engine import styles
from glaze_server.engine.device import CPU, Device
from glaze_server.engine.transfer import transfer
from glaze_server.mimicry import scores
from glaze_server.mimicry.csd import Csd
from glaze_server.mimicry.genres import GENRES, TOP, Genres
from tests.engine.conftest import refusal
from tests.engine.tiny_pipelines import tiny_clip, tokenizer
from tests.mimicry.tiny_csd import TinyCsd


def test_kid_is_unbiased_and_grows_with_the_difference() -> None:
    dice = torch.Generator().manual_seed(1)
    same = [scores.kid(*torch.randn(2, 20, 8, generator=dice)) for _ in range(200)]
    assert abs(sum(same) / len(same)) < 3 * torch.tensor(same).std() / len(same) ** 0.5
    first, second = torch.randn(2, 50, 8, generator=dice)
    assert 0.05 < scores.kid(first + 0.5, second) < scores.kid(first + 1, second)


def test_closer_counts_ties_half() -> None:
    assert scores.closer([1, 2, 3, 4], [2, 2, 2, 5]) == pytest.approx(2.5 / 4)


def test_style_is_what_the_distance_and_the_classifier_see(pictures: Tensor) -> None:
    etched = torch.cat([transfer(picture[None], styles.index("etching")) for picture in pictures])
    own, other = scores.styles(pictures, CPU), scores.styles(etched, CPU)
    assert scores.Reference(own[:1]).distance(own[0]) == 0
    (again,) = scores.styles(pictures[:1], Device(half="bfloat16"))
    assert torch.equal(again.numbers, own[0].numbers)
    reference = scores.Reference(other[:2])
    assert sum(map(reference.distance, other[2:])) < sum(map(reference.distance, own[2:]))
    classifier = scores.Classifier({"own": own[:3], "etching": other[:3]})
    assert classifier.taken_for(own[3:]) == {"own": 1}
    assert classifier.taken_for([*other[3:], *own[3:]]) == {"own": 0.5, "etching": 0.5}


def test_the_genre_shift_is_the_share_beyond_the_top(pictures: Tensor, tmp_path: Path) -> None:
    tiny_clip().save_pretrained(tmp_path / "clip")
    tokenizer().save_pretrained(tmp_path / "clip")
    clip = Genres(tmp_path / "clip")
    assert clip.own(pictures) in GENRES
    shifts = [clip.shift(pictures, genre) for genre in GENRES]
    assert sum(shifts) == pytest.approx(len(GENRES) - TOP)


def test_without_clip_it_is_said_where_to_put_it() -> None:
    with refusal("missing_weights", GlazeError) as caught:
        Genres()
    assert str(places.other("clip")) in caught.value.remedy


def test_csd_sees_what_its_authors_wrote_down(pictures: Tensor, tmp_path: Path) -> None:
    tiny = TinyCsd()
    csd = Csd(tiny.saved(tmp_path / "csd.safetensors"))
    many = torch.cat([pictures, 1 - pictures])
    wanted = tiny(many)
    assert wanted.std(0).mean() > 0.02
    assert torch.allclose(csd.styles(many, CPU), wanted, rtol=0, atol=2e-6)
    assert torch.equal(csd.styles(many, Device(half="bfloat16")), csd.styles(many, CPU))
    mean = wanted[:3].mean(0)
    own = csd.own(many[:3], CPU)
    assert torch.allclose(own, mean / mean.norm(), rtol=0, atol=1e-5)
    assert csd.likeness(many[:1], csd.own(many[:1], CPU), CPU) == pytest.approx(1)
    assert csd.likeness(many[3:], own, CPU) == pytest.approx(float((wanted[3:] @ own).mean()), abs=1e-5)


def test_without_csd_it_is_said_where_to_put_it() -> None:
    with refusal("missing_weights", GlazeError) as caught:
        Csd()
    assert str(places.other("csd")) in caught.value.remedy


@pytest.mark.parametrize(
    "spoil",
    [
        lambda state: state.clear(),
        lambda state: state.pop("last_layer_style"),
        lambda state: state.update(last_layer_style=torch.ones(8, 24)),
        lambda state: state.pop("backbone.transformer.resblocks.1.attn.in_proj_bias"),
        lambda state: state.update({"backbone.ln_post.weight": torch.ones(8)}),
        lambda state: state.update({"backbone.conv1.weight": torch.ones(16, 3, 8, 8)}),
        lambda state: state.update({"backbone.proj": torch.ones(128, 24)}),
    ],
)
def test_other_weights_than_those_of_csd_are_one_sentence(
    spoil: Callable[[dict[str, Tensor]], object], tmp_path: Path
) -> None:
    file = TinyCsd().saved(tmp_path / "csd.safetensors")
    state = load_file(file)
    spoil(state)
    save_file(state, file)
    with refusal("broken_weights", GlazeError) as caught:
        Csd(file)
    assert str(file) in caught.value.sentence
    file.write_bytes(file.read_bytes()[:-1])
    with refusal("broken_weights", GlazeError):
        Csd(file)
