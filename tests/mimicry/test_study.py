"""A whole study with a real, tiny Stable Diffusion: its numbers, its interruptions, and what stops it in a sentence."""

from __future__ import annotations

import json
import re
import resource
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from glaze_plugin.errors import Cancelled, GlazeError
from glaze_server.engine.encoders import STRIDE, Encoder
from glaze_server.mimicry import report
from glaze_server.mimicry.arms import Arm
from glaze_server.mimicry.countermeasures import COUNTERMEASURES, NOISE, ROBUST
from glaze_server.mimicry.generator import FineTuning
from glaze_server.mimicry.study import FIGURES, Study
from tests.engine.conftest import Recorder, refusal
from tests.mimicry.conftest import PLAN

Begin = Callable[..., Study]


@pytest.fixture(scope="module")
def finished(begin: Begin, tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, dict[str, Any]]:
    """A study that nothing disturbed, and what it found."""
    study = begin(tmp_path_factory.mktemp("whole"), Recorder())
    return study, study.run()


def test_an_interrupted_study_goes_on_and_gives_the_numbers_of_an_undisturbed_one(
    begin: Begin, finished: tuple[Study, dict[str, Any]], tmp_path: Path
) -> None:
    study, undisturbed = finished
    whole = cast(Recorder, study.reporter)
    with pytest.raises(Cancelled):
        begin(tmp_path, Recorder(len(whole.steps) * 2 // 3)).run()
    done = [path.parent for path in tmp_path.rglob("done")]
    before = {path: path.stat().st_mtime_ns for folder in done for path in folder.iterdir()}
    assert len(study.portfolio.training) < len(done) < len(list(study.kept.folder.rglob("done")))
    again = begin(tmp_path)
    assert again.run() == undisturbed
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert whole.steps == sorted(whole.steps)
    assert whole.steps[-1] <= whole.totals[0]

    found = report.write(again, undisturbed)
    arms = found["ways"]["lora"]["arms"]
    assert set(arms) == {"clean", "cloak-100", "noise", "blend"}
    assert all(set(arm) == set(FIGURES) - {"genre_shift"} for arm in arms.values())
    assert arms["clean"]["closer"]["mean"] == 0.5
    assert all(len(arm["accuracy"]["seeds"]) == PLAN.seeds for arm in arms.values())
    assert set(found["ways"]["lora"]["falls"]) == {"clean", "noise", "blend"}
    for name, taken_for in found["ways"]["lora"]["taken_for"].items():
        assert sum(taken_for.values()) == pytest.approx(1)
        assert taken_for.get("the artist", 0) == pytest.approx(arms[name]["accuracy"]["mean"])
    folder = again.kept.folder
    assert json.loads((folder / "report.json").read_text()) == found
    page = (folder / "report.html").read_text()
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", page)
    assert page.count("data:image/png;base64,") > len(arms)
    assert found["statement"] in page.replace("&#x27;", "'")
    assert not list(folder.rglob("*.safetensors"))

    with refusal("other_study"):
        begin(tmp_path, plan=replace(PLAN, samples=3)).run()


def test_shares_mix_clean_and_cloaked_and_controls_keep_to_the_budget(
    finished: tuple[Study, dict[str, Any]],
) -> None:
    study = replace(finished[0], countermeasures={"invert": lambda pictures, seed, trip: 1 - pictures})
    clean = study.portfolio.training
    whole, half, noise = (study.pictures(arm, 0) for arm in (Arm("cloak"), Arm("cloak", 50), Arm("noise")))
    assert [not torch.equal(one, other) for one, other in zip(clean, whole, strict=True)] == [True, True]
    assert sum(not torch.equal(one, other) for one, other in zip(clean, half, strict=True)) == 1
    for changed in (whole, noise):
        assert 0 < float((changed - clean).abs().max()) <= 16 / 255 + 1e-6
    assert torch.allclose(study.pictures(Arm("cloak", 100, "invert"), 0), 1 - whole, atol=1e-6)


class Learner:
    """A generator that only notes what it is to learn from, and how."""

    name, side = "learner", 64

    def __init__(self) -> None:
        self.seen: list[tuple[Tensor, FineTuning]] = []

    def finetune(self, pictures: Tensor, captions: object, how: FineTuning, seed: int, tick: object) -> Learner:
        self.seen.append((pictures, how))
        return self

    def round_trip(self, pictures: Tensor) -> Tensor:
        return pictures

    def generate(self, prompts: list[str], seed: int, tick: object) -> Tensor:
        return torch.rand(len(prompts), 3, self.side, self.side, generator=torch.Generator().manual_seed(seed))


def test_a_cloak_against_another_encoder_and_robust_training_have_arms(begin: Begin, tmp_path: Path) -> None:
    learner = Learner()
    plan = replace(PLAN, seeds=1, counters=(ROBUST,))
    other = Encoder("other", nn.AvgPool2d(STRIDE))
    study = begin(tmp_path, generator=learner, plan=plan, foreign=[other], countermeasures=COUNTERMEASURES)
    found = report.write(study, study.run())
    arms = list(found["ways"]["lora"]["arms"])
    assert arms == ["clean", "cloak-100", "foreign", "noise", "blend", "cloak-100+robust"]
    assert found["depends_on"]["foreign"] == ["other"]
    seen = dict(zip(arms, learner.seen, strict=True))
    assert [how.noise for _, how in seen.values()] == [0, 0, 0, 0, 0, NOISE]
    clean, cloak, foreign, robust = (seen[name][0] for name in ("clean", "cloak-100", "foreign", "cloak-100+robust"))
    assert not torch.equal(foreign, cloak) and not torch.equal(foreign, clean) and torch.equal(robust, cloak)
    assert 0 < float((foreign - clean).abs().max()) <= 16 / 255 + 1e-6
    page = (tmp_path / "report.html").read_text()
    assert "clean, cloaked, noise, blend, cloaked against the embedded encoder alone" in page


@pytest.fixture
def tiny_files() -> Iterator[None]:
    """No file may grow beyond 3 kB, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_one_sentence_and_leaves_what_was_done(begin: Begin, tiny_files: None, tmp_path: Path) -> None:
    study = begin(tmp_path)
    with refusal("disk_full", GlazeError):
        study.run()
    assert {path.name for path in study.kept.folder.rglob("*") if path.is_file()} >= {"study.json", "style"}
    assert not list(study.kept.folder.rglob(".*"))


def test_missing_weights_are_one_sentence(begin: Begin, no_weights: None, tmp_path: Path) -> None:
    with refusal("missing_weights", GlazeError):
        begin(tmp_path / "out").run()
