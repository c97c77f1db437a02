"""A folder of pictures: every one is cloaked once, failures are listed, and a watched folder takes what comes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from glaze_plugin.cli import app, folders, pictures
from tests.conftest import Glaze

QUICK = ("--quality", "preview", "--style", "weave", "--json")
pytestmark = pytest.mark.usefixtures("tiny_engine")


@pytest.fixture
def tiny_engine(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon computes with `tests.corpus.quick_tasks`."""
    monkeypatch.setenv("GLAZE_TASKS", "tests.corpus.quick_tasks")


@pytest.fixture
def album(painting: Path) -> Path:
    """Three pictures in two folders, one that is none, and what is no picture at all."""
    album = painting.parent / "my album"
    (album / "deep er").mkdir(parents=True)
    (album / ".hidden").mkdir()
    for name in ("a.png", "deep er/b.png", "deep er/ü.PNG", ".hidden/c.png"):
        shutil.copy(painting, album / name)
    (album / "broken.png").write_bytes(b"not a picture")
    (album / "notes.txt").write_text("not for us")
    return album


def lines(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


def below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_every_picture_below_a_folder_is_cloaked_and_failures_are_listed(glaze: Glaze, album: Path) -> None:
    done = glaze("protect", album, "-o", "out", *QUICK)
    assert done.returncode == 2
    *_, summary = lines(done.stdout)
    assert (summary["cloaked"], summary["skipped"]) == (3, 0)
    assert [Path(name).name for name in summary["failures"]] == ["broken.png"]
    assert below(album.parent / "out") == {"a.png", "deep er/b.png", "deep er/ü.PNG", folders.LEDGER}
    with Image.open(album.parent / "out" / "a.png") as image:
        assert image.size == (96, 80)


def test_what_was_done_is_done_once(glaze: Glaze, album: Path) -> None:
    (album / "broken.png").unlink()
    glaze("protect", album, "-o", "out", *QUICK)
    again = glaze("protect", album, "-o", "out", *QUICK)
    assert again.returncode == 0, again.stderr
    assert lines(again.stdout) == [{"cloaked": 0, "skipped": 3, "passed_over": 1, "failures": {}}]
    (album.parent / "out" / "a.png").unlink()
    shutil.copy(album.parent / "painting.png", album / "new.png")
    with Image.open(album / "deep er" / "b.png") as image:
        image.rotate(180).save(album / "deep er" / "b.png")
    *_, summary = lines(glaze("protect", album, "-o", "out", *QUICK).stdout)
    assert (summary["cloaked"], summary["skipped"]) == (3, 1)
    *_, summary = lines(glaze("protect", album, "-o", "out", "--strength", "0.5", *QUICK).stdout)
    assert (summary["cloaked"], summary["skipped"]) == (4, 0)


def test_two_pictures_never_share_a_result(glaze: Glaze, album: Path, painting: Path) -> None:
    (album / "broken.png").unlink()
    shutil.copy(painting, album / "a.kra.png")
    (album / "a.kra").write_bytes(b"no document")
    done = glaze("protect", album, "-o", "out", *QUICK)
    assert done.returncode == 2
    failures = {Path(name).name: error["code"] for name, error in lines(done.stdout)[-1]["failures"].items()}
    assert failures.pop("a.kra") != "collision"
    assert failures == {"a.kra.png": "collision"}
    (album / "a.kra").unlink()
    assert glaze("protect", album, "-o", "out", *QUICK).returncode == 0


def test_what_is_not_cloaked_is_told_of(glaze: Glaze, album: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (album / "deep er" / "gone.png").symlink_to("nowhere")
    done = glaze("protect", album, "-o", "out", *QUICK)
    assert done.returncode == 2
    summary = lines(done.stdout)[-1]
    assert (summary["cloaked"], summary["passed_over"]) == (3, 1)
    assert {Path(name).name for name in summary["failures"]} == {"broken.png", "gone.png"}
    folders.Tally(cloaked=3, passed_over=1).tell(json=False)
    assert capsys.readouterr().out == "3 cloaked, 0 done before, 0 failed, 1 passed over as no pictures.\n"
    for name in ("a.png", "broken.png"):
        (album / name).unlink()
    shutil.rmtree(album / "deep er")
    done = glaze("protect", album, "-o", "out", *QUICK)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"There is no picture in {album}. Glaze reads .png")


UNREADABLE = """
import os, pathlib, tempfile
from glaze_plugin.cli import folders
if os.getuid() == 0:
    os.seteuid(65534)  # root may read everything
with tempfile.TemporaryDirectory() as place:
    album = pathlib.Path(place)
    (album / "a.png").touch()
    (album / "locked").mkdir(0)
    found = folders.look(album)
    print(len(found.pictures), *(f"{error.exit_code} {error}".replace(place, "") for error in found.closed.values()))
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_a_folder_that_cannot_be_read_is_a_failure() -> None:
    done = subprocess.run([sys.executable, "-c", UNREADABLE], capture_output=True, text=True, check=False)
    assert done.stdout == "1 2 The folder /locked cannot be read: Permission denied.\n", done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has such names")
def test_a_name_that_is_not_utf_8_is_done_once_too(glaze: Glaze, album: Path, painting: Path) -> None:
    shutil.copy(painting, album / os.fsdecode(b"\x82\xa0.png"))
    for cloaked, skipped in ((4, 0), (0, 4)):
        *_, summary = lines(glaze("protect", album, "-o", "out", *QUICK).stdout)
        assert (summary["cloaked"], summary["skipped"]) == (cloaked, skipped)


def test_a_result_that_would_be_a_source_is_refused(glaze: Glaze, album: Path, painting: Path) -> None:
    (album / "broken.png").unlink()
    (album / album.name).mkdir()
    shutil.copy(painting, album / album.name / "a.png")
    before = (album / "a.png").read_bytes()
    done = glaze("protect", album, "-o", album.parent, *QUICK)
    assert done.returncode == 2
    assert [Path(name).parent.name for name in lines(done.stdout)[-1]["failures"]] == [album.name]
    assert (album / "a.png").read_bytes() == before


def test_the_results_may_lie_in_the_folder_itself(glaze: Glaze, album: Path) -> None:
    (album / "broken.png").unlink()
    for cloaked in (3, 0):
        *_, summary = lines(glaze("protect", album, "-o", album / "cloaked", *QUICK).stdout)
        assert summary["cloaked"] == cloaked


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ((), "say with -o to which folder"),
        (("-o", "my album"), "would overwrite their sources"),
        (("-o", "x", "--in-place"), "go with files alone"),
        (("-o", "painting.png"), "cannot be made"),
    ],
)
def test_a_folder_without_a_place_for_results_is_refused(
    glaze: Glaze, album: Path, options: tuple[str, ...], sentence: str
) -> None:
    done = glaze("protect", album, *options)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_watching_goes_with_a_folder(glaze: Glaze, painting: Path) -> None:
    done = glaze("protect", painting, "--watch")
    assert (done.returncode, done.stderr) == (2, "--watch goes with one folder.\n")


def test_a_watched_folder_takes_what_comes_until_ctrl_c(album: Path, painting: Path) -> None:
    out = album.parent / "out"
    command = [sys.executable, "-m", "glaze_plugin.cli", "protect", str(album), "-o", str(out), "--watch", *QUICK]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ)
    try:
        wait_for(out / "a.png", process)
        shutil.copy(painting, album / "later.png")
        wait_for(out / "later.png", process)
    finally:
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 2, errors  # broken.png
    assert lines(output)[-1]["cloaked"] == 4
    assert "Traceback" not in errors


def test_a_watched_folder_may_vanish_and_results_may_be_taken_away(album: Path, painting: Path) -> None:
    (album / "broken.png").unlink()
    out, away = album.parent / "out", album.with_name("away")
    (out / folders.LEDGER).mkdir(parents=True)  # nothing can be noted
    command = [sys.executable, "-m", "glaze_plugin.cli", "protect", str(album), "-o", str(out), "--watch", *QUICK]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ)
    try:
        wait_for(out / "a.png", process)
        album.rename(away)
        time.sleep(3 * folders.WATCH_SECONDS)
        shutil.copy(painting, away / "later.png")
        away.rename(album)
        wait_for(out / "later.png", process)
    finally:
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert errors.count(f"The folder {album} cannot be read: No such file or directory.") == 1
    *_, summary = lines(output)
    assert summary["cloaked"] >= 2 and str(album) not in summary["failures"]
    assert "cannot be" in summary["failures"][str(album / "a.png")]["sentence"]
    assert "Traceback" not in errors


def test_a_result_that_something_takes_away_at_once_is_done(
    album: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (album / "broken.png").unlink()
    writable = pictures.writable

    @contextmanager
    def taken_away(path: Path) -> Iterator[Path]:
        with writable(path) as beside:
            yield beside
        path.unlink()

    monkeypatch.setattr(pictures, "writable", taken_away)
    monkeypatch.setattr(sys, "argv", ["glaze", "protect", str(album), "-o", str(album.parent / "out"), *QUICK])
    assert app.run() == 0
    assert lines(capsys.readouterr().out)[-1]["cloaked"] == 3


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.1)
