"""`glaze evaluate` as an artist gives it: a process that can be stopped, goes on, and ends in a sentence."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from bench import mimic
from glaze_server.mimicry import upscaling
from glaze_server.mimicry.__main__ import QUICK_STEPS, main, plan
from glaze_server.mimicry.stable import TUNING
from tests.conftest import Glaze

PATIENCE_SECONDS = 120


def test_ctrl_c_leaves_a_study_that_the_same_command_ends(glaze: Glaze, works: Path, sd: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (works / "4.png").unlink()
    words = ["evaluate", works, "-o", out, "--generator", sd, "--quick", "--steps", 1, "--style", "etching", "--json"]
    words += ["--seeds", 1, "--samples", 2]
    command = [sys.executable, "-m", "glaze_plugin.cli", *map(str, words)]
    with subprocess.Popen(command, stdout=-1, stderr=-1, text=True, start_new_session=True) as begun:
        before = time.monotonic()
        while not list(out.glob("pictures/*/done")) and time.monotonic() - before < PATIENCE_SECONDS:
            time.sleep(0.2)
        os.killpg(begun.pid, signal.SIGINT)
        said = begun.communicate(timeout=PATIENCE_SECONDS)
    assert begun.returncode == 130
    assert said == ("", "Stopped; the same command goes on where it was.\n")

    done = glaze(*words)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report == json.loads((out / "report.json").read_text())
    assert (report["depends_on"]["generator"], report["style"]) == ("sd", "etching")
    notes = [note for note in report["notes"] if "is not on this computer" in note]
    assert [note.partition(" ")[0] for note in notes] == ["CLIP", "CSD"]
    assert (out / "report.html").exists()


def test_the_benchmark_tells_each_stage_in_a_line_and_writes_its_section(
    works: Path, sd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (works / "4.png").unlink()
    monkeypatch.setenv("GLAZE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(mimic, "ROOT", tmp_path)
    monkeypatch.setattr(mimic, "WORK", tmp_path / "work")
    words = ["--generator", str(sd), "--quick", "--seeds", "1"]
    assert mimic.main([str(tmp_path / "nowhere"), *words]) == 2
    assert capsys.readouterr().err.startswith("There is no folder ")
    assert mimic.main([str(works), *words]) == 0
    section = (tmp_path / "out" / "results.md").read_text()
    progress, found, rest = capsys.readouterr().out.partition(section)
    assert found and rest == "\n"
    lines = progress.splitlines()
    assert all(re.fullmatch(r" {0,2}\d+% \w.*", line) for line in lines)
    assert len(lines) == len(set(lines))
    assert "clean, lora, seed 1 of 1" in "\n".join(lines)
    assert "| clean pictures " in section


@pytest.mark.parametrize(
    ("order", "steps"),
    [
        ({}, {way: how.steps for way, how in TUNING.items()}),
        ({"quick": True}, {"lora": QUICK_STEPS}),
        ({"quick": True, "ways": ["full"]}, {"full": QUICK_STEPS}),
        ({"quick": True, "ways": ["lora", "full"], "steps": 7}, {"lora": 7, "full": 7}),
        ({"ways": ["full"]}, {"full": TUNING["full"].steps}),
    ],
)
def test_a_quick_study_is_quick_in_every_way(order: dict[str, Any], steps: dict[str, int]) -> None:
    assert {way: how.steps for way, how in plan(order, TUNING).tuning.items()} == steps


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"pictures": 3}, "A study needs at least 4 pictures of the artist; there are 3."),
        ({"generator": "nobody"}, "There is no generator 'nobody'."),
        ({"shares": [0]}, "A share is a whole number of percent from 1 to 100."),
        ({"steps": 0}, "A mimic fine-tunes in one step at least."),
        ({"ways": ["lora"], "steps": -5}, "A mimic fine-tunes in one step at least."),
        ({"ways": ["osmosis"]}, "A mimic fine-tunes in the way lora or full, not 'osmosis'."),
        ({"counters": ["magic"]}, "There is no countermeasure 'magic'; known are "),
        ({"torn": True}, "This PNG file is damaged or cut short: 0.png."),
    ],
)
def test_bad_input_is_one_sentence(
    changes: dict[str, Any], said: str, works: Path, sd: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = sorted(works.iterdir())[: changes.pop("pictures", None)]
    if changes.pop("torn", False):
        pictures[0].write_bytes(pictures[0].read_bytes()[:300])
    order = {"pictures": list(map(str, pictures)), "out": str(tmp_path / "out"), "generator": str(sd)}
    assert main(json.dumps(order | changes)) == 2
    error = json.loads(capsys.readouterr().out.splitlines()[-1])["error"]
    assert error["kind"] == "bad_input"
    assert error["sentence"].startswith(said)
    assert not (tmp_path / "out").exists()


def test_an_upscaler_that_is_missing_is_told_of_before_the_work(
    works: Path, sd: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upscaling, "weights", lambda: None)
    order = {"pictures": list(map(str, sorted(works.iterdir()))), "out": str(tmp_path / "out"), "generator": str(sd)}
    assert main(json.dumps(order | {"counters": ["upscale"]})) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["error"]["sentence"].startswith("Real-ESRGAN is not on this computer")
    assert not (tmp_path / "out").exists()


def test_an_empty_folder_is_told_of_before_anything_is_loaded(glaze: Glaze, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = glaze("evaluate", "empty", "-o", "out", "--generator", "sd")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("There is no picture in empty. ")


def test_a_large_collection_in_any_console_ends_in_a_sentence_too(glaze: Glaze, works: Path, tmp_path: Path) -> None:
    """Its paths are more than a command line holds, and not in the letters of the console."""
    for number in range(60):
        others = tmp_path / "他の人" / f"作家その{number}"
        others.mkdir(parents=True)
        for picture in range(100):
            (others / f"展覧会の作品その{picture}.png").touch()
    words = ["evaluate", works, "-o", "out", "--generator", "誰か", "--others", "他の人"]
    done = glaze(*words, env={**os.environ, "PYTHONIOENCODING": "cp1252:backslashreplace"})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(ascii("There is no generator '誰か'. ")[1:-2])
