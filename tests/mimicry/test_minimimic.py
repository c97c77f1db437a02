"""MiniMimic at a size of a second, with a random autoencoder of the real shape."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from glaze_plugin import places
from glaze_plugin.errors import GlazeError
from glaze_server.engine.device import CPU, Device
from glaze_server.engine.networks import TAEF2_DECODER, taef2_decoder, taef2_network
from glaze_server.mimicry.__main__ import generator
from glaze_server.mimicry.generator import FineTuning
from glaze_server.mimicry.minimimic import latents, train, weights
from glaze_server.mimicry.minimimic.latents import Data
from glaze_server.mimicry.minimimic.model import MiniMimic
from glaze_server.mimicry.minimimic.network import Size, denoiser, label_tables, loss, velocity
from tests.engine.conftest import nothing, refusal

SIZE = Size(labels=2, side=4, layers=2, heads=2, head=8)
WAYS = {"lora": FineTuning("lora", 60, 2, 1e-2), "full": FineTuning("full", 60, 2, 1e-3)}


@pytest.fixture
def autoencoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLAZE_HOME", str(tmp_path / "home"))
    places.models().mkdir(parents=True)
    torch.manual_seed(1)
    torch.save(taef2_network().state_dict(), places.models() / "taef2_encoder.pth")
    torch.save(taef2_decoder().state_dict(), places.models() / TAEF2_DECODER)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    torch.manual_seed(2)
    network = denoiser(SIZE)
    for value in network.parameters():  # an untrained one says nothing, whatever LoRA adapts before
        value.data += 0.2 * torch.randn_like(value)
    model = weights.Model(network, SIZE, torch.zeros(1, 32, 1, 1), torch.ones(1, 32, 1, 1), ("one", "other"), 7)
    weights.save(tmp_path / weights.FILE, model)
    return tmp_path / weights.FILE


@pytest.fixture
def mini(autoencoder: None, file: Path) -> MiniMimic:
    made = generator(str(file), CPU)
    assert isinstance(made, MiniMimic) and made.side == 32 and made.name == "MiniMimic after 7 steps"
    return made


@pytest.fixture
def works(pictures: Tensor) -> Tensor:
    return pictures[:2, :, :32, :32].contiguous()


def error(network: torch.nn.Module, seen: Tensor) -> float:
    with torch.no_grad():
        labels = torch.full((len(seen),), SIZE.artist)
        return sum(float(loss(network, seen, labels, torch.Generator().manual_seed(s), SIZE.none)) for s in range(20))


@pytest.mark.parametrize("way", ["lora", "full"])
def test_it_learns_a_style_and_leaves_the_model_as_it_was(way: str, mini: MiniMimic, works: Tensor) -> None:
    before = {name: value.clone() for name, value in mini._model.network.state_dict().items()}
    ticks = []
    copy = mini.finetune(works, ["a"] * 2, WAYS[way], 0, lambda: ticks.append(1))
    assert len(ticks) == 60
    seen = mini._latents(works)
    assert error(copy._network, seen) < 0.95 * error(mini._model.network, seen)
    assert all(torch.equal(value, before[name]) for name, value in mini._model.network.state_dict().items())
    changed = [n for n, v in copy._network.named_parameters() if v.requires_grad]
    assert (len(changed) == len(before)) == (way == "full")


@pytest.mark.parametrize("way", ["lora", "full"])
def test_the_same_seed_gives_the_same_pictures(way: str, mini: MiniMimic, works: Tensor) -> None:
    made = [mini.finetune(works, ["a"] * 2, WAYS[way], seed, nothing) for seed in (3, 3, 4)]
    first, again, other = (one.generate(["x"] * 3, 5, nothing) for one in made)
    assert first.shape == (3, 3, 32, 32) and float(first.min()) >= 0 and float(first.max()) <= 1
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert not torch.equal(first, made[0].generate(["x"] * 3, 6, nothing))
    ticks = []
    made[0].generate(["x"] * 3, 5, lambda: ticks.append(1))
    assert len(ticks) == 3


def test_where_bfloat16_pays_it_learns_nearly_the_same(mini: MiniMimic, works: Tensor, file: Path) -> None:
    brief = MiniMimic(file, Device(half="bfloat16"))
    made = [one.finetune(works, ["a"] * 2, WAYS["lora"], 3, nothing) for one in (mini, brief, brief)]
    full, first, again = (one.generate(["x"] * 3, 5, nothing) for one in made)
    assert torch.equal(first, again) and not torch.equal(first, full)
    assert float((first - full).abs().mean()) < 0.02


def test_robust_training_sees_noise(mini: MiniMimic, works: Tensor) -> None:
    plain, robust = FineTuning("full", 5, 2, 1e-3), FineTuning("full", 5, 2, 1e-3, noise=0.2)
    made = [mini.finetune(works, ["a"] * 2, how, 0, nothing) for how in (plain, robust)]
    assert not torch.equal(*(label_tables(one._network)[0] for one in made))


def test_pictures_follow_their_label(mini: MiniMimic) -> None:
    x, t = torch.randn(1, 32, 4, 4), torch.full((1,), 0.5)
    network = denoiser(SIZE).eval()
    for block in network.transformer_blocks:
        torch.nn.init.normal_(block.norm1.linear.weight)
    torch.nn.init.normal_(network.proj_out_2.weight)
    one, other, again = (velocity(network, x, t, torch.tensor([label])) for label in (0, 1, 0))
    assert torch.equal(one, again) and not torch.allclose(one, other)


def test_a_training_that_was_interrupted_ends_with_the_same_weights(tmp_path: Path) -> None:
    dice = torch.Generator().manual_seed(0)
    data = Data(torch.randn(40, 32, 4, 4, generator=dice), torch.arange(40) % 2, ("one", "other"))
    whole = train.train(folder(tmp_path, "whole"), data, SIZE, lambda state: state.steps < 6, nothing)
    train.train(folder(tmp_path, "parts"), data, SIZE, lambda state: state.steps < 2, nothing)
    parts = train.train(folder(tmp_path, "parts"), data, SIZE, lambda state: state.steps < 6, nothing)
    for one, other in zip(whole.average.parameters(), parts.average.parameters(), strict=True):
        assert torch.equal(one, other)
    model = weights.load(tmp_path / "parts" / weights.FILE)
    assert model.labels == data.names and model.size == SIZE
    assert float(model.mean.abs().max()) > 0


def test_the_file_of_a_training_that_is_done_stays_as_it_is(tmp_path: Path) -> None:
    """And another process writes the same bytes, by which a study knows its generator."""
    dice = torch.Generator().manual_seed(0)
    data = Data(torch.randn(40, 32, 4, 4, generator=dice), torch.arange(40) % 2, ("one", "other"))
    work = folder(tmp_path, "work")
    train.train(work, data, SIZE, lambda state: state.steps < 1, nothing)
    path = work / weights.FILE
    first, written = path.read_bytes(), path.stat().st_ino
    train.train(work, data, SIZE, lambda state: state.steps < 1, nothing)
    assert path.stat().st_ino == written
    again = (
        "import sys; from pathlib import Path; from glaze_server.mimicry.minimimic import weights;"
        "weights.save(Path(sys.argv[2]), weights.load(Path(sys.argv[1])))"
    )
    for number in range(3):
        copy = tmp_path / f"{number}"
        subprocess.run([sys.executable, "-c", again, path, copy], check=True)
        assert copy.read_bytes() == first


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    monkeypatch.setenv("GLAZE_HOME", str(tmp_path / "empty"))
    with refusal("no_autoencoder", GlazeError):
        MiniMimic(file)
    with refusal("no_minimimic", GlazeError):
        MiniMimic(tmp_path / "nowhere" / weights.FILE)
    (tmp_path / "torn" / weights.FILE).parent.mkdir()
    (tmp_path / "torn" / weights.FILE).write_bytes(file.read_bytes()[:1000])
    with refusal("no_minimimic", GlazeError):
        MiniMimic(tmp_path / "torn" / weights.FILE)


def test_crops_have_the_side_and_lie_in_the_picture(meadow: Image.Image) -> None:
    pixels = np.asarray(meadow)[:200, :150]
    found = latents.crops(pixels, 5, 64, random.Random(0))
    assert [one.shape for one in found] == [(1, 3, 64, 64)] * 5
    assert all(float(one.min()) >= 0 and float(one.max()) <= 1 for one in found)
    assert not torch.equal(found[0], found[1])


def test_pictures_of_packages_become_labelled_latents(
    autoencoder: None, meadow: Image.Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unpacked = tmp_path / "unpacked"
    for package, count in (("few", 1), ("many", 3), ("more", 4)):
        (unpacked / package).mkdir(parents=True)
        for number in range(count):
            left = 40 * (number + len(list(unpacked.rglob("*.png"))))
            meadow.crop((left, left // 2, left + 170, left // 2 + 165)).save(unpacked / package / f"{number}.png")
    monkeypatch.setattr(latents, "fetch_packages", lambda work: unpacked)
    monkeypatch.setattr(latents, "LEAST", 2)
    monkeypatch.setattr(latents, "BATCH", 4)
    with monkeypatch.context() as none:
        none.setattr(latents, "LEAST", 9)
        with refusal("no_pictures"):
            latents.gathered(tmp_path)
    data = latents.gathered(tmp_path)
    assert data.names == ("many", "more")
    assert data.labels.tolist() == [0] * 3 * latents.CROPS + [1] * 4 * latents.CROPS
    assert data.latents.shape == (7 * latents.CROPS, 32, 16, 16)
    assert torch.equal(latents.gathered(tmp_path).latents, data.latents)


def folder(parent: Path, name: str) -> Path:
    (parent / name).mkdir(exist_ok=True)
    return parent / name
