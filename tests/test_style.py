"""`glaze style`: the artist's own style is learned by the daemon, and every picture follows what it keeps."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from PIL import Image

from glaze_plugin.cli import style
from glaze_plugin.client import Client
from tests.conftest import Glaze


@pytest.fixture(autouse=True, scope="module")
def afterwards(home: Path) -> Iterator[None]:
    """The run's daemon keeps nothing for the tests that follow."""
    yield
    with Client.connect("tests") as client:
        assert client.run("style", {}, {"change": True}).report["artist"] is None


@pytest.fixture
def works(meadow: Image.Image, tmp_path: Path) -> Path:
    """A folder with two pictures, one below, and two files that are none."""
    folder = tmp_path / "my works ü"
    (folder / "2025").mkdir(parents=True)
    meadow.crop((160, 220, 200, 260)).save(folder / "path.png")
    meadow.crop((0, 0, 48, 40)).save(folder / "2025" / "sky.TIFF")
    (folder / "torn.jpg").write_bytes(b"\xff\xd8\xff torn")
    (folder / "letter.txt").write_text("not a picture")
    return folder


def test_a_folder_is_learned_and_its_style_followed(glaze: Glaze, works: Path, painting: Path) -> None:
    done = glaze("style", "learn", works, "--seed", "4", "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith(str(works / "torn.jpg"))
    assert len(done.stderr.splitlines()) == 1
    learned = json.loads(done.stdout)
    assert (learned["chosen"], learned["pictures"]) == ("learned", 2)
    assert [one["source"] for one in learned["failed"]] == [str(works / "torn.jpg")]
    far = sorted(learned["distances"].values())
    assert far[12] < learned["distances"][learned["style"]] < far[19]

    kept = json.loads(glaze("style", "show", "--json").stdout)
    assert kept == {name: value for name, value in learned.items() if name != "failed"}
    assert f"towards {kept['style']}, learned from 2 of your pictures." in glaze("style", "show").stdout
    report = json.loads(glaze("protect", painting, "--strength", "0", "--seed", "8", "--json").stdout)
    assert (report["style"], report["chosen"]) == (kept["style"], "learned")


def test_a_style_is_set_listed_reset_and_chosen_by_the_next_picture(glaze: Glaze, painting: Path) -> None:
    assert "towards etching, set by you." in glaze("style", "set", "etching").stdout
    lines = [line for line in glaze("style", "list").stdout.splitlines() if line.startswith("*")]
    assert len(lines) == 1 and "etching" in lines[0]
    with Client.connect("tests") as client:
        status = client.status()
    assert (status.style, status.chosen) == ("etching", "set") and "etching" in status.styles
    assert "target style etching" in glaze("daemon", "status").stdout
    assert "Painters: embedded" in glaze("style", "list").stdout
    assert glaze("style", "reset", "--json").stdout == "null\n"
    assert glaze("style", "show").stdout.startswith("No target style is kept")
    lines = glaze("protect", painting, "--strength", "0").stdout.splitlines()
    assert lines[2] == "That style is kept for all your pictures; `glaze style` changes it."
    name = lines[1].split(",")[0].removeprefix("style ")
    assert f"towards {name}, by your first picture." in glaze("style", "show").stdout


def test_bad_input_is_said_and_changes_nothing(glaze: Glaze, client: Client, tmp_path: Path) -> None:
    (tmp_path / "torn.png").write_bytes(b"\x89PNG torn")
    (tmp_path / "empty").mkdir()
    before = client.run("style", {}, {"change": True, "style": "dusk"}).report
    for arguments, said in {
        ("set", "etchin"): "There is no style 'etchin'. Did you mean etching? Known styles: ",
        ("set", "auto"): "There is no style 'auto'. `glaze style reset` ",
        ("learn", "nowhere"): "There is no folder nowhere.",
        ("learn", "empty"): "There is no picture in empty. Glaze reads .png",
        ("learn", "torn.png"): "None of these pictures can be used.",
    }.items():
        done = glaze("style", *arguments)
        assert done.returncode == 2, arguments
        assert done.stderr.splitlines()[-1].startswith(said)
        assert done.stdout == ""
    assert client.run("style", {}, {}).report == before


def test_of_many_pictures_some_are_taken_evenly(tmp_path: Path) -> None:
    for number in range(1000, 1000 + 2 * style.MOST + 50):
        (tmp_path / f"{number}.png").touch()
    numbers = [int(path.stem) for path in style.found([tmp_path])]
    assert len(numbers) == style.MOST
    assert {after - before for before, after in pairwise(numbers)} == {2, 3}


def test_documents_are_pictures_and_hidden_files_are_none(tmp_path: Path) -> None:
    for name in ("a.kra", "b.PSD", "c.heic", "d.ora", "e.png", "h.xcf", ".e.png", ".trash/f.png", "g.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [path.name for path in style.found([tmp_path])] == ["a.kra", "b.PSD", "c.heic", "d.ora", "e.png", "h.xcf"]
    assert style.found([tmp_path / "a.kra"]) == [tmp_path / "a.kra"]
