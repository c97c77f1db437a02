"""`glaze install gimp`. That the real GIMP loads what it writes: tests/gimp."""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from glaze_plugin import __version__
from glaze_plugin.install import common, gimp
from glaze_plugin.install.gimp import HOST, PROGRAM, Gimp, addon, gimps
from tests.conftest import ROOT, Glaze
from tests.install.conftest import files_in, running, write

MINE = "mine/mine.py"
FLATPAK = ".var/app/org.gimp.GIMP/config/GIMP"
SNAP = "snap/gimp/current/.config/GIMP"


@pytest.fixture
def installed(artist: Path) -> Gimp:
    """The system's GIMP 3.0, started once, with a plug-in of the artist's own."""
    plugins = artist / ".config/GIMP/3.0/plug-ins"
    write(plugins / MINE, b"mine")
    return Gimp("GIMP 3.0", plugins)


def started(artist: Path, settings: str, *numbers: str) -> None:
    """GIMPs that have been started once."""
    for number in numbers:
        write(artist / settings / number / "gimprc", b"")


# ---- what there is and where ---------------------------------------------------------------------


def test_the_addon_carries_the_light_client_and_no_command_line() -> None:
    files = addon()
    ours = {path.relative_to(ROOT / "gimp_addon").as_posix() for path in (ROOT / "gimp_addon/glaze_gimp").rglob("*.py")}
    carried = {f"{Gimp.CARRIED}/{path.name}" for path in (ROOT / "glaze_plugin").glob("*.py")}
    assert PROGRAM in ours
    assert {name for name in files if name.endswith(".py")} == ours | carried
    for name, content in files.items():
        if name.endswith(".py"):
            ast.parse(content, name, feature_version=common.OLDEST_PYTHON)


@pytest.mark.parametrize(
    ("system", "settings", "kind"),
    [
        ("linux", ".config/GIMP", ""),
        ("linux", FLATPAK, " (Flatpak)"),
        ("linux", SNAP, " (Snap)"),
        ("win32", "AppData/Roaming/GIMP", ""),
        ("darwin", "Library/Application Support/GIMP", ""),
    ],
)
def test_each_system_has_its_folders(
    system: str, settings: str, kind: str, artist: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", system)
    started(artist, settings, "3.2", "3.0", "2.10", "3.10", "2.99")
    write(artist / settings / "3.0.bak" / "gimprc", b"")
    folders = {number: artist / settings / number / "plug-ins" for number in ("3.0", "3.2", "3.10")}
    expected = [Gimp(f"GIMP {number}{kind}", folder, sandboxed="Flatpak" in kind) for number, folder in folders.items()]
    assert gimps() == expected
    for one in gimps():
        one.put(addon())
        assert files_in(one.folder) == addon()
    assert files_in(artist / settings / "2.10") == {"gimprc": b""}


def test_folders_that_the_environment_names(artist: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(artist / "config"))
    started(artist, "config/GIMP", "3.0")
    assert gimps() == [Gimp("GIMP 3.0", artist / "config/GIMP/3.0/plug-ins")]
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("APPDATA", str(artist / "roaming"))
    started(artist, "roaming/GIMP", "3.2")
    assert gimps() == [Gimp("GIMP 3.2", artist / "roaming/GIMP/3.2/plug-ins")]


def test_a_flatpak_that_shares_the_usual_folder_is_no_second_gimp(artist: Path) -> None:
    started(artist, ".config/GIMP", "3.0")
    link = artist / FLATPAK
    link.parent.mkdir(parents=True)
    link.symlink_to(artist / ".config/GIMP")
    assert [one.name for one in gimps()] == ["GIMP 3.0"]


def test_where_there_is_no_gimp_3(artist: Path, glaze: Glaze) -> None:
    """No folder of settings is made: GIMP would then not take over the settings of the version before."""
    for options in ([], ["--check"], ["--uninstall"]):
        done = glaze("install", "gimp", *options)
        assert done.returncode == 2
        assert done.stderr == "No GIMP 3 was found on this computer. Start GIMP 3 once and try this again.\n"
    assert not (artist / ".config").exists()
    started(artist, ".config/GIMP", "2.10")
    done = glaze("install", "gimp")
    assert done.returncode == 2
    assert done.stderr.startswith("Only a GIMP older than 3.0 was found on this computer. ")
    assert files_in(artist / ".config") == {"GIMP/2.10/gimprc": b""}


# ---- putting and taking --------------------------------------------------------------------------


def test_installing_twice_and_removing_twice(installed: Gimp, glaze: Glaze) -> None:
    for _ in range(2):
        done = glaze("install", "gimp")
        assert done.returncode == 0, done.stderr
        assert f"GIMP 3.0: Glaze {__version__} is installed in {installed.folder}." in done.stdout
        assert files_in(installed.folder) == {MINE: b"mine", **addon()}
        executable = {name for name in addon() if os.access(installed.folder / name, os.X_OK)}
        assert executable == {PROGRAM}
    checked = glaze("install", "gimp", "--check")
    assert (checked.returncode, checked.stderr) == (0, "")
    assert checked.stdout == f"GIMP 3.0: Glaze {__version__} is installed and switched on; GIMP will load it.\n"
    for said in ("GIMP 3.0: Glaze is removed.", "GIMP 3.0: there was no Glaze."):
        done = glaze("install", "gimp", "--uninstall")
        assert done.returncode == 0, done.stderr
        assert said in done.stdout
        assert files_in(installed.folder) == {MINE: b"mine"}
        assert [path.name for path in installed.folder.iterdir()] == ["mine"]


def an_older_version(one: Gimp) -> None:
    write(one.folder / "glaze_gimp/old_module.py", b"")
    write(one.folder / "glaze_gimp/__pycache__/old.pyc", b"")
    write(one.folder / Gimp.CARRIED / "__init__.py", b'__version__ = "0.0.1"\n')


def a_link(one: Gimp) -> None:
    write(one.folder / "elsewhere/x.py", b"of somebody else")
    (one.folder / "glaze_gimp").symlink_to(one.folder / "elsewhere")


def an_installation_that_was_killed(one: Gimp) -> None:
    write(one.folder / ".glaze_gimp.new/half.py", b"")
    write(one.folder / ".glaze_gimp.old/x.py", b"")


@pytest.mark.parametrize("state", [an_older_version, a_link, an_installation_that_was_killed])
@pytest.mark.parametrize("install_first", [True, False])
def test_whatever_is_in_the_way_is_replaced_whole(
    state: Callable[[Gimp], None], install_first: bool, installed: Gimp
) -> None:
    state(installed)
    others = {MINE: b"mine"} | ({"elsewhere/x.py": b"of somebody else"} if state is a_link else {})
    if install_first:
        installed.put(addon())
        assert files_in(installed.folder) == {**others, **addon()}
    assert installed.take_away()
    assert files_in(installed.folder) == others
    assert not installed.take_away()


def test_what_cannot_be_written_leaves_the_others_alone(installed: Gimp, artist: Path, glaze: Glaze) -> None:
    write(artist / ".config/GIMP/3.2/plug-ins", b"a file where a folder belongs")
    done = glaze("install", "gimp")
    assert done.returncode == 2
    assert done.stderr.startswith(f"GIMP 3.2: {artist / '.config/GIMP/3.2/plug-ins'}")
    assert "cannot be written: " in done.stderr
    assert files_in(installed.folder) == {MINE: b"mine", **addon()}


# ---- looking -------------------------------------------------------------------------------------


def change(name: str, content: bytes) -> Callable[[Gimp], object]:
    return lambda one: (one.folder / name).write_bytes(content)


def renamed(one: Gimp) -> None:
    (one.folder / "glaze_gimp").rename(one.folder / "glaze-main")


def a_folder_too_deep(one: Gimp) -> None:
    one.take_away()
    write(one.folder / "gimp_addon" / PROGRAM, b"")


def loose(one: Gimp) -> None:
    one.take_away()
    write(one.folder / "glaze_gimp.py", b"")


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (Gimp.take_away, "The add-on is not installed."),
        (lambda one: (one.folder / PROGRAM).chmod(0o644), "glaze_gimp.py may not be executed, so GIMP passes it over."),
        (lambda one: (one.folder / PROGRAM).unlink(), f"are missing or changed: {PROGRAM} for one."),
        (renamed, "glaze-main/glaze_gimp.py: the file has to be "),
        (a_folder_too_deep, f"gimp_addon/{PROGRAM}: the file has to be "),
        (loose, "plug-ins/glaze_gimp.py: the file has to be "),
        (
            change(f"{Gimp.CARRIED}/__init__.py", b'__version__ = "0.0.1"\n'),
            f"of version 0.0.1; this is {__version__}.",
        ),
        (change(PROGRAM, b"def"), f"{PROGRAM} is no Python."),
    ],
)
def test_what_keeps_gimp_from_loading_it(harm: Callable[[Gimp], object], said: str, installed: Gimp) -> None:
    installed.put(addon())
    harm(installed)
    before = files_in(installed.folder)
    assert said in " ".join(installed.faults(addon()))
    assert files_in(installed.folder) == before
    installed.put(addon())
    assert installed.faults(addon()) == []


def test_check_changes_nothing_and_says_what_to_do(installed: Gimp, glaze: Glaze, artist: Path) -> None:
    before = files_in(artist)
    done = glaze("install", "gimp", "--check")
    assert done.returncode == 1
    assert "GIMP 3.0: The add-on is not installed. `glaze install gimp` mends that.\n" in done.stdout
    assert files_in(artist) == before


def a_program(path: Path, script: str) -> None:
    write(path, f"#!/bin/sh\n{script}\n".encode())
    path.chmod(0o755)


@pytest.fixture
def own_gimp(artist: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A GIMP 3 that takes the PATH's Python; the folder of its programs."""
    programs = artist / "usr/bin"
    a_program(programs / "gimp", "exit 1")
    (artist / "usr/lib/gimp/3.0").mkdir(parents=True)
    monkeypatch.setenv("PATH", f"{artist / 'first'}:{programs}:/usr/bin:/bin")
    return programs


def test_a_python_that_cannot_use_gimp(own_gimp: Path, installed: Gimp, artist: Path, glaze: Glaze) -> None:
    """pyenv's or conda's, which comes first on the PATH: GIMP then shows no plug-in written in Python at all."""
    python = artist / "first/python3"
    a_program(python, f'exec {sys.executable} -S "$@"')  # without the site's packages, and so without gi
    assert f"The first python3 on the PATH, {python}, cannot use GIMP (ModuleNotFoundError: " in gimp.python_fault()
    done = glaze("install", "gimp")
    assert done.returncode == 0
    assert f"GIMP 3.0: The first python3 on the PATH, {python}, cannot use GIMP" in done.stdout
    done = glaze("install", "gimp", "--check")
    assert done.returncode == 1
    assert "GIMP will load it" not in done.stdout
    assert "mends that" not in done.stdout
    for script, why in (("kill -9 $$", "exit code -9"), ("exit 3", "exit code 3")):
        a_program(python, script)
        assert f"({why})" in gimp.python_fault()
    write(python, b"no program")
    assert "Exec format error" in gimp.python_fault()


def test_a_python_that_can_use_gimp(
    own_gimp: Path, installed: Gimp, artist: Path, glaze: Glaze, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = artist / "asked"
    a_program(artist / "first/python3", f'[ "$2" = "{gimp.ASK_PYTHON}" ] && touch "{asked}"')
    assert gimp.python_fault() == ""
    assert asked.exists()
    glaze("install", "gimp")
    assert glaze("install", "gimp", "--check").returncode == 0
    monkeypatch.setenv("PATH", f"{own_gimp}")
    assert gimp.python_fault() == "There is no python3 on the PATH, by which GIMP runs its plug-ins."


def test_the_path_of_glazes_own_python_is_not_gimps(
    own_gimp: Path, artist: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shell in which Glaze's own environment is active."""
    a_program(artist / "first/python3", "exit 0")
    monkeypatch.setattr(sys, "prefix", str(artist / "venv"))
    a_program(artist / "venv/bin/python3", "exit 1")
    monkeypatch.setenv("PATH", f"{artist / 'venv/bin'}:{os.environ['PATH']}")
    assert gimp.python_fault() == ""


@pytest.mark.parametrize("system", ["linux", "win32", "darwin"])
def test_gimps_that_bring_their_python_are_not_judged_by_the_path(
    system: str, own_gimp: Path, artist: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_program(artist / "first/python3", "exit 1")
    assert gimp.python_fault()
    assert Gimp("GIMP 3.0 (Flatpak)", artist, sandboxed=True).obstacle() == ""
    monkeypatch.setattr(sys, "platform", system)
    if system == "linux":  # an AppImage beside a GIMP 2.10
        (artist / "usr/lib/gimp/3.0").rmdir()
    assert gimp.python_fault() == ""


@pytest.mark.parametrize("sign", [".local/share/flatpak/app/org.gimp.GIMP/current", f"{FLATPAK}/3.0/gimprc"])
def test_a_sandbox_that_hides_the_daemon(sign: str, installed: Gimp, artist: Path, glaze: Glaze) -> None:
    assert "Flatpak" not in glaze("install", "gimp").stdout
    write(artist / sign, b"")
    wanted = "flatpak override --user --filesystem=xdg-run/glaze:create org.gimp.GIMP"
    assert wanted in glaze("install", "gimp").stdout
    write(artist / ".local/share/flatpak/overrides/org.gimp.GIMP", b"[Context]\nfilesystems=xdg-run/glaze:create;\n")
    assert not HOST.is_shut_in()
    assert wanted not in glaze("install", "gimp", "--check").stdout


@pytest.mark.parametrize("name", ["gimp", "gimp-3.0", "gimp-console-3.2"])
def test_a_gimp_that_runs_is_noticed(name: str, artist: Path) -> None:
    with running(artist / name):
        assert HOST.runs()


def test_the_doctor_looks_at_it_too(installed: Gimp, glaze: Glaze) -> None:
    assert "GIMP 3.0: The add-on is not installed." in glaze("doctor").stdout
    installed.put(addon())
    assert "GIMP 3.0: it will load Glaze." in glaze("doctor").stdout
