"""The list of pictures is well-formed, and nothing else than what it names is taken for a picture of it."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bench.cloakbench import corpus
from bench.cloakbench.drawings import DRAWINGS
from glaze_server.engine.styles import STYLES
from glaze_server.engine.training.pictures import PACKAGES
from tests.engine.conftest import refusal

DRAWN = [entry for entry in corpus.entries() if entry.package == corpus.DRAWN]
EACH = 12


def test_the_list_has_twelve_different_pictures_of_each_stratum() -> None:
    entries = corpus.entries()
    assert Counter(entry.stratum for entry in entries) == dict.fromkeys(corpus.STRATA, EACH)
    assert len({entry.sha256 for entry in entries}) == len({entry.name for entry in entries}) == len(entries)
    assert all(re.fullmatch("[0-9a-f]{64}", entry.sha256) for entry in entries)
    assert all(entry.form in corpus.FORMS for entry in entries)
    assert all(entry.version != "-" for entry in entries if entry.debian)
    assert not any(Path(entry.file).is_absolute() or ".." in entry.file for entry in entries)


def test_half_of_the_flat_art_has_alpha() -> None:
    forms = Counter(entry.form for entry in corpus.entries() if entry.stratum == "flat")
    assert forms["rgba"] == EACH / 2


def test_no_picture_comes_from_a_package_that_the_encoder_was_trained_on() -> None:
    assert not {entry.package for entry in corpus.entries()} & set(PACKAGES)


def test_the_strata_take_turns() -> None:
    assert [entry.stratum for entry in corpus.chosen(2)] == 2 * list(corpus.STRATA)
    assert len(corpus.chosen(EACH)) == len(corpus.entries())


def test_what_is_drawn_is_in_the_list() -> None:
    assert {entry.file for entry in DRAWN} == set(DRAWINGS)


@pytest.mark.parametrize("entry", DRAWN, ids=lambda entry: entry.file)
def test_a_drawing_is_read_at_the_asked_size(entry: corpus.Entry, tmp_path: Path) -> None:
    picture = corpus.read(entry, 96, tmp_path)
    assert picture.colour.shape == (1, 3, 96, 96)
    assert 0 <= float(picture.colour.min()) < float(picture.colour.max()) <= 1
    assert (picture.opacity is not None) == (entry.form == "rgba")
    if picture.opacity is not None:
        assert 0 < float(picture.opacity.mean()) < 1


def test_a_gray_picture_has_one_channel(tmp_path: Path) -> None:
    picture = corpus.read(replace(DRAWN[0], form="gray"), 64, tmp_path)
    assert picture.colour.shape == (1, 1, 64, 64)
    assert picture.opacity is None
    assert float(picture.colour[0, 0, 0, 0]) == 1  # transparency is laid over white


def test_another_picture_under_the_same_name_is_refused(tmp_path: Path) -> None:
    with refusal("wrong_picture") as caught:
        corpus.read(replace(DRAWN[0], sha256="0" * 64), 64, tmp_path)
    assert DRAWN[0].file in caught.value.sentence


def test_a_file_of_a_package_is_read_and_checked(painting: Path, tmp_path: Path) -> None:
    file = tmp_path / "unpacked" / "art-data" / "usr" / "painting.png"
    file.parent.mkdir(parents=True)
    file.write_bytes(painting.read_bytes())
    entry = corpus.Entry(
        "photo", "rgb", "art-data", "1.0", "usr/painting.png", hashlib.sha256(painting.read_bytes()).hexdigest()
    )
    assert corpus.read(entry, 64, tmp_path).colour.shape == (1, 3, 53, 64)
    file.write_bytes(painting.read_bytes() + b"changed")
    with refusal("wrong_picture"):
        corpus.read(entry, 64, tmp_path)


def test_missing_pictures_are_left_out_and_said(tmp_path: Path) -> None:
    missing = replace(DRAWN[0], package="no-such-package")
    said: list[str] = []
    found = corpus.pictures([missing, *DRAWN], 64, tmp_path, said.append)
    assert [picture.name for picture in found] == [entry.name for entry in DRAWN]
    assert len(said) == 1 and "no-such-package" in said[0]


def test_a_picture_has_targets_of_different_styles_the_same_every_time(tmp_path: Path) -> None:
    picture = corpus.read(DRAWN[1], 64, tmp_path)
    scenes = [corpus.scene(picture, number) for number in range(3)]
    assert len({scene.style for scene in scenes}) == 3
    assert all(scene.style in STYLES for scene in scenes)
    again = corpus.scene(corpus.read(DRAWN[1], 64, tmp_path), 1)
    assert again.style == scenes[1].style
    torch.testing.assert_close(again.target, scenes[1].target, rtol=0, atol=0)
    assert again.fingerprint() == scenes[1].fingerprint() != scenes[0].fingerprint()
