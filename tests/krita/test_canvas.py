"""Layers to rasters and back, in the real Krita.

Most of it runs without a screen: `inside/canvas_checks.py`, by pytest within kritarunner. Each test there is one here.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sysconfig
from xml.etree import ElementTree

import pytest

from glaze_server.engine.pixels import MIN_SIDE
from tests.conftest import ROOT
from tests.krita.conftest import Install, StartKrita
from tests.krita.harness.app import ELSEWHERE, Krita
from tests.krita.harness.home import environment, new_home

INSIDE = ROOT / "tests" / "krita" / "inside"
ADDON = ROOT / "krita_addon" / "glaze_krita"
CHECKS = INSIDE / "canvas_checks.py"
NAMES = re.findall(r"^def (test_\w+)", CHECKS.read_text(), re.MULTILINE)
SECONDS = 300.0

SETUP = f"""
import sys, types
sys.path[:0] = [{str(ROOT)!r}]
sys.modules["glaze_krita"] = types.ModuleType("glaze_krita")
sys.modules["glaze_krita"].__path__ = [{str(ADDON)!r}]
from glaze_krita.canvas import Capture, Insertion, look

def cloak(node, cloaked=lambda data: data):
    capture = Capture(look(active(), node, False))
    insertion = Insertion(capture, capture.new_layer("Glazed"))
    insertion.take(cloaked(b"".join(capture.bands())))
    layer = insertion.finish()
    active().waitForDone()
    return layer
"""
SVG = '<svg xmlns="http://www.w3.org/2000/svg"><rect x="0" y="0" width="40" height="40" fill="#ff8040"/></svg>'


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Name of each test inside → how it failed, or ""."""
    runner = [*ELSEWHERE, "kritarunner"]
    if shutil.which(runner[0]) is None:
        pytest.skip(f"{runner[0]} missing")
    home = tmp_path_factory.mktemp("kritarunner") / "home"
    new_home(home)
    report = home / "results.xml"
    packages = sysconfig.get_path("purelib")
    command = [*runner, "-s", "run_pytest", "--", str(ROOT), packages, str(report), str(CHECKS), "--tb=short"]
    variables = {
        **environment(home),
        "PYTHONPATH": str(INSIDE),
        "PYTHONUNBUFFERED": "1",
        "PYTHONFAULTHANDLER": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "QT_QPA_PLATFORM": "offscreen",
    }
    ended = subprocess.run(
        command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=SECONDS
    )
    if not report.exists():
        pytest.fail(f"kritarunner ended with {ended.returncode}:\n{ended.stdout[-4000:]}", pytrace=False)
    failures: dict[str, str] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        name = case.get("name", "").split("[")[0]
        texts = [f"{case.get('name')}\n{one.text}" for one in case if one.tag in ("failure", "error")]
        failures[name] = "\n".join(filter(None, [failures.get(name, ""), *texts]))
    return failures


@pytest.mark.parametrize("name", NAMES)
def test_inside(results: dict[str, str], name: str) -> None:
    if results[name]:
        pytest.fail(results[name], pytrace=False)


def test_the_limit_is_the_engines() -> None:
    found = re.search(r"^MIN_SIDE = (\d+)$", (ADDON / "canvas.py").read_text(), re.MULTILINE)
    assert found and int(found[1]) == MIN_SIDE


# ---- what kritarunner cannot do: vectors, key frames, undo -------------------------------------------


@pytest.fixture(scope="module")
def engine() -> str:
    return "tests.faults.fake_tasks"


@pytest.fixture(scope="module")
def addon() -> Install:
    """The add-on itself is not wanted here, only its module."""
    return lambda home: None


@pytest.fixture
def painted(krita: Krita) -> Krita:
    """A Krita with a painted layer in its document."""
    prepare(krita)
    return krita


def prepare(krita: Krita) -> None:
    krita.run(SETUP)
    krita.new_document(width=64, height=48)
    krita.paint(bytes(range(256)) * 48)


def test_one_undo_takes_the_cloak_away_and_redo_brings_it_back(painted: Krita) -> None:
    before = painted.pixels()
    painted.run("layer = cloak(node(), lambda data: bytes(len(data)))")
    assert [layer["name"] for layer in painted.layers()] == ["Background", "Glazed"]
    assert painted.pixels("Background") == before
    painted.run("Krita.instance().action('edit_undo').trigger(); active().waitForDone()")
    painted.until("len(list(all_nodes())) == 1")
    assert painted.pixels("Background") == before
    painted.run("Krita.instance().action('edit_redo').trigger(); active().waitForDone()")
    painted.until("len(list(all_nodes())) == 2")
    assert painted.pixels("Glazed") == bytes(len(before))


def test_a_vector_layer_is_taken_as_it_is_seen(painted: Krita) -> None:
    painted.run(
        "vectors = active().createVectorLayer('Vectors')\n"
        "active().rootNode().addChildNode(vectors, None)\n"
        "vectors.addShapesFromSvg(svg)\n"
        "active().waitForDone(); active().refreshProjection(); active().waitForDone()",
        svg=SVG,
    )
    painted.until("vectors.bounds().width()")
    painted.run("layer = cloak(vectors)")
    assert painted.run("layer.type()") == "paintlayer"
    seen = painted.run("bytes(vectors.projectionPixelData(0, 0, 64, 48))")
    assert painted.pixels("Glazed") == seen
    assert bytes.fromhex("4080ffff") in seen


def test_the_frame_that_is_shown_is_cloaked(start_krita: StartKrita) -> None:
    with start_krita() as krita:
        prepare(krita)
        first = krita.pixels()
        krita.run(
            "Krita.instance().action('add_duplicate_frame').trigger(); active().waitForDone()\n"
            "active().setCurrentTime(3); active().waitForDone()\n"
            "Krita.instance().action('add_blank_frame').trigger(); active().waitForDone()"
        )
        krita.until("node().animated() and node().hasKeyframeAtTime(3)")
        second = bytes(reversed(range(256))) * 48
        krita.paint(second)
        krita.run(
            "subject = look(active(), node(), False)\n"
            "capture = Capture(subject)\n"
            "active().setCurrentTime(0); active().waitForDone()"
        )
        krita.until("bytes(node().pixelData(0, 0, 64, 48)) == first", first=first)
        assert krita.run("list(subject.notes)") == ["animated"]
        assert krita.run("sent = b''.join(capture.bands())\nsent") == second
        assert (
            krita.run(
                "insertion = Insertion(capture, capture.new_layer('Glazed'))\ninsertion.take(sent)\ninsertion.changed"
            )
            is False
        )
        krita.close()  # by force: leaving an animated picture sometimes crashes Krita 5.1, add-on or not
