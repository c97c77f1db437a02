"""One small run of the real thing from its command line, and how it answers wrong arguments."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.cloakbench import corpus
from bench.cloakbench.__main__ import main
from bench.cloakbench.cells import TRACKS
from tests.conftest import ROOT

DRAWN = [entry for entry in corpus.entries() if entry.package == corpus.DRAWN]
METHODS = ["standard", "app_native", "blend", "noise", "identity"]
LARGEST_PLOT = 150_000


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, home: Path) -> Iterator[Path]:
    """The folder that a run on the drawings has written."""
    folder = tmp_path_factory.mktemp("cloakbench")
    patch = pytest.MonkeyPatch()
    patch.setenv("GLAZE_HOME", os.environ["GLAZE_HOME"])  # put back in the end
    patch.setattr(corpus, "chosen", lambda most: DRAWN[:most])
    arguments = ["--pictures", "1", "--targets", "1", "--side", "64", "--encoder", "embedded", "--methods", *METHODS]
    assert main([*arguments, "--out", str(folder), "--work", str(folder / "work")]) == 0
    yield folder
    patch.undo()


def test_the_report_has_a_line_for_every_method_and_every_section(made: Path) -> None:
    text = (made / "results.md").read_text(encoding="utf-8")
    sections = text.split("\n## ")
    titles = [section.partition("\n")[0] for section in sections]
    for word in ("budget B", "published", "equal time", "Survival", "Transfer", "Cost", "Goals", "Left out"):
        assert any(word in title for title in titles), word
    for words in ("Glaze app's formula at", "random sign noise", "blend towards"):
        assert sum(f"{words}" in section for section in sections) >= 6
    assert "nan" not in text.lower().split()
    assert str(ROOT) not in text and str(made) not in text


def test_the_figures_are_there_to_compute_with(made: Path) -> None:
    figures = json.loads((made / "results" / "results.json").read_text(encoding="utf-8"))
    assert set(figures["results"]) == set(METHODS)
    assert figures["facts"]["pairs"] == 1
    for tracks in figures["results"].values():
        assert set(tracks) == set(TRACKS)
    at_budget = figures["results"]["standard"]["budget"]
    assert at_budget["score"]["low"] <= at_budget["score"]["mean"] <= at_budget["score"]["high"]
    assert at_budget["score"]["mean"] > 0
    assert figures["results"]["identity"]["budget"]["score"]["mean"] == 0
    assert figures["curves"]["standard"][-1]["iterations"] > 1
    assert figures["results"]["standard"]["budget"]["flops"]["mean"] > 1e9


def test_the_plots_are_small(made: Path) -> None:
    sizes = {path.name: path.stat().st_size for path in (made / "results").glob("*.svg")}
    assert set(sizes) == {"looks.svg", "curves.svg", "survival.svg"}
    assert max(sizes.values()) < LARGEST_PLOT


@pytest.mark.parametrize(
    "wrong",
    [
        ["--pictures", "0"],
        ["--pictures", "many"],
        ["--targets", "99"],
        ["--side", "16"],
        ["--hours", "0"],
        ["--hours", "soon"],
        ["--methods", "nightshade"],
        ["--encoder", "sd99"],
        ["--fast"],
    ],
)
def test_a_wrong_argument_gets_one_sentence_and_exit_code_2(
    wrong: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLAZE_HOME", os.environ["GLAZE_HOME"])
    try:
        code: object = main([*wrong, "--work", str(tmp_path)])
    except SystemExit as ended:
        code = ended.code
    said = capsys.readouterr().err.strip()
    assert code == 2
    assert said[0].isupper() and said.endswith(".") and "\n" not in said
