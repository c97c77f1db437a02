"""A whole study with a real, tiny Stable Diffusion: its numbers, its interruptions, and what stops it in a sentence."""

from __future__ import annotations

import json
import re
import resource
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from bench.mimic import section
from glaze_plugin.errors import Cancelled, GlazeError
from glaze_server.engine.device import CPU
from glaze_server.engine.encoders import STRIDE, Encoder
from glaze_server.mimicry import report
from glaze_server.mimicry.arms import Arm
from glaze_server.mimicry.countermeasures import COUNTERMEASURES, NOISE, ROBUST, Countermeasure
from glaze_server.mimicry.csd import Csd
from glaze_server.mimicry.generator import FineTuning
from glaze_server.mimicry.kept import Kept
from glaze_server.mimicry.stable import Stable
from glaze_server.mimicry.study import FIGURES, Study, known
from tests.engine.conftest import Recorder, refusal
from tests.mimicry.conftest import PLAN
from tests.mimicry.tiny_csd import TinyCsd

Begin = Callable[..., Study]
COUNTERS: dict[str, Countermeasure] = {
    "nothing": lambda pictures, seed, trip: pictures,
    "blank": lambda pictures, seed, trip: torch.zeros_like(pictures),
}
TRIED = {"plan": replace(PLAN, counters=tuple(COUNTERS)), "countermeasures": COUNTERS}


@pytest.fixture(scope="module")
def finished(begin: Begin, tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, dict[str, Any]]:
    """A study that nothing disturbed, and what it found."""
    study = begin(tmp_path_factory.mktemp("whole"), Recorder(), **TRIED)
    return study, study.run()


def test_an_interrupted_study_goes_on_and_gives_the_numbers_of_an_undisturbed_one(
    begin: Begin, finished: tuple[Study, dict[str, Any]], tmp_path: Path
) -> None:
    study, undisturbed = finished
    whole = cast(Recorder, study.reporter)
    with pytest.raises(Cancelled):
        begin(tmp_path, Recorder(len(whole.steps) * 2 // 3), **TRIED).run()
    done = [path.parent for path in tmp_path.rglob("done")]
    before = {path: path.stat().st_mtime_ns for folder in done for path in folder.iterdir()}
    assert len(study.portfolio.training) < len(done) < len(list(study.kept.folder.rglob("done")))
    again = begin(tmp_path, **TRIED)
    assert again.run() == undisturbed
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert whole.steps == sorted(whole.steps)
    assert whole.steps[-1] <= whole.totals[0]

    found = report.write(again, undisturbed)
    arms = found["ways"]["lora"]["arms"]
    countered = [f"{kind}+{name}" for name in COUNTERS for kind in ("clean", "cloak-100")]
    assert list(arms) == ["clean", "cloak-100", "noise", "blend", *countered]
    assert all(set(arm) == set(FIGURES) - {"genre_shift", "csd"} for arm in arms.values())
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


def test_a_countermeasure_on_cloaked_pictures_is_compared_with_the_same_one_on_clean_pictures(
    finished: tuple[Study, dict[str, Any]],
) -> None:
    study, found = finished
    arms = found["ways"]["lora"]["arms"]
    for kind in ("clean", "cloak-100"):
        assert arms[f"{kind}+nothing"] == arms[kind]
        assert arms[kind]["closer_alike"] == arms[kind]["closer"]
        assert not study.pictures(Arm(kind.split("-")[0], counter="blank"), 0).any()
    mine, control = arms["cloak-100+blank"], arms["clean+blank"]
    assert mine == control
    assert mine["closer_alike"]["seeds"] == [0.5] * PLAN.seeds
    assert mine["closer"] != mine["closer_alike"]


def test_the_comparison_stands_in_the_page_the_section_and_a_sentence(
    finished: tuple[Study, dict[str, Any]],
) -> None:
    study, found = finished
    found = json.loads(json.dumps(report.write(study, found)))
    first, nothing, blank = report.verdict(found)
    assert "of one that learned from clean ones" in first
    taken = found["ways"]["lora"]["arms"]["clean+blank"]["accuracy"]["mean"]
    assert blank == (
        "lora, blank for cloaked and clean pictures alike: of the pictures of the mimic of the cloaked ones "
        f"{taken:.0%} are taken for the artist's, of the other's {taken:.0%}, not significantly fewer (by 0.000 "
        "[0.000, 0.000]); it is closer to the artist in 0.500 [0.500, 0.500] of all pairs, not significantly fewer "
        "than the half that would mean no effect of the cloak."
    )
    page = (study.kept.folder / "report.html").read_text().replace("&#x27;", "'")
    made = section(found | {"date": "today", "machine": "this one", "commit": "none"})
    for said in (first, nothing, blank, report.TITLES["closer_alike"], "clean pictures, then blank"):
        assert said in page and said in made

    mine = found["ways"]["lora"]["arms"]["cloak-100+blank"]
    mine["closer_alike"] |= {"mean": 0.3, "low": 0.2, "high": 0.4}
    mine["fewer_alike"] |= {"mean": 0.2, "low": 0.1, "high": 0.3}
    assert "0.300 [0.200, 0.400] of all pairs, significantly fewer" in report.verdict(found)[2]
    assert ", significantly fewer (by 0.200 [0.100, 0.300]); " in report.verdict(found)[2]


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
    for kind, before in (("cloak", whole), ("clean", clean)):
        assert torch.allclose(study.pictures(Arm(kind, counter="invert"), 0), 1 - before, atol=1e-6)


class Learner:
    """A generator that only notes what it is to learn from, and how."""

    name, side, identity = "learner", 64, "none"

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
    assert arms == ["clean", "cloak-100", "foreign", "noise", "blend", "clean+robust", "cloak-100+robust"]
    assert found["depends_on"]["foreign"] == ["other"]
    seen = dict(zip(arms, learner.seen, strict=True))
    assert [how.noise for _, how in seen.values()] == [0, 0, 0, 0, 0, NOISE, NOISE]
    clean, cloak, foreign = (seen[name][0] for name in ("clean", "cloak-100", "foreign"))
    assert not torch.equal(foreign, cloak) and not torch.equal(foreign, clean)
    assert torch.equal(seen["clean+robust"][0], clean) and torch.equal(seen["cloak-100+robust"][0], cloak)
    assert 0 < float((foreign - clean).abs().max()) <= 16 / 255 + 1e-6
    page = (tmp_path / "report.html").read_text()
    assert "clean, cloaked, noise, blend, cloaked against the embedded encoder alone" in page


def test_the_likeness_by_csd_stands_in_the_report_where_csd_is_there(begin: Begin, tmp_path: Path) -> None:
    notes: list[str] = []
    assert known(Csd, notes) is None
    assert len(notes) == 1 and notes[0].startswith("CSD is not on this computer")
    without = begin(tmp_path, generator=Learner(), plan=replace(PLAN, seeds=1))
    arms = report.write(without, without.run())["ways"]["lora"]["arms"]
    page = tmp_path / "report.html"
    assert not any("csd" in arm for arm in arms.values())
    assert page.read_text().count("<td>–</td>") == 2 * len(arms)

    tiny = TinyCsd()
    study = replace(without, csd=Csd(tiny.saved(tmp_path / "csd.safetensors")))
    found = report.write(study, study.run())["ways"]["lora"]["arms"]
    own = tiny((study.portfolio.held_out * 255).round() / 255).mean(0)
    for name, arm in found.items():
        painted = study.kept.load(f"samples/lora/{name}/0")
        assert arm["csd"]["seeds"] == [pytest.approx(float((tiny(painted) @ own / own.norm()).mean()), abs=1e-5)]
        assert {figure: arm[figure] for figure in arms[name]} == arms[name]
        assert f"<td>{report.number(arm['csd'])}</td>" in page.read_text()
    assert report.TITLES["csd"] in page.read_text()
    assert page.read_text().count("<td>–</td>") == len(arms)


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


def test_another_artist_with_one_picture_is_refused_before_the_work(begin: Begin, tmp_path: Path) -> None:
    study = begin(tmp_path / "out", others={"by a friend": torch.rand(1, 3, 64, 64)})
    with refusal("few_pictures") as caught:
        study.run()
    assert "by a friend" in caught.value.sentence and not (tmp_path / "out").exists()


@pytest.mark.parametrize("share", [0.5, 1])
def test_a_generator_of_other_weights_is_another_one(share: float, sd: Path, tmp_path: Path) -> None:
    other = tmp_path / sd.name
    shutil.copytree(sd, other)
    same, path = Stable(other, CPU).identity, next(other.glob("unet/*.safetensors"))
    data = bytearray(path.read_bytes())
    data[int(share * len(data)) - 1] ^= 1
    path.write_bytes(data)
    assert Stable(sd, CPU).identity == same != Stable(other, CPU).identity


@pytest.mark.parametrize("left", [0, 2])
def test_pictures_that_are_gone_are_told_of(left: int, tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.pictures("some", torch.rand(3, 3, 64, 64))
    assert kept.load("some").shape == (3, 3, 64, 64)
    for path in sorted((tmp_path / "some").glob("*.png"))[left:]:
        path.unlink()
    with refusal("lost_pictures") as caught:
        kept.load("some")
    assert str(tmp_path / "some") in caught.value.sentence


def test_missing_weights_are_one_sentence(begin: Begin, no_weights: None, tmp_path: Path) -> None:
    with refusal("missing_weights", GlazeError):
        begin(tmp_path / "out").run()
