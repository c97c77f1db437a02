"""The harness itself, with a toy plugin in place of the add-on."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from glaze_plugin.client import Client
from tests.conftest import ROOT
from tests.krita.conftest import Install, StartKrita, pytest_runtest_call
from tests.krita.harness.app import COMMAND, Krita, KritaError
from tests.krita.harness.home import DRIVER, install_plugin

CLICKS = "sys.modules['harness_toy'].clicks"


@pytest.fixture(scope="module")
def engine() -> str:
    return "tests.faults.fake_tasks"


@pytest.fixture(scope="module")
def addon() -> Install:
    return lambda home: install_plugin(home, DRIVER / "harness_toy")


@pytest.fixture
def toy(krita: Krita) -> Krita:
    """A Krita that shows the toy's docker, not yet clicked on."""
    krita.run(f"show_docker('harness_toy'); {CLICKS}.clear()")
    return krita


def test_code_runs_inside(krita: Krita) -> None:
    assert krita.run("one = 1\none + two", two=2) == 3
    assert krita.run("b'\\0' + more", more=b"\xff") == b"\0\xff"
    assert krita.run("one = 5") is None
    with pytest.raises(KritaError, match="ZeroDivisionError"):
        krita.run("one / 0")
    with pytest.raises(KritaError, match="still 0: one - 5"):
        krita.until("one - 5", 0)


def test_a_button_is_clicked_on(toy: Krita) -> None:
    toy.click("toy_button")
    toy.until(f"{CLICKS} == ['button']")
    with toy.hold("toy_button"):
        toy.until("widget('toy_button').isDown()")
    toy.until(f"{CLICKS} == ['button', 'button']")


def test_a_menu_is_clicked_through(toy: Krita) -> None:
    toy.menu("Tools", "Scripts", "Toy action")
    toy.until(f"{CLICKS} == ['action']")


def test_a_shortcut_is_pressed(toy: Krita) -> None:
    toy.key("ctrl+alt+shift+j")
    toy.until(f"{CLICKS} == ['action']")


def test_a_slider_is_dragged(toy: Krita) -> None:
    toy.drag_slider("toy_slider", 70)
    toy.until("abs(widget('toy_slider').value() - 70) <= 1")


def test_what_cannot_be_seen_is_not_clicked_on(krita: Krita) -> None:
    with pytest.raises(KritaError, match="Krita shows no 'toy_window'"):
        krita.click("toy_window")
    with pytest.raises(KritaError, match="there is no 'Toys' among "):
        krita.menu("Tools", "Toys")


def test_a_brush_stroke_changes_the_pixels_below_it(krita: Krita) -> None:
    krita.new_document(width=200, height=100)
    white = b"\xff" * (200 * 100 * 4)
    assert krita.pixels() == krita.projection() == white
    krita.stroke((60, 50), (140, 50))
    krita.until("bytes(active().pixelData(100, 50, 1, 1))[:3] == bytes(3)")
    after = krita.projection()
    changed = [i // 4 for i in range(0, len(after), 4) if after[i : i + 4] != white[:4]]
    radius = krita.run("Krita.instance().activeWindow().activeView().brushSize()") / 2
    assert min(i % 200 for i in changed) == pytest.approx(60 - radius, abs=2)
    assert {i // 200 for i in changed if i % 200 == 100} >= set(range(45, 55))
    krita.key("ctrl+z")
    krita.until("bytes(active().pixelData(100, 50, 1, 1)) == b'\\xff' * 4")


def test_documents_are_made_and_painted_on(krita: Krita, tmp_path: Path) -> None:
    krita.new_document("GRAYA", "U16", 8, 4)
    ramp = bytes(range(8 * 4 * 4))
    krita.paint(ramp)
    assert krita.pixels() == ramp
    assert krita.pixels("Background", (1, 0, 2, 1)) == ramp[4:12]
    (layer,) = krita.layers()
    assert (layer["name"], layer["type"], layer["active"], layer["children"]) == ("Background", "paintlayer", True, [])
    Image.new("RGB", (3, 2), "red").save(tmp_path / "red.png")
    krita.open(tmp_path / "red.png")
    assert krita.projection() == b"\0\0\xff\xff" * 6
    krita.close_documents()
    assert krita.run("active()") is None


def test_a_dialog_is_answered(toy: Krita) -> None:
    toy.soon("answer = QtWidgets.QInputDialog.getText(window(), 'Toy', question)", question="What is it?")
    toy.until("QtWidgets.QApplication.activeModalWidget() is not None")
    toy.type("a toy")
    toy.click("OK")
    assert toy.until("QtWidgets.QApplication.activeModalWidget() is None and answer") == ["a toy", True]
    toy.key("ctrl+alt+shift+j")
    toy.until(f"{CLICKS} == ['action']")


def test_what_no_slot_catches_fails_the_test(toy: Krita, request: pytest.FixtureRequest) -> None:
    test = pytest_runtest_call(request.node)
    next(test)
    toy.run("QtCore.QTimer.singleShot(50, widget('toy_failure').click)")
    time.sleep(0.5)
    with pytest.raises(KritaError, match="ValueError: the toy is broken"):
        next(test)
    toy.check()


def test_pauses_are_noticed(krita: Krita) -> None:
    with krita.pauses() as pauses:
        krita.run("time.sleep(0.1)")
    assert pauses.max >= 0.1
    assert pauses.max in pauses.gaps


def test_a_shot_shows_the_screen(krita: Krita) -> None:
    with Image.open(krita.shot("harness")) as shot:
        assert shot.size == (1600, 1000)
        assert len(shot.convert("RGB").getcolors(1 << 24) or []) > 100


def test_the_daemon_is_the_modules_own(krita: Krita, client: Client, glaze_home: Path) -> None:
    assert client.status().device == "fake"
    assert krita.run("__import__('os').environ['GLAZE_HOME']") == str(glaze_home)


def test_a_killed_krita_is_reported(krita: Krita) -> None:
    os.kill(krita.pid, signal.SIGSEGV)
    with pytest.raises(KritaError, match=r"exit code -11 \(SIGSEGV\)[^$]*Fatal Python error: Segmentation fault"):
        krita.until("False")
    assert not krita.running


def test_the_next_test_has_a_krita_again_which_quits_cleanly(krita: Krita) -> None:
    krita.new_document()
    krita.paint(bytes(64 * 48 * 4))
    assert krita.quit() == 0


def test_a_hanging_krita_says_where(start_krita: StartKrita, monkeypatch: pytest.MonkeyPatch) -> None:
    with start_krita() as krita:
        monkeypatch.setattr("tests.krita.harness.app.ANSWER_SECONDS", 1.0)
        with pytest.raises(KritaError, match=r'not answered for 1.0 s[^$]*File "<test>", line 1 in <module>'):
            krita.run("time.sleep(30)")
        assert not krita.running


def test_a_plugin_that_cannot_be_loaded_is_reported(start_krita: StartKrita, tmp_path: Path) -> None:
    plugin = tmp_path / "harness_toy"
    plugin.mkdir()
    (plugin / "__init__.py").write_text("import nothing_there")
    shutil.copy(DRIVER / "harness_toy.desktop", tmp_path)
    broken = start_krita(lambda home: install_plugin(home, plugin))
    with pytest.raises(KritaError, match="No module named 'nothing_there'"), broken:
        pass


def test_without_krita_the_tests_are_skipped(tmp_path: Path) -> None:
    one = f"{__file__}::test_code_runs_inside"
    environment = {**os.environ, "PATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", one], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert "1 skipped" in done.stdout
    assert f"The tests inside Krita were skipped: {COMMAND[0]}, Xvfb, xdotool, import missing." in done.stdout
