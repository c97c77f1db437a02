"""What a job costs the artist inside the real Krita: how long painting is held up, and memory.

`.venv/bin/python -m bench.krita_ui`; it needs Krita, Xvfb and xdotool. A 5 ms timer in Krita tells how long its GUI
thread did nothing else. Krita's own addChildNode, the drawing of its canvas after that, and refreshProjection are
measured apart and not part of a pause. Beside each cloak a copy of the same layer is added without Glaze.

The pictures have two layers. Of one layer alone Krita keeps no composite; when a second one comes, with Glaze or
without, it takes another layer's size for that, and for a moment two.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from glaze_plugin.launch import connect, end_daemon
from tests.conftest import ROOT
from tests.krita.harness.app import Krita, Pauses
from tests.krita.harness.home import install_addon, new_home

ENGINE = "tests.krita.pixel_tasks"
MB = 1 << 20
PAUSES_SIDE, MEMORY_SIDE = 4000, 8000
"""px of square RGBA U8 layers, 61 and 244 MB, and what is judged by which."""
SMALL = 64
"""px; a document of this side comes first, so that everything is loaded."""
PROGRESS_SECONDS = 2.0
REST_SECONDS = 2.0
"""s in which Krita draws its canvas, and later the thumbnails, again after a layer has come."""
JOB_SECONDS = 120.0
LONGEST_PAUSE = 0.05
MOST_MEMORY = 2.2

OWN = ("addChildNode", "drawing", "refreshProjection")
PREPARE = """
import krita as module
own = {}
ticks.start()
ticks.stop()
def note(name, call, *args):
    start = time.perf_counter()
    result = call(*args)
    own[name] = max(own.get(name, 0), time.perf_counter() - start)
    return result
def timed(kind, name):
    plain = getattr(kind, name)
    def call(*args):
        ticks._tick()
        before = len(ticks._gaps)
        result = note(name, plain, *args)
        until = time.perf_counter() + (rest if name == "addChildNode" else 0)
        while time.perf_counter() < until:
            note("drawing", QtWidgets.QApplication.processEvents)
        del ticks._gaps[before:]  # it handles events
        ticks._last = time.perf_counter()
        return result
    setattr(kind, name, call)
timed(module.Node, "addChildNode")
timed(module.Document, "refreshProjection")
cloaks = sys.modules["glaze_krita.docker"].GlazeDocker.shared[1]
"""
FILL = """
strip = bytearray(os.urandom(4 * side * 100))
strip[3::4] = b"\\xff" * (100 * side)
for top in range(0, side, 100):
    active().activeNode().setPixelData(bytes(strip), 0, top, side, min(100, side - top))
active().refreshProjection()
active().waitForDone()
own.clear()
"""
ADD = "active().rootNode().addChildNode(active().topLevelNodes()[0].duplicate(), None); None"
STATE = "cloaks.of(active())[0].state"
JOB = "cloaks.of(active())[0].job.state"


@contextmanager
def painting_program() -> Iterator[Krita]:
    """A Krita with the add-on and a daemon with the fake engine."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(GLAZE_HOME=f"{folder}/glaze", GLAZE_TASKS=ENGINE, GLAZE_PYTHONPATH=str(ROOT))
        home = Path(folder) / "home"
        new_home(home)
        install_addon(home)
        krita = Krita(home)
        connect("bench")[0].close()
        try:
            krita.start()
            krita.restart()  # the first start of all is another one
            krita.run("import os, sys")
            krita.run(PREPARE, rest=REST_SECONDS)
            yield krita
            krita.quit()
        finally:
            krita.close()
            while end_daemon():
                pass


def memory(krita: Krita, name: str) -> float:
    """VmRSS or VmHWM of the process, MB."""
    lines = Path(f"/proc/{krita.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))


def paint(krita: Krita, side: int) -> None:
    """A picture of two full layers, at rest; Krita's memory is counted from here."""
    krita.new_document("RGBA", "U8", side, side)
    krita.run(FILL, side=side)
    krita.run(ADD)
    time.sleep(REST_SECONDS)
    krita.run("own.clear()")
    Path(f"/proc/{krita.pid}/clear_refs").write_text("5")


def cloak(krita: Krita) -> list[Pauses]:
    """Submit the layer, look on, and let it come back: the pauses of each."""
    hold = Path(os.environ["GLAZE_HOME"]) / "hold"
    hold.touch()
    with krita.pauses() as submitting:
        krita.run("Krita.instance().action('glaze_layer').trigger()")
        krita.until(f"{JOB} == 'running'", JOB_SECONDS)
    with krita.pauses() as progressing:
        time.sleep(PROGRESS_SECONDS)
    with krita.pauses() as inserting:
        hold.unlink()
        krita.until(f"{STATE} == 'review'", JOB_SECONDS)
        time.sleep(REST_SECONDS)
    return [submitting, progressing, inserting]


def copy(krita: Krita) -> list[Pauses]:
    """Add a copy of the layer without Glaze: the pause of that."""
    with krita.pauses() as inserting:
        krita.run(ADD)
        time.sleep(REST_SECONDS)
    return [inserting]


def measure(side: int, act: Callable[[Krita], list[Pauses]]) -> tuple[list[float], float]:
    """Print a row. Returns the longest pauses, s, and the most extra memory, times the layer."""
    with painting_program() as krita:  # anew, for Krita keeps the memory of closed documents
        paint(krita, SMALL)
        cloak(krita)
        krita.close_documents()
        paint(krita, side)
        before = memory(krita, "VmRSS")
        pauses = [one.max for one in act(krita)]
        extra = (memory(krita, "VmHWM") - before) / (4 * side * side / MB)
        own = [krita.run("own.get(name, 0)", name=name) for name in OWN]
        krita.close_documents()
    cells = [*[""] * (3 - len(pauses)), *(f"{1e3 * one:.0f}" for one in [*pauses, *own]), f"{extra:.2f}"]
    print(f"{side:5} {act.__name__:5}" + "".join(f"{cell:>15}" for cell in cells), flush=True)
    return pauses, extra


def main() -> None:
    print("longest pauses of Krita's GUI thread and its own calls, ms; most extra memory, times the layer")
    heads = ("submitting", "in progress", "inserting", "addChildNode", "drawing", "refresh", "memory")
    print(" side      " + "".join(f"{head:>15}" for head in heads))
    pauses, _ = measure(PAUSES_SIDE, cloak)
    alone, _ = measure(PAUSES_SIDE, copy)
    _, extra = measure(MEMORY_SIDE, cloak)
    measure(MEMORY_SIDE, copy)
    pauses[-1] -= alone[-1]
    kept = max(pauses) <= LONGEST_PAUSE and extra <= MOST_MEMORY
    print(
        f"limits: {1e3 * LONGEST_PAUSE:.0f} ms at {PAUSES_SIDE}, inserting beside a copy; "
        f"memory {MOST_MEMORY} at {MEMORY_SIDE}: {'kept' if kept else 'exceeded'}"
    )


if __name__ == "__main__":
    main()
