"""Hostile files end in one sentence, in bounded memory, and nothing is written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, Glaze
from tests.corpus import hostile

SEED = int(os.environ.get("GLAZE_SEED", "7"))

Outcome = tuple[str, str, str]


@pytest.fixture(scope="module")
def outcomes() -> dict[str, list[Outcome]]:
    """Kind of file → name, code and sentence of each, from one process with little memory."""
    command = [sys.executable, "-m", "tests.corpus.hostile", str(SEED)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    print(f"seed {SEED} (GLAZE_SEED)")
    assert done.returncode == 0, done.stdout[-300:] + done.stderr[-3000:]
    assert "Traceback" not in done.stderr
    found: dict[str, list[Outcome]] = {"attack": [], "nuisance": [], "flipped": []}
    for line in done.stdout.splitlines():
        if line.startswith("Warning: "):  # which OpenEXR prints
            continue
        kind, name, code, sentence = json.loads(line)
        found[kind].append((name, code, sentence))
    return found


def test_attacks_are_refused(outcomes: dict[str, list[Outcome]]) -> None:
    assert len(outcomes["attack"]) == len(list(hostile.attacks()))
    assert [name for name, code, _ in outcomes["attack"] if code == "read"] == []


def test_what_is_bad_beside_the_pixels_is_no_obstacle(outcomes: dict[str, list[Outcome]]) -> None:
    assert [name for name, code, _ in outcomes["nuisance"] if code != "read"] == []


def test_flipped_bits_are_read_or_refused(outcomes: dict[str, list[Outcome]]) -> None:
    codes = [code for _, code, _ in outcomes["flipped"]]
    assert len(codes) == hostile.FLIPS
    assert {"read", "damaged"} <= set(codes)


def test_every_refusal_is_one_sentence(outcomes: dict[str, list[Outcome]]) -> None:
    for name, code, sentence in (one for several in outcomes.values() for one in several):
        if code != "read":
            assert sentence[0].isupper() and sentence.endswith(".") and "\n" not in sentence, name
            assert sentence.count(". ") == 0, name


def test_the_command_line_refuses_them_and_writes_nothing(glaze: Glaze, tmp_path: Path) -> None:
    files = dict(hostile.attacks())
    names = ["png-of-10^10-px", "tiff-in-a-circle", "cmyk-with-a-profile-for-rgb"]
    for name in names:
        (tmp_path / name).with_suffix(".png").write_bytes(files[name])
    before = sorted(tmp_path.iterdir())
    done = glaze("protect", *before, "-o", "out/", "--quality", "preview")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == len(names)
    assert list((tmp_path / "out").iterdir()) == []
    assert sorted(path for path in tmp_path.iterdir() if path.is_file()) == before
