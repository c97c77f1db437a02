"""The learned remover: it takes off what it was shown, leaves the rest, and is the same each time."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from bench import remover as bench
from glaze_plugin.errors import GlazeError
from glaze_server.engine import encoders
from glaze_server.engine.device import CPU, Compute
from glaze_server.engine.pixels import rounded
from glaze_server.mimicry import remover
from glaze_server.mimicry.__main__ import main
from glaze_server.mimicry.kept import Kept
from glaze_server.mimicry.minimimic import latents
from glaze_server.mimicry.minimimic.latents import crops
from glaze_server.mimicry.pairs import Pairs, pairs
from tests.engine.conftest import nothing, refusal

STEPS = 40
LEFT, ADDED = 0.2, 0.05
"""Energy that may be left of a cloak, and be added to clean pictures, as shares of the cloak's, after some seconds."""


def unchanged(x: Tensor) -> Tensor:
    return x


def energy(delta: Tensor) -> float:
    return float(delta.square().mean())


def chequered(pictures: Tensor) -> Tensor:
    """With signs that alternate like a chessboard's: a cloak that is the same in every picture."""
    rows, columns = torch.meshgrid(*(torch.arange(side) // 2 for side in pictures.shape[-2:]), indexing="ij")
    return rounded(pictures + 6 / 255 * (1 - 2.0 * ((rows + columns) % 2)))


@pytest.fixture(scope="module")
def clean(meadow: Image.Image) -> Tensor:
    return torch.cat(crops(np.asarray(meadow.convert("RGB")), 16, 32, random.Random(0)))


@pytest.fixture(scope="module")
def trained(clean: Tensor) -> torch.nn.Sequential:
    return remover.train(clean[:12], chequered(clean[:12]), STEPS, 0, "cpu")


def test_it_takes_a_cloak_off_pictures_that_it_never_saw_and_leaves_clean_ones(
    clean: Tensor, trained: torch.nn.Sequential
) -> None:
    held, cloaked = clean[12:], chequered(clean[12:])
    remove = remover.countermeasure(trained)
    found = remove(cloaked, 0, unchanged)
    assert torch.equal(found, rounded(found))
    assert energy(found - held) < LEFT * energy(cloaked - held)
    assert energy(remove(held, 0, unchanged) - held) < ADDED * energy(cloaked - held)


def test_pictures_of_any_size_pass(clean: Tensor, trained: torch.nn.Sequential) -> None:
    odd = chequered(clean[12:13])[..., :31, :29]
    found = remover.cleaned(trained, odd)
    assert found.shape == odd.shape
    assert energy(found - clean[12:13, :, :31, :29]) < LEFT * energy(odd - clean[12:13, :, :31, :29])


def test_the_same_seed_gives_the_same_network_and_another_one_another(clean: Tensor) -> None:
    ticks: list[None] = []
    before = torch.random.get_rng_state()
    made = [
        remover.train(clean, chequered(clean), 2, seed, "cpu", lambda: ticks.append(None)).state_dict()
        for seed in (3, 3, 4)
    ]
    assert torch.equal(torch.random.get_rng_state(), before)
    assert len(ticks) == 6
    first, again, other = made
    assert all(torch.equal(value, again[name]) for name, value in first.items())
    assert not all(torch.equal(value, other[name]) for name, value in first.items())


def test_it_has_about_a_million_parameters() -> None:
    assert 1e6 < sum(value.numel() for value in remover.network().parameters()) < 2e6


def test_a_file_gives_the_same_network_back(clean: Tensor, trained: torch.nn.Sequential, tmp_path: Path) -> None:
    remover.save(tmp_path / "one", trained)
    cloaked = chequered(clean[:1])
    assert torch.equal(remover.cleaned(remover.load(tmp_path / "one"), cloaked), remover.cleaned(trained, cloaked))
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


def test_what_holds_no_remover_is_named(trained: torch.nn.Sequential, tmp_path: Path) -> None:
    remover.save(tmp_path / "torn", trained)
    (tmp_path / "torn").write_bytes((tmp_path / "torn").read_bytes()[:5000])
    save_file({"other": torch.zeros(1)}, tmp_path / "other")
    for name in ("nowhere", "torn", "other"):
        with refusal("no_remover", GlazeError) as caught:
            remover.load(tmp_path / name)
        assert name in caught.value.sentence


def test_pairs_are_made_as_long_as_they_may_and_go_on(clean: Tensor, tmp_path: Path) -> None:
    encoder, compute = encoders.load("embedded"), Compute(CPU)

    def made(folder: str, most: int) -> Pairs:
        kept = Kept(tmp_path / folder)
        return pairs(clean[:3], [encoder], compute, nothing, kept, "preview", lambda there: there < most)

    assert len(made("parts", 0).styles) == 0
    first = made("parts", 1)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "parts").rglob("*.png")}
    parts, whole = made("parts", 3), made("whole", 3)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert torch.equal(whole.clean, clean[:3]) and torch.equal(first.cloaked, whole.cloaked[:1])
    assert torch.equal(parts.cloaked, whole.cloaked) and parts.styles == whole.styles
    assert len(set(whole.styles)) > 1
    assert all(energy(one - other) for one, other in zip(whole.clean, whole.cloaked, strict=True))
    assert torch.equal(whole.some([2, 0]).cloaked, whole.cloaked[[2, 0]])


def test_a_study_tries_the_remover_of_a_file_and_no_other_one_afterwards(
    works: Path, sd: Path, trained: torch.nn.Sequential, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "remover.safetensors"
    (works / "4.png").unlink()
    order = {
        "pictures": [str(path) for path in sorted(works.iterdir())],
        "out": str(tmp_path / "out"),
        "generator": str(sd),
        "quick": True,
        "style": "etching",
        "remover": str(file),
        "seeds": 1,
        "steps": 1,
        "samples": 2,
    }

    def said() -> dict[str, Any]:
        code = main(json.dumps(order))
        line: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert (code == 0) == ("report" in line)
        return line

    assert said()["error"]["code"] == "no_remover"
    remover.save(file, trained)
    report = said()["report"]
    assert {"clean+remover", "cloak-100+remover"} <= set(report["ways"]["lora"]["arms"])
    assert (tmp_path / "out/samples/lora/cloak-100+remover/0/done").exists()
    remover.save(file, remover.network())
    assert said()["error"]["code"] == "other_study"


@pytest.fixture
def unpacked(meadow: Image.Image, tmp_path: Path) -> Path:
    """Pictures as packages of Debian hold them."""
    folder = tmp_path / "unpacked" / "package"
    folder.mkdir(parents=True)
    for number in range(4):
        meadow.crop((40 * number, 20 * number, 40 * number + 170, 20 * number + 165)).save(folder / f"{number}.png")
    return folder.parent


def test_the_command_makes_pairs_trains_and_measures(
    unpacked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GLAZE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(latents, "fetch_packages", lambda work: unpacked)
    monkeypatch.setattr(bench, "HELD_OUT", 2)
    work = ["--work", str(tmp_path), "--side", "32", "--quality", "preview", "--encoder", "embedded", "--minutes", "0"]
    assert bench.main(work) == 2
    assert "A remover needs at least 16 pairs to learn from; there are 4." in capsys.readouterr().err
    monkeypatch.setattr(bench, "LEAST", 4)
    assert bench.main([*work, "--steps", "2"]) == 0
    said = capsys.readouterr().out
    assert "2 pairs, 2 steps" in said
    assert "embedded: targeted shift after the remover" in said and "LPIPS of clean pictures" in said
    remover.load(tmp_path / "remover" / bench.FILE)
    assert len(list((tmp_path / "remover" / "pairs").rglob("done"))) == 4
