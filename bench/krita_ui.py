"""What a job costs the artist inside the real Krita: how long painting is held up, and memory.

`.venv/bin/python -m bench.krita_ui`; it needs Krita, Xvfb and xdotool. A 5 ms timer in Krita tells how long its GUI
thread did nothing else. Krita's own addChildNode and refreshProjection are measured apart and not part of a pause; but
Krita draws its canvas again after them, so the last column is the pause after one addChildNode without Glaze.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from glaze_plugin.launch import connect, end_daemon
from tests.conftest import ROOT
from tests.krita.harness.app import Krita
from tests.krita.harness.home import install_addon, new_home

ENGINE = "tests.krita.pixel_tasks"
MB = 1 << 20
SIDES = (4000, 8000)
"""px of square RGBA U8 documents: 61 and 244 MB."""
SMALL = 64
"""px; a document of this side comes first, so that everything is loaded."""
PROGRESS_SECONDS = 2.0
REST_SECONDS = 1.0
"""s in which Krita draws its canvas again after the last step."""
JOB_SECONDS = 120.0
LONGEST_PAUSE = 0.05
MOST_MEMORY = 2.2

OWN = ("addChildNode", "refreshProjection")
PREPARE = """
import krita as module
own = {}
ticks.start()
ticks.stop()
def timed(kind, name):
    plain = getattr(kind, name)
    def call(*args):
        ticks._tick()
        before = len(ticks._gaps)
        start = time.perf_counter()
        result = plain(*args)
        own.setdefault(name, []).append(time.perf_counter() - start)
        del ticks._gaps[before:]  # it handles events
        ticks._last = time.perf_counter()
        return result
    setattr(kind, name, call)
timed(module.Node, "addChildNode")
timed(module.Document, "refreshProjection")
glaze = next(one for one in Krita.instance().extensions() if type(one).__name__ == "GlazeExtension")
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
STATE = "glaze.cloaks.of(active())[0].state"
JOB = "glaze.cloaks.of(active())[0].job.state"


@contextmanager
def painting_program() -> Iterator[Krita]:
    """A Krita with the add-on and a daemon with the fake engine."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(GLAZE_HOME=f"{folder}/glaze", GLAZE_TASKS=ENGINE)
        os.chdir(ROOT)  # where the daemon finds the engine
        home = Path(folder) / "home"
        new_home(home)
        install_addon(home)
        krita = Krita(home)
        connect("bench")[0].close()
        try:
            krita.start()
            krita.restart()  # the first start of all is another one
            krita.run("import os")
            krita.run(PREPARE)
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


def measure(krita: Krita, side: int) -> bool:
    """Cloak a layer, print a row, and tell whether it is within the limits."""
    krita.new_document("RGBA", "U8", side, side)
    krita.run(FILL, side=side)
    time.sleep(REST_SECONDS)
    hold = Path(os.environ["GLAZE_HOME"]) / "hold"
    hold.touch()
    Path(f"/proc/{krita.pid}/clear_refs").write_text("5")
    before = memory(krita, "VmRSS")
    with krita.pauses() as submitted:
        krita.run("Krita.instance().action('glaze_layer').trigger()")
        krita.until(f"{JOB} == 'running'", JOB_SECONDS)
    with krita.pauses() as progressing:
        time.sleep(PROGRESS_SECONDS)
    with krita.pauses() as inserted:
        hold.unlink()
        krita.until(f"{STATE} == 'review'", JOB_SECONDS)
        time.sleep(REST_SECONDS)
    extra = (memory(krita, "VmHWM") - before) / (4 * side * side / MB)
    spent = [max(krita.run("own.get(name, [0])", name=name)) for name in OWN]
    with krita.pauses() as alone:
        krita.run(ADD)
        time.sleep(REST_SECONDS)
    krita.close_documents()
    longest = [one.max for one in (submitted, progressing, inserted)]
    print(
        f"{side:5}"
        + "".join(f"{1e3 * one:15.0f}" for one in [*longest, *spent])
        + f"{extra:15.2f}{1e3 * alone.max:15.0f}"
    )
    return max(longest) <= LONGEST_PAUSE and extra <= MOST_MEMORY


def main() -> None:
    print("longest pauses of Krita's GUI thread and its own calls, ms; most extra memory, times the layer")
    heads = ("submitting", "in progress", "inserting", "addChildNode", "refresh", "memory", "Krita alone")
    print(" side" + "".join(f"{head:>15}" for head in heads))
    within = []
    for side in SIDES:
        with painting_program() as krita:  # anew, for Krita keeps the memory of closed documents
            measure(krita, SMALL)
            within.append(measure(krita, side))
    print(f"limits {1e3 * LONGEST_PAUSE:.0f} ms and {MOST_MEMORY}: {'kept' if all(within) else 'exceeded'}")


if __name__ == "__main__":
    main()
