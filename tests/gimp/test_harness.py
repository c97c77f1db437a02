"""The harness itself, with toy plug-ins in place of the add-on where one is needed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from glaze_plugin import lock
from glaze_plugin.client import Client
from tests.conftest import ROOT
from tests.gimp.conftest import StartGimp, pytest_runtest_call
from tests.gimp.glazing import until
from tests.gimp.harness.app import Gimp, GimpError
from tests.gimp.harness.place import Install, Place, environment

BROKEN = "#!/usr/bin/env python3\nimport nothing_there\n"
RAISES = """#!/usr/bin/env python3
import sys
import gi
gi.require_version("Gimp", "3.0")
from gi.repository import Gimp
class Toy(Gimp.PlugIn):
    def do_query_procedures(self):
        return ["plug-in-toy"]
    def do_create_procedure(self, name):
        return Gimp.Procedure.new(self, name, Gimp.PDBProcType.PLUGIN, self.run, None)
    def run(self, procedure, config, data):
        raise ValueError("the toy is broken")
Gimp.main(Toy.__gtype__, sys.argv)
"""

CLOSE = (267, 44)
"""The cross on the tab of the first image, from the window's left and top."""

with_windows = pytest.mark.parametrize("screen", [True], ids=["windows"])


@pytest.fixture(scope="module")
def engine() -> str:
    return "tests.faults.fake_tasks"


def toy(code: str) -> Install:
    """Installs a plug-in."""

    def install(home: Place) -> None:
        (plugins,) = home.outside.glob(".config/GIMP/*/plug-ins")
        file = plugins / "toy" / "toy.py"
        file.parent.mkdir()
        file.write_text(code)
        file.chmod(0o755)

    return install


def test_code_runs_inside(gimp: Gimp) -> None:
    assert gimp.run("one = 1\none + two", two=2) == 3
    assert gimp.run("b'\\0' + more", more=b"\xff") == b"\0\xff"
    assert gimp.run("one = 5") is None
    with pytest.raises(GimpError, match="ZeroDivisionError"):
        gimp.run("one / 0")
    with pytest.raises(GimpError, match="not true: one - 5"):
        gimp.until("one - 5", 0)
    assert gimp.run("Gimp.version()") == gimp.version
    assert gimp.version.startswith("3.")


@pytest.mark.parametrize("screen", [False, True], ids=["batch", "windows"])
def test_a_test_leaves_nothing_to_the_next(gimp: Gimp) -> None:
    gimp.run("kept = 1\nfor _ in range(3): prepare(8, 8)")
    if gimp.screen:
        gimp.run("show()")
        gimp.key(gimp.image_window(), "ctrl+n")
        gimp.window("Create a New Image")
    gimp.clean()
    assert gimp.run("len(Gimp.get_images())") == 0
    with pytest.raises(GimpError, match="NameError: name 'kept'"):
        gimp.run("kept")


def test_files_are_shared(gimp: Gimp) -> None:
    outside, inside = gimp.path("note")
    outside.write_text("from the test")
    assert gimp.run("open(path).read()", path=inside) == "from the test"
    gimp.run("open(path, 'w').write('from GIMP')", path=inside)
    assert outside.read_text() == "from GIMP"


def test_gimp_sees_the_modules_daemon_alive(gimp: Gimp, client: Client, glaze_home: Path) -> None:
    """Its lock is seen through a root of GIMP's own."""
    until(lambda: client.status().device == "fake")
    gimp.run(
        "import os, sys; sys.path.append(os.path.join(Gimp.directory(), 'plug-ins', 'glaze_gimp'))\n"
        "from glaze_plugin import lock"
    )
    assert gimp.run("lock.holder()") == lock.holder() != 0
    assert gimp.run("os.path.samefile(os.environ['GLAZE_HOME'], path)", path=environment(gimp.home)["GLAZE_HOME"])
    inside = gimp.run("os.stat(lock.lock_file()).st_ino")
    assert inside == (glaze_home / "state" / "daemon.lock").stat().st_ino


# ---- windows -------------------------------------------------------------------------------------


@with_windows
def test_keys_are_pressed_and_undone(gimp: Gimp) -> None:
    gimp.run("prepare(64, 48); show(); before = pixels(layer)")
    gimp.key(gimp.image_window(), "ctrl+comma")  # fills with the foreground colour
    gimp.until("pixels(layer)[:3] == bytes(3)")
    gimp.key(gimp.image_window(), "ctrl+z")
    gimp.until("pixels(layer) == before")


@with_windows
def test_a_button_is_clicked_on(gimp: Gimp) -> None:
    gimp.run("prepare(64, 48); show()")
    gimp.click(gimp.image_window(), *CLOSE)
    gimp.until("not Gimp.get_images()")


@with_windows
def test_code_that_opens_a_dialog(gimp: Gimp) -> None:
    outside, inside = gimp.path("dialog.png")
    gimp.run("prepare(64, 48)")
    gimp.soon("call('file-png-export', run_mode=Gimp.RunMode.INTERACTIVE, image=image, file=path)", path=inside)
    gimp.key("Export Image as PNG", "Return")
    gimp.answer()
    with Image.open(outside) as file:
        assert file.size == (64, 48)
    with pytest.raises(GimpError, match="no window 'Export Image as PNG'; shown are "):
        gimp.window("Export Image as PNG", 0)
    gimp.soon("1 / 0")
    with pytest.raises(GimpError, match="ZeroDivisionError"):
        gimp.window("What it would have opened", 0.1)


@with_windows
def test_a_shot_shows_the_screen(gimp: Gimp) -> None:
    with Image.open(gimp.shot("harness")) as shot:
        assert shot.size == (1600, 1000)
        assert len(shot.convert("RGB").getcolors(1 << 24) or []) > 100


# ---- faults --------------------------------------------------------------------------------------


def test_a_plug_in_that_cannot_be_loaded_is_reported(start_gimp: StartGimp) -> None:
    with start_gimp(addon=toy(BROKEN)) as gimp, pytest.raises(GimpError, match="No module named 'nothing_there'"):
        gimp.check()


def test_what_a_plug_in_raises_fails_the_test(start_gimp: StartGimp, request: pytest.FixtureRequest) -> None:
    with start_gimp(addon=toy(RAISES)) as gimp:
        gimp.check()
        request.node.funcargs["toy"] = gimp
        test = pytest_runtest_call(request.node)
        next(test)
        gimp.run("Gimp.get_pdb().lookup_procedure('plug-in-toy').run(None)")
        with pytest.raises(GimpError, match="ValueError: the toy is broken"):
            next(test)
        gimp.check()


def test_a_killed_gimp_is_reported(gimp: Gimp) -> None:
    os.kill(gimp.pid, signal.SIGSEGV)
    with pytest.raises(GimpError, match=r"GIMP has ended with exit code"):
        gimp.until("False")
    assert not gimp.running


def test_the_next_test_has_a_gimp_again_which_quits_cleanly(gimp: Gimp) -> None:
    gimp.run("prepare(64, 48)")
    assert gimp.quit() == 0


@pytest.mark.parametrize("screen", [False, True], ids=["batch", "windows"])
def test_what_ends_the_agent_is_reported(gimp: Gimp) -> None:
    """Writing into a group, say, which GIMP answers by killing who did it."""
    with pytest.raises(GimpError, match="GIMP has ended with exit code 64"):
        gimp.run("import os; os.abort()")
    assert not gimp.running
    gimp.restart()
    assert gimp.run("1 + 1") == 2


def test_a_hanging_gimp_says_where(gimp: Gimp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.gimp.harness.app.ANSWER_SECONDS", 1.0)
    with pytest.raises(GimpError, match=r'not answered for 1.0 s[^$]*File "<test>", line 1 in <module>'):
        gimp.run("import time; time.sleep(30)")
    assert not gimp.running


def test_without_gimp_the_tests_are_skipped(tmp_path: Path) -> None:
    one = f"{__file__}::test_code_runs_inside"
    variables = {**os.environ, "PATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", one], cwd=ROOT, env=variables, capture_output=True, text=True, check=False
    )
    assert "1 skipped" in done.stdout
    assert "The tests inside GIMP were skipped: Xvfb, xdotool, import, mmdebstrap, flock missing." in done.stdout
