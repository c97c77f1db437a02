"""`glaze install krita`. That the real Krita loads what it writes: tests/krita."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from glaze_plugin import __version__
from glaze_plugin.cli import install as command
from glaze_plugin.errors import BadInput
from glaze_plugin.install import common, gimp
from glaze_plugin.install.krita import ACTION, DESKTOP, HOST, MODULE, Krita, addon, is_on, kritas, switched
from tests.conftest import ROOT, Glaze
from tests.install.conftest import files_in, running, write
from tools.krita_zip import pack

IMPORTER = Path("/usr/share/krita/pykrita/plugin_importer/plugin_importer.py")
MINE = "pykrita/mine/__init__.py"


@pytest.fixture
def krita(artist: Path) -> Krita:
    """The system's Krita, with an add-on and a setting of the artist's own."""
    resources, settings = artist / ".local/share/krita", artist / ".config/kritarc"
    write(resources / MINE, b"mine")
    write(settings, b"[theme]\nTheme=Krita dark\n\n[python]\nenable_mine=true\n")
    return Krita("Krita", resources, settings)


# ---- what there is and where ---------------------------------------------------------------------


def test_the_addon_carries_the_light_client_and_no_command_line() -> None:
    files = addon()
    assert {DESKTOP, ACTION, f"{MODULE}/__init__.py", f"{MODULE}/Manual.html"} <= {*files}
    carried = {name.rpartition("/")[2] for name in files if name.startswith(f"{Krita.CARRIED}/")}
    assert carried == {path.name for path in (ROOT / "glaze_plugin").glob("*.py")}
    for name, content in files.items():
        if name.endswith(".py"):
            ast.parse(content, name, feature_version=common.OLDEST_PYTHON)


SYSTEMS = {
    "linux": ("Krita", ".local/share/krita", ".config/kritarc"),
    "linux flatpak": ("Krita (Flatpak)", ".var/app/org.kde.krita/data/krita", ".var/app/org.kde.krita/config/kritarc"),
    "win32": ("Krita", "AppData/Roaming/krita", "AppData/Local/kritarc"),
    "win32 store": (
        "Krita (Microsoft Store)",
        "AppData/Local/Packages/49800Krita_x1/LocalCache/Roaming/krita",
        "AppData/Local/Packages/49800Krita_x1/LocalCache/Local/kritarc",
    ),
    "darwin": ("Krita", "Library/Application Support/krita", "Library/Preferences/kritarc"),
}


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("sign", ["resources", "settings"])
def test_each_system_has_its_folders(system: str, sign: str, artist: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name, resources, settings = SYSTEMS[system]
    monkeypatch.setattr(sys, "platform", system.split()[0])
    if sign == "resources":
        (artist / resources).mkdir(parents=True)
    else:
        write(artist / settings, b"")
    assert kritas() == [Krita(name, artist / resources, artist / settings, sandboxed="flatpak" in system)]
    kritas()[0].put(addon())
    assert files_in(artist / resources) == addon()
    assert is_on((artist / settings).read_bytes())


@pytest.mark.parametrize(
    "program", ["bin/krita", "flatpaks/app/org.kde.krita/current", ".local/share/flatpak/app/org.kde.krita/current"]
)
def test_a_krita_that_was_never_started_is_found_by_its_program(program: str, artist: Path) -> None:
    write(artist / program, b"")
    (artist / program).chmod(0o755)
    assert [krita.name for krita in kritas()] == ["Krita" if program == "bin/krita" else "Krita (Flatpak)"]


def test_folders_that_the_environment_names(artist: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(artist / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(artist / "config"))
    write(artist / "config/kritarc", b"")
    assert kritas() == [Krita("Krita", artist / "data/krita", artist / "config/kritarc")]


def test_the_resource_folder_that_the_artist_has_chosen(krita: Krita, artist: Path) -> None:
    chosen = artist / "my resources"
    krita.settings.write_bytes(
        b"ResourceDirectory=" + os.fsencode(chosen) + b"\r\n[python]\r\nResourceDirectory=/no\r\n"
    )
    (found,) = kritas()
    assert found.folder == chosen
    found.put(addon())
    assert files_in(chosen) == addon()


def test_a_krita_that_runs_is_noticed(artist: Path) -> None:
    with running(artist / "krita"):
        assert HOST.runs()
    others = subprocess.run(["/usr/bin/pgrep", "-x", "-u", str(os.getuid()), "krita"], check=False, capture_output=True)
    assert HOST.runs() == (others.returncode == 0)


# ---- Krita's settings ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"", b"[python]\nenable_glaze_krita=true\n"),
        (b"a=1\n", b"a=1\n\n[python]\nenable_glaze_krita=true\n"),
        (b"a=1", b"a=1\n\n[python]\nenable_glaze_krita=true\n"),
        (b"[python]", b"[python]\nenable_glaze_krita=true\n"),
        (b"[python]\nenable_x=true\n[b]\n", b"[python]\nenable_glaze_krita=true\nenable_x=true\n[b]\n"),
        (b"[python]\r\nenable_x=true\r\n", b"[python]\r\nenable_glaze_krita=true\r\nenable_x=true\r\n"),
        (b"[python]\nenable_glaze_krita=false\nz=\xff\n", b"[python]\nenable_glaze_krita=true\nz=\xff\n"),
        (b"[python]\n enable_glaze_krita = no\r\n", b"[python]\nenable_glaze_krita=true\r\n"),
        (b"[python]\nenable_glaze_krita=1\n", b"[python]\nenable_glaze_krita=1\n"),
        (b"[python][x]\nenable_glaze_krita=true\n", None),
        (b"[x]\nenable_glaze_krita=true\n", None),
        (b"[python]\nenable_glaze_krita2=true\n", b"[python]\nenable_glaze_krita=true\nenable_glaze_krita2=true\n"),
    ],
)
def test_the_switch_in_kritarc(before: bytes, after: bytes | None) -> None:
    expected = before + b"\n[python]\nenable_glaze_krita=true\n" if after is None else after
    assert switched(before, True) == expected
    assert is_on(expected)
    off = switched(expected, False)
    assert not is_on(off)
    assert switched(off, True).replace(b"=1\n", b"=true\n") == expected.replace(b"=1\n", b"=true\n")


SWITCHES = [b"[python]", b"[python][sub]", b"[theme]", b"enable_glaze_krita=true", b"enable_glaze_krita=false"]
LINES = some.sampled_from([*SWITCHES, b"x=[python]", b"enable_mine=true", b"", b"# \xe4", b" \t", b"\xff\x00=1"])


@given(some.lists(LINES), some.sampled_from([b"\n", b"\r\n"]), some.booleans(), some.booleans())
def test_no_other_line_of_kritarc_changes(lines: list[bytes], end: bytes, last: bool, on: bool) -> None:
    def others(content: bytes) -> list[bytes]:
        kept = [line.strip() for line in content.split(b"\n")]
        return [line for line in kept if line and not line.startswith(b"enable_glaze_krita=") and line != b"[python]"]

    before = end.join(lines) + (end if last else b"")
    after = switched(before, on)
    assert is_on(after) == on
    assert switched(after, on) == after
    assert others(after) == others(before)
    assert after.count(b"[python]") - before.count(b"[python]") in (0, 1)


def test_settings_that_are_kept_elsewhere_stay_a_link(krita: Krita, artist: Path) -> None:
    elsewhere = artist / "dotfiles" / "kritarc"
    write(elsewhere, krita.settings.read_bytes())
    elsewhere.chmod(0o640)
    krita.settings.unlink()
    krita.settings.symlink_to(elsewhere)
    krita.put(addon())
    assert krita.settings.is_symlink()
    assert is_on(elsewhere.read_bytes())
    assert elsewhere.stat().st_mode & 0o777 == 0o640
    assert list(files_in(elsewhere.parent)) == ["kritarc"]


# ---- putting and taking --------------------------------------------------------------------------


def test_installing_twice_and_removing_twice(krita: Krita, glaze: Glaze) -> None:
    settings = krita.settings.read_bytes()
    for _ in range(2):
        done = glaze("install", "krita")
        assert done.returncode == 0, done.stderr
        assert f"Krita: Glaze {__version__} is installed in {krita.folder}." in done.stdout
        assert files_in(krita.folder) == {MINE: b"mine", **addon()}
        assert krita.settings.read_bytes() == settings.replace(b"[python]\n", b"[python]\nenable_glaze_krita=true\n")
    checked = glaze("install", "krita", "--check")
    assert (checked.returncode, checked.stderr) == (0, "")
    assert checked.stdout == f"Krita: Glaze {__version__} is installed and switched on; Krita will load it.\n"
    for said in ("Krita: Glaze is removed.", "Krita: there was no Glaze."):
        done = glaze("install", "krita", "--uninstall")
        assert done.returncode == 0, done.stderr
        assert said in done.stdout
        assert files_in(krita.folder) == {MINE: b"mine"}
        assert not list(krita.folder.rglob("*glaze*"))
        assert krita.settings.read_bytes() == settings.replace(b"[python]\n", b"[python]\nenable_glaze_krita=false\n")


def test_krita_is_told_how_the_daemon_is_started(krita: Krita, glaze: Glaze, artist: Path) -> None:
    assert "`glaze install krita` tells it" in glaze("install", "krita", "--check").stdout
    glaze("install", "krita")
    told = json.loads((artist / "glaze/state/launch.json").read_text())
    assert told == {"command": [sys.executable, "-P", "-m", "glaze_server"]}


def a_link(krita: Krita) -> None:
    write(krita.folder / "elsewhere/__init__.py", b"of somebody else")
    (krita.folder / "pykrita/glaze_krita").symlink_to(krita.folder / "elsewhere")
    (krita.folder / DESKTOP).symlink_to(krita.folder / "nowhere")


def folders_for_files(krita: Krita) -> None:
    write(krita.folder / DESKTOP / "x", b"")
    write(krita.folder / ACTION / "x", b"")
    write(krita.folder / MODULE, b"")


def an_older_version(krita: Krita) -> None:
    write(krita.folder / MODULE / "old_module.py", b"")
    write(krita.folder / MODULE / "__pycache__/old.pyc", b"")
    write(krita.folder / Krita.CARRIED / "__init__.py", b'__version__ = "0.0.1"\n')


def an_installation_that_was_killed(krita: Krita) -> None:
    write(krita.folder / "pykrita/.glaze_krita.new/half.py", b"")
    write(krita.folder / "pykrita/.glaze_krita.old/x.py", b"")
    write(krita.folder / "actions/.glaze_krita.action.new", b"")


@pytest.mark.parametrize("state", [a_link, folders_for_files, an_older_version, an_installation_that_was_killed])
@pytest.mark.parametrize("install_first", [True, False])
def test_whatever_is_in_the_way_is_replaced_whole(
    state: Callable[[Krita], None], install_first: bool, krita: Krita
) -> None:
    state(krita)
    others = {MINE: b"mine"} | ({"elsewhere/__init__.py": b"of somebody else"} if state is a_link else {})
    if install_first:
        krita.put(addon())
        assert files_in(krita.folder) == {**others, **addon()}
        assert not (krita.folder / MODULE).is_symlink()
    assert krita.take_away()
    assert files_in(krita.folder) == others
    assert not krita.take_away()


def test_what_cannot_be_written_leaves_the_older_version_as_it_was(krita: Krita, glaze: Glaze) -> None:
    an_older_version(krita)
    write(krita.folder / "actions", b"a file where a folder belongs")
    before, settings = files_in(krita.folder), krita.settings.read_bytes()
    done = glaze("install", "krita")
    assert done.returncode == 2
    assert done.stderr == f"Krita: {krita.folder / 'actions'} cannot be written: File exists.\n"
    assert files_in(krita.folder) == before
    assert krita.settings.read_bytes() == settings


def test_a_read_only_folder(artist: Path, glaze: Glaze, monkeypatch: pytest.MonkeyPatch) -> None:
    write(artist / ".config/kritarc", b"")
    monkeypatch.setenv("XDG_DATA_HOME", "/proc/self")  # nobody may make folders there, not even root
    done = glaze("install", "krita")
    assert done.returncode == 2
    assert done.stderr.startswith("Krita: /proc/")
    assert "cannot be written: " in done.stderr
    assert files_in(artist / ".config") == {"kritarc": b""}


def test_settings_that_cannot_be_written_are_said_before_anything_changes(krita: Krita) -> None:
    beside = krita.settings.with_name(".kritarc.new")
    write(beside / "in the way", b"")
    with pytest.raises(BadInput, match="cannot be written: Is a directory"):
        krita.put(addon())
    assert files_in(krita.folder) == {MINE: b"mine"}


def test_one_kritas_trouble_keeps_no_other_from_its_addon(krita: Krita, artist: Path, glaze: Glaze) -> None:
    flatpak = artist / ".var/app/org.kde.krita/data/krita"
    flatpak.mkdir(parents=True)
    write(krita.folder / "actions", b"")
    assert glaze("install", "krita").returncode == 2
    assert files_in(flatpak) == addon()


def test_settings_that_cannot_be_read_keep_no_other_krita_from_its_addon(
    krita: Krita, artist: Path, glaze: Glaze
) -> None:
    flatpak = artist / ".var/app/org.kde.krita/data/krita"
    flatpak.mkdir(parents=True)
    krita.put(addon())
    krita.settings.unlink()
    krita.settings.mkdir()
    said = f"Krita: {krita.settings} cannot be read: Is a directory."
    done = glaze("install", "krita")
    assert (done.returncode, done.stderr) == (2, f"{said}\n")
    assert files_in(flatpak) == addon()
    done = glaze("doctor")
    assert done.returncode == 1
    assert f"problem krita     {said}\n" in done.stdout
    assert "Krita (Flatpak): it will load Glaze." in done.stdout


# ---- looking -------------------------------------------------------------------------------------


def change(name: str, content: bytes) -> Callable[[Krita], object]:
    return lambda krita: (krita.folder / name).write_bytes(content)


def remove(name: str) -> Callable[[Krita], object]:
    return lambda krita: (krita.folder / name).unlink()


VERSION = f"{Krita.CARRIED}/__init__.py"
OF_ELSE = b"[Desktop Entry]\nName=x\nServiceTypes=Krita/PythonPlugin\nX-KDE-Library=else\n"


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (Krita.take_away, "The add-on is not installed."),
        (remove("pykrita/glaze_krita/__init__.py"), "are missing or changed: pykrita/glaze_krita/__init__.py for one."),
        (remove(ACTION), "1 of its files are missing or changed: actions/glaze_krita.action for one."),
        (change(VERSION, b'__version__ = "0.0.1"\n'), f"It is of version 0.0.1; this is {__version__}."),
        (remove(VERSION), f"It is of version unknown; this is {__version__}."),
        (change(DESKTOP, b"\xff"), "pykrita/glaze_krita.desktop cannot be understood."),
        (change(DESKTOP, b"[Desktop Entry]\n"), "pykrita/glaze_krita.desktop cannot be understood."),
        (change(DESKTOP, OF_ELSE), "pykrita/glaze_krita.desktop is of something else."),
        (change("pykrita/glaze_krita/qt.py", b"def"), "pykrita/glaze_krita/qt.py is no Python."),
        (change("pykrita/glaze_krita/new.py", b"try: pass\nexcept* OSError: pass"), "new.py is no Python."),
        (change("pykrita/glaze_krita/nul.py", b"\x00"), "nul.py is no Python."),
        (lambda krita: krita.settings.unlink(), "It is switched off in Krita's settings."),
    ],
)
def test_what_keeps_krita_from_loading_it(harm: Callable[[Krita], object], said: str, krita: Krita) -> None:
    krita.put(addon())
    harm(krita)
    before = files_in(krita.folder)
    assert said in " ".join(krita.faults(addon()))
    assert files_in(krita.folder) == before
    krita.put(addon())
    assert krita.faults(addon()) == []


def test_check_changes_nothing_and_says_what_to_do(krita: Krita, glaze: Glaze, artist: Path) -> None:
    before = files_in(artist)
    done = glaze("install", "krita", "--check")
    assert done.returncode == 1
    assert "Krita: The add-on is not installed. `glaze install krita` mends that.\n" in done.stdout
    assert files_in(artist) == before


def test_where_the_daemon_is_missing(
    krita: Krita, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command line alone, as `pip install 'glaze-plugin[cli]'` brings it."""
    monkeypatch.setitem(sys.modules, "glaze_server", None)
    assert command.install(HOST, check=False, uninstall=False) == 0
    assert "The Glaze daemon is not installed on this computer." in capsys.readouterr().out
    assert command.install(HOST, check=True, uninstall=False) == 0


def test_where_there_is_no_krita(glaze: Glaze) -> None:
    for options in ([], ["--check"], ["--uninstall"]):
        done = glaze("install", "krita", *options)
        assert done.returncode == 2
        assert done.stderr == "No Krita was found on this computer. Start Krita once and try this again.\n"


def test_options_that_exclude_each_other(krita: Krita, glaze: Glaze) -> None:
    assert glaze("install", "krita", "--check", "--uninstall").returncode == 2
    assert files_in(krita.folder) == {MINE: b"mine"}


@pytest.mark.parametrize("rules", [".local/share/flatpak/overrides/org.kde.krita", "flatpaks/overrides/global"])
def test_a_sandbox_that_hides_the_daemon(rules: str, artist: Path, glaze: Glaze) -> None:
    (artist / ".var/app/org.kde.krita/data/krita").mkdir(parents=True)
    done = glaze("install", "krita")
    assert done.returncode == 0
    assert "flatpak override --user --filesystem=xdg-run/glaze:create org.kde.krita" in done.stdout
    write(artist / rules, b"[Context]\nfilesystems=!xdg-run/glaze;xdg-run/glazed;\n")
    assert HOST.is_shut_in()
    write(artist / rules, b"[Context]\nfilesystems=home;xdg-run/glaze:create;\n")
    assert not HOST.is_shut_in()


# ---- the zip and the distribution ----------------------------------------------------------------


def test_the_zip_unpacks_to_what_install_writes(krita: Krita, tmp_path: Path) -> None:
    archive = tmp_path / "glaze.zip"
    pack(addon(), archive)
    with zipfile.ZipFile(archive) as packed:
        assert packed.testzip() is None
        content = {info.filename: packed.read(info) for info in packed.infolist() if not info.is_dir()}
        folders = {info.filename for info in packed.infolist() if info.is_dir()}
    assert content == {name.split("/", 1)[1]: data for name, data in addon().items()}
    assert folders == {"glaze_krita/", "glaze_krita/lib/", "glaze_krita/lib/glaze_plugin/"}
    first = archive.read_bytes()
    pack(addon(), archive)
    assert archive.read_bytes() == first


def test_kritas_own_importer_takes_the_zip(krita: Krita, tmp_path: Path) -> None:
    if not IMPORTER.exists():
        pytest.skip("Krita is not installed")
    pack(addon(), tmp_path / "glaze.zip")
    spec = importlib.util.spec_from_file_location("plugin_importer", IMPORTER)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    importer = module.PluginImporter(str(tmp_path / "glaze.zip"), str(krita.folder), lambda _: True)
    (imported,) = importer.import_all()
    assert imported["ui_name"] == "Glaze"
    assert files_in(krita.folder) == {MINE: b"mine", **addon()}


def test_an_installed_distribution_carries_the_addons(tmp_path: Path) -> None:
    pytest.importorskip("setuptools", minversion="77")
    source, site = tmp_path / "source", tmp_path / "site"
    for name in ("glaze_plugin", "server", "krita_addon", "gimp_addon"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "*.safetensors"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-index", "--no-deps"]
    subprocess.run([*pip, "--no-build-isolation", "--target", site, source], check=True)
    code = "from glaze_plugin.install import gimp, krita; print(gimp.__file__, krita.addon(), gimp.addon(), sep='\\n')"
    run = [sys.executable, "-S", "-c", code]
    done = subprocess.run(run, cwd=site, check=True, capture_output=True, text=True)
    where, of_krita, of_gimp = done.stdout.splitlines()
    assert Path(where).is_relative_to(site)
    assert ast.literal_eval(of_krita) == addon()
    assert ast.literal_eval(of_gimp) == gimp.addon()
