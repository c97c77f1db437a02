"""The command line's contract, which scripts rely on: output, exit codes, and that nothing is lost or half-written."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
from PIL import Image, ImageOps

from glaze_plugin.cli import pictures
from glaze_plugin.errors import BadInput
from tests.conftest import ROOT, Glaze, file_bytes

QUICK = ("--quality", "preview", "--style", "weave")
QUICK_GLAZE = """#!/bin/sh
[ "$1" != protect ] || set -- "$@" --quality preview --style weave
exec "{python}" -m glaze_plugin.cli "$@"
"""


def files_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


# ---- what comes out ----------------------------------------------------------------------------


def test_protect_writes_beside_the_source_and_reports(glaze: Glaze, painting: Path) -> None:
    before = painting.read_bytes()
    done = glaze("protect", painting, *QUICK, "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    output = painting.with_name("painting-glazed.png")
    assert report["output"] == str(output)
    assert report["bytes"] == output.stat().st_size
    assert report["size"] == [96, 80]
    assert report["encoders"] == ["embedded"]
    assert report["style"] == "weave"
    assert report["seconds"] > 0
    assert set(report["targeted_shift"]) == {"embedded"}
    assert set(report["survival"]) == {"half", "quarter", "jpeg75", "half_jpeg75", "crop"}
    assert report["targeted_shift"]["embedded"] > report["noise_control"]["targeted_shift"]["embedded"]
    assert 0 < report["lpips"]["alex"] <= 0.05
    assert 0 < report["lpips"]["vgg"] <= 0.20
    assert 0 < report["max_change"] <= 16 / 255
    assert 0 <= report["flat_rms"] <= 4 / 255
    assert 9.7 <= report["jod"] < 10
    assert painting.read_bytes() == before
    with Image.open(output) as image:
        assert image.size == (96, 80)


def test_without_json_there_is_a_short_table(glaze: Glaze, painting: Path) -> None:
    done = glaze("protect", painting, *QUICK)
    assert done.returncode == 0, done.stderr
    assert "painting-glazed.png" in done.stdout
    assert "shift, embedded" in done.stdout
    assert "random noise" in done.stdout


def test_a_file_that_would_grow_too_much_is_refused_unless_it_may(glaze: Glaze, tmp_path: Path) -> None:
    sky = Image.linear_gradient("L").resize((96, 96)).convert("RGB")
    sky.save(tmp_path / "sky.png", optimize=True)
    done = glaze("protect", tmp_path / "sky.png", *QUICK)
    assert done.returncode == 2
    assert "1.6 times" in done.stderr and "--any-size" in done.stderr
    assert files_in(tmp_path) == {"sky.png"}
    done = glaze("protect", tmp_path / "sky.png", "--any-size", "--json", *QUICK)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["growth"] > 1.6


def test_the_same_seed_gives_the_same_bytes(glaze: Glaze, painting: Path) -> None:
    for name in ("a.png", "b.png"):
        glaze("protect", painting, "-o", name, "--seed", 7, *QUICK)
    folder = painting.parent
    assert (folder / "a.png").read_bytes() == (folder / "b.png").read_bytes()


def test_many_files_go_to_a_folder_and_one_bad_one_stops_nothing(glaze: Glaze, painting: Path) -> None:
    second = painting.with_name("second.png")
    shutil.copy(painting, second)
    bad = painting.with_name("bad.png")
    bad.write_text("not a picture")
    done = glaze("protect", painting, bad, second, "-o", "out/new", "--json", *QUICK)
    assert done.returncode == 2
    objects = [json.loads(line) for line in done.stdout.splitlines()]
    assert [Path(one["source"]).name for one in objects] == ["painting.png", "bad.png", "second.png"]
    assert objects[1]["error"]["code"] == "not_a_picture"
    assert files_in(painting.parent / "out" / "new") == {"painting.png", "second.png"}


def test_names_with_anything_in_them_work(glaze: Glaze, painting: Path) -> None:
    folder = painting.parent / "n~ zdjęcia, カナ #1 🎨"
    folder.mkdir()
    name = "ein Bild, größer #2 [red] :tada: カ.png"
    shutil.copy(painting, folder / name)
    done = glaze("protect", folder / name, "-o", folder / "out", "--json", *QUICK)
    assert done.returncode == 2, "one file and a name without a suffix: the suffix is missing"
    assert "should end in" in done.stderr
    done = glaze("protect", folder / name, "-o", f"{folder / 'out'}/", "--json", *QUICK)
    assert done.returncode == 0, done.stderr
    assert files_in(folder / "out") == {name}
    done = glaze("protect", folder / name, *QUICK)
    assert done.returncode == 0, done.stderr
    assert str(folder / "ein Bild, größer #2 [red] :tada: カ-glazed.png") in done.stdout


def test_a_name_may_be_as_long_as_a_name_can_be(glaze: Glaze, painting: Path) -> None:
    name = "a" * (os.pathconf(painting.parent, "PC_NAME_MAX") - 4) + ".png"
    shutil.copy(painting, painting.with_name(name))
    done = glaze("protect", name, "-o", "out/", *QUICK)
    assert done.returncode == 0, done.stderr
    assert files_in(painting.parent / "out") == {name}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has such names")
def test_names_that_are_not_utf_8_stop_nothing(glaze: Glaze, painting: Path) -> None:
    strange = painting.with_name(os.fsdecode(b"\x82\xa0.png"))
    shutil.copy(painting, strange)
    for options in ((), ("--json",)):
        done = glaze("protect", strange, painting, "-o", "out", *options, *QUICK)
        assert done.returncode == 0, done.stderr
        assert {path.name for path in (painting.parent / "out").iterdir()} == {strange.name, painting.name}


def test_the_target_can_be_saved_and_measured_against(glaze: Glaze, painting: Path) -> None:
    report = json.loads(
        glaze("protect", painting, "-o", "out.png", "--save-target", "target.png", "--json", *QUICK).stdout
    )
    with Image.open(painting.with_name("target.png")) as target:
        assert target.size == (96, 80)
    measured = json.loads(glaze("measure", painting, "out.png", "--target", "target.png", "--json").stdout)
    for name in ("targeted_shift", "survival", "lpips", "max_change", "flat_rms", "jod", "noise_control"):
        assert measured[name] == report[name]


def test_make_run_knows_what_the_result_is_called(painting: Path) -> None:
    document = painting.with_name("größer 1.2.kra")
    with zipfile.ZipFile(document, "w") as archive:
        archive.writestr("mimetype", "application/x-krita")
        archive.writestr("mergedimage.png", painting.read_bytes())
    quick = painting.with_name("glaze")
    quick.write_text(QUICK_GLAZE.format(python=sys.executable))
    quick.chmod(0o755)
    command = ["sh", str(ROOT / "tools" / "run.sh"), str(document), "out"]
    environment = {**os.environ, "GLAZE": str(quick)}
    done = subprocess.run(command, cwd=painting.parent, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "result: out/größer 1.2.kra.png\nreview: out/größer 1.2-review.png\n" in done.stdout
    assert "LPIPS" in done.stdout
    names = {"größer 1.2.kra.png", "größer 1.2-target.png", "größer 1.2-review.png"}
    assert files_in(painting.parent / "out") == names


def test_measure_without_a_target_finds_the_style(glaze: Glaze, painting: Path) -> None:
    glaze("protect", painting, "-o", "out.png", *QUICK)
    done = glaze("measure", painting, "out.png")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("style weave")


@pytest.mark.parametrize("name", ["page.html", "sheet.png"])
def test_review_shows_before_after_and_difference(glaze: Glaze, painting: Path, name: str) -> None:
    glaze("protect", painting, "-o", "out.png", *QUICK)
    done = glaze("review", painting, "out.png", "--style", "weave", "-o", name)
    assert done.returncode == 0, done.stderr
    path = painting.with_name(name)
    if name.endswith("html"):
        assert path.read_text(encoding="utf-8").count("data:image/png;base64,") == 3
    else:
        with Image.open(path) as sheet:
            assert sheet.width >= 3 * 96
            assert sheet.crop((16, 31, 112, 111)).tobytes() == Image.open(painting).tobytes()


def test_a_mask_keeps_its_black_half_as_it_was(glaze: Glaze, painting: Path) -> None:
    mask = Image.new("L", (96, 80), 0)
    mask.paste(255, (48, 0, 96, 80))
    mask.save(painting.with_name("mask.png"))
    done = glaze("protect", painting, "-o", "out.png", "--mask", "mask.png", *QUICK)
    assert done.returncode == 0, done.stderr
    with Image.open(painting) as before, Image.open(painting.with_name("out.png")) as after:
        left, right = (0, 0, 48, 80), (48, 0, 96, 80)
        assert before.crop(left).tobytes() == after.crop(left).tobytes()
        assert before.crop(right).tobytes() != after.crop(right).tobytes()


@pytest.mark.parametrize("suffix", ["jpg", "webp", "tiff", "png"])
def test_the_name_of_the_result_says_its_format(glaze: Glaze, painting: Path, suffix: str) -> None:
    done = glaze("protect", painting, "-o", f"out.{suffix}", *QUICK)
    assert done.returncode == 0, done.stderr
    with Image.open(painting.with_name(f"out.{suffix}")) as image:
        assert image.format == {"jpg": "JPEG"}.get(suffix, suffix.upper())


# ---- the source is safe ------------------------------------------------------------------------


def test_the_source_is_overwritten_only_in_place(glaze: Glaze, painting: Path) -> None:
    before = painting.read_bytes()
    for out in (painting.name, f"{painting.parent}/", f"../{painting.parent.name}/{painting.name}"):
        done = glaze("protect", painting, "-o", out, *QUICK)
        assert done.returncode == 2
        assert "would overwrite its source" in done.stderr
    (painting.parent / "link.png").symlink_to(painting)
    done = glaze("protect", painting, "-o", "link.png", *QUICK)
    assert done.returncode == 2
    assert painting.read_bytes() == before
    painting.chmod(0o600)
    for name in ("painting.png", "link.png"):
        before = painting.read_bytes()
        done = glaze("protect", name, "--in-place", *QUICK)
        assert done.returncode == 0, done.stderr
        assert painting.read_bytes() != before
        assert painting.stat().st_mode & 0o777 == 0o600
    assert (painting.parent / "link.png").is_symlink()
    assert files_in(painting.parent) == {"painting.png", "link.png"}


@pytest.mark.parametrize(
    "arguments",
    [
        ("protect", "painting.png", "--mask", "mask.png", "-o", "mask.png"),
        ("protect", "painting.png", "--mask", "painting.png", "--in-place"),
        ("protect", "painting.png", "--mask", "mask.png", "--save-target", "mask.png"),
        ("review", "painting.png", "mask.png", "-o", "painting.png"),
        ("review", "painting.png", "mask.png", "-o", "mask.png"),
        ("review", "painting.png", "painting.png", "--target", "mask.png", "-o", "mask.png"),
    ],
)
def test_what_a_result_is_made_from_is_never_overwritten(
    glaze: Glaze, painting: Path, arguments: tuple[str, ...]
) -> None:
    shutil.copy(painting, painting.parent / "mask.png")
    before = painting.read_bytes()
    done = glaze(*arguments)
    assert (done.returncode, done.stderr) == (2, "A result would overwrite its source. Name another file.\n")
    assert painting.read_bytes() == (painting.parent / "mask.png").read_bytes() == before


@pytest.fixture
def alias(tmp_path: Path) -> Iterator[Path]:
    """The test's own folder in a second place; only root can mount it there."""
    if os.getuid() != 0:
        pytest.skip("mounting a folder in a second place needs root")
    folder = tmp_path.with_name(f"{tmp_path.name} alias")
    folder.mkdir()
    subprocess.run(["mount", "--bind", str(tmp_path), str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_source_is_known_by_another_way_to_it(glaze: Glaze, painting: Path, alias: Path) -> None:
    album = painting.parent / "album"
    album.mkdir()
    shutil.copy(painting, album / "a.png")
    before = painting.read_bytes()
    for source, out, said in (
        (painting, alias / painting.name, "would overwrite its source"),
        (painting, f"{alias}/", "would overwrite its source"),
        (album, alias / "album", "would overwrite their sources"),
    ):
        done = glaze("protect", source, "-o", out, *QUICK)
        assert (done.returncode, said in done.stderr) == (2, True), done.stderr
    (album / "album").mkdir()
    shutil.copy(painting, album / "album" / "a.png")
    (album / "album" / "a.png").with_stem("b").write_bytes(before)
    done = glaze("protect", album, "-o", alias, *QUICK)
    assert "a.png may be a source itself" in done.stderr
    assert painting.read_bytes() == (album / "a.png").read_bytes() == before


@pytest.mark.parametrize(("system", "two"), [("linux", False), ("darwin", True), ("win32", True)])
def test_where_large_and_small_letters_are_one_name(
    system: str, two: bool, painting: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", system)
    files = [painting, painting.parent / "other" / "PAINTING.png"]
    with pytest.raises(BadInput, match="same file") if two else nullcontext():
        pictures.plan(files, str(painting.parent / "out"), False, None, None)


def test_two_results_never_share_a_name(glaze: Glaze, painting: Path) -> None:
    other = painting.parent / "other"
    other.mkdir()
    shutil.copy(painting, other)
    done = glaze("protect", painting, other / painting.name, "-o", "out", *QUICK)
    assert done.returncode == 2
    assert "same file" in done.stderr


# ---- bad input ---------------------------------------------------------------------------------


def truncated(meadow: Image.Image) -> bytes:
    return file_bytes(meadow.crop((0, 0, 64, 64)))[:-2000]


BAD = {
    "missing.png": (None, "There is no file missing.png."),
    "text.png": (
        b"hello, this is a text\n" * 40,
        "This is no picture of a kind that Glaze reads: "
        "PNG, JPEG, WebP, TIFF, JPEG XL, AVIF, HEIC, OpenEXR, PSD, KRA, ORA or XCF.",
    ),
    "empty.png": (b"", "The file is empty."),
    "cut.png": (truncated, "This PNG file is damaged or cut short."),
    "dot.png": ((1, 1), "This picture is one flat colour: there is no style in it to protect."),
    "white.png": (
        lambda _: file_bytes(Image.new("RGB", (64, 64), "white")),
        "This picture is one flat colour: there is no style in it to protect.",
    ),
    "clear.png": (
        lambda _: file_bytes(Image.new("RGBA", (64, 64), (9, 200, 30, 0))),
        "This picture is one flat colour: there is no style in it to protect.",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_picture_is_one_sentence_and_no_file(
    glaze: Glaze, tmp_path: Path, meadow: Image.Image, name: str
) -> None:
    content, sentence = BAD[name]
    if callable(content):
        content = content(meadow)
    if isinstance(content, tuple):
        content = file_bytes(meadow.resize(content))
    if isinstance(content, bytes):
        (tmp_path / name).write_bytes(content)
    before = files_in(tmp_path)
    done = glaze("protect", name, *QUICK)
    assert done.returncode == 2
    assert done.stderr == f"{name}: {sentence}\n"
    assert done.stdout == ""
    assert files_in(tmp_path) == before


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--style", "nonesuch"), "There is no style 'nonesuch'."),
        (("--encoder", "nonesuch"), "There is no encoder 'nonesuch'"),
        (("--quality", "best"), "The quality is one of preview, standard, thorough, not 'best'."),
        (("--strength", "1.5"), "The strength must lie between 0 and 1, not 1.5."),
        (("--strength", "nan"), "a number that is not finite"),
        (("--seed", "-1"), "The seed must be a whole number"),
        (("--mask", "none.png"), "There is no file none.png."),
        (("-o", "out.gif"), "The name out.gif should end in .png"),
        (("-o", "painting.png/out.png"), "painting.png/out.png cannot be written: Not a directory."),
        (("-o", "nowhere/out.png"), "nowhere/out.png cannot be written: No such file or directory."),
        (("-o", "x.png", "--in-place"), "Say either --in-place or -o, not both."),
        (("--no-such-option",), "No such option"),
        (("--strength", "much"), "'--strength'"),
    ],
)
def test_a_bad_choice_is_one_sentence_and_no_file(
    glaze: Glaze, painting: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    before = files_in(painting.parent)
    done = glaze("protect", painting, *arguments)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert files_in(painting.parent) == before


def test_pairs_that_differ_in_size_cannot_be_measured(glaze: Glaze, painting: Path, meadow: Image.Image) -> None:
    meadow.resize((80, 96)).save(painting.with_name("other.png"))
    done = glaze("measure", painting, "other.png")
    assert done.returncode == 2
    assert "differ in size: 96×80 px and 80×96 px" in done.stderr


def test_an_unreadable_source_is_a_sentence(glaze: Glaze, tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    done = glaze("protect", "folder.png")
    assert done.returncode == 2
    assert "is a folder" in done.stderr


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 kB of this test's own; only root can mount one."""
    if os.getuid() != 0:
        pytest.skip("mounting a small file system needs root")
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_leaves_nothing_half_written(glaze: Glaze, painting: Path, mounted: Path) -> None:
    (mounted / "filler").write_bytes(bytes(248 << 10))
    done = glaze("protect", painting, "-o", mounted / "out.png", *QUICK)
    assert done.returncode == 2
    assert "out.png cannot be written: No space left on device." in done.stderr
    assert files_in(mounted) == {"filler"}


def test_a_folder_that_cannot_be_written_is_said_before_the_work(glaze: Glaze, painting: Path, mounted: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(mounted)], check=True)
    done = glaze("protect", painting, "-o", mounted / "out.png", "--quality", "thorough", "--json")
    assert done.returncode == 2
    assert "out.png cannot be written: Read-only file system." in done.stderr
    done = glaze("protect", painting, "-o", mounted / "new" / "x", painting, "--json")
    assert done.returncode == 2


# ---- the daemon and its jobs -------------------------------------------------------------------


def test_ctrl_c_cancels_the_job_and_writes_nothing(glaze: Glaze, painting: Path, meadow: Image.Image) -> None:
    ImageOps.contain(meadow, (256, 256)).save(painting)
    glaze("daemon", "start")
    command = [sys.executable, "-m", "glaze_plugin.cli", "protect", painting.name, "--quality", "thorough"]
    process = subprocess.Popen(command, cwd=painting.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not any(job["state"] == "running" for job in json.loads(glaze("jobs", "--json").stdout)):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Cancelled; nothing was written." in errors
    assert files_in(painting.parent) == {"painting.png"}
    assert not [job for job in json.loads(glaze("jobs", "--json").stdout) if job["state"] in ("running", "waiting")]


def test_a_job_can_be_cancelled_from_another_shell(glaze: Glaze, painting: Path) -> None:
    command = [sys.executable, "-m", "glaze_plugin.cli", "protect", painting.name, "--quality", "thorough", "--json"]
    process = subprocess.Popen(command, cwd=painting.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    running: list[str] = []
    deadline = time.monotonic() + 60
    while not running:
        assert time.monotonic() < deadline
        running = [job["job"] for job in json.loads(glaze("jobs", "--json").stdout) if job["state"] == "running"]
    assert "painting.png" in glaze("jobs").stdout
    done = glaze("cancel", running[0][:8])
    assert done.returncode == 0, done.stderr
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert json.loads(output)["error"]["code"] == "cancelled"
    assert files_in(painting.parent) == {"painting.png"}


def test_cancelling_what_is_not_there_is_bad_input(glaze: Glaze) -> None:
    glaze("daemon", "start")
    done = glaze("cancel", "ffffffffffff")
    assert done.returncode == 2
    assert done.stderr == "No job has an id that starts with 'ffffffffffff'.\n"


def test_status_tells_what_the_daemon_can_do(glaze: Glaze) -> None:
    glaze("daemon", "start")
    status = json.loads(glaze("daemon", "status", "--json").stdout)
    assert status["running"] is True
    assert status["worker"] in ("starting", "ready")
    assert Path(status["log"]).exists()
    assert "worker" in glaze("daemon", "status").stdout


def test_the_daemon_starts_and_stops_on_request(glaze: Glaze, tmp_path: Path) -> None:
    environment = {**os.environ, "GLAZE_HOME": str(tmp_path / "own")}
    assert glaze("daemon", "status", env=environment).returncode == 3
    assert json.loads(glaze("daemon", "status", "--json", env=environment).stdout) == {"running": False}
    assert glaze("daemon", "start", env=environment).returncode == 0
    assert glaze("daemon", "status", env=environment).returncode == 0
    assert "has stopped" in glaze("daemon", "stop", env=environment).stdout
    assert glaze("daemon", "status", env=environment).returncode == 3
    assert "No Glaze daemon is running" in glaze("daemon", "stop", env=environment).stdout


def test_no_daemon_to_be_had_is_exit_3(glaze: Glaze, painting: Path) -> None:
    blocked = painting.with_name("blocked")
    blocked.write_text("")
    done = glaze("protect", painting, *QUICK, env={**os.environ, "GLAZE_HOME": str(blocked / "home")})
    assert done.returncode == 3
    assert "cannot create its folder" in done.stderr
    assert "Traceback" not in done.stderr
    assert files_in(painting.parent) == {"painting.png", "blocked"}


def test_help_and_version_need_no_daemon(glaze: Glaze, tmp_path: Path) -> None:
    environment = {**os.environ, "GLAZE_HOME": str(tmp_path / "own")}
    for arguments in (("--help",), ("protect", "--help"), ("--version",)):
        assert glaze(*arguments, env=environment).returncode == 0
    assert not (tmp_path / "own").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
@pytest.mark.parametrize("arguments", [("--version",), ("models", "list", "--json"), ("models", "list")])
def test_an_output_that_cannot_be_written_is_a_sentence(arguments: tuple[str, ...], tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "glaze_plugin.cli", *arguments]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "What Glaze says cannot be written: No space left on device.\n")
