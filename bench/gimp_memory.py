"""What the GIMP add-on's process takes for a large layer: `.venv/bin/python -m bench.gimp_memory`.

It runs in the real GIMP (tools/gimp3.sh) with an engine that takes no time, as a script runs it and by its dialog. What
is counted is the most memory (VmHWM) beyond that for a layer of SMALL px.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from glaze_plugin.launch import connect, end_daemon
from tests.conftest import ROOT
from tests.gimp.harness.app import Gimp
from tests.gimp.harness.place import install_addon, make_root, new_home, new_place

ENGINE = "tests.krita.pixel_tasks"
TOOLS = ROOT / "tests" / "gimp" / "inside.py"
SMALL, LARGE = 64, 8000
"""px a side; RGBA with 8 bits, 244 MB."""
MOST = 300
"""MB that are allowed."""
FILL = """
import os
new_image(side, side)
layer = Gimp.Layer.new(image, "Layer", side, side, Gimp.ImageType.RGBA_IMAGE, 100, Gimp.LayerMode.NORMAL)
image.insert_layer(layer, None, 0)
buffer = layer.get_buffer()
for top in range(0, side, 200):
    rows = min(200, side - top)
    band = bytearray(os.urandom(4 * side * rows))
    band[3::4] = b"\\xff" * (side * rows)
    buffer.set(Gegl.Rectangle.new(0, top, side, rows), native(layer), bytes(band))
buffer.flush()
layer.update(0, 0, side, side)
"""
DIALOG = "Glaze layer"


class Watch(threading.Thread):
    """most: the VmHWM of the add-on's process while it runs, MB."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most = 0.0
        self.over = False

    def run(self) -> None:
        while not self.over:
            found = subprocess.run(["pgrep", "-f", "glaze_gimp.py .*-run"], capture_output=True, text=True, check=False)
            for pid in found.stdout.split():
                try:
                    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
                except OSError:
                    continue
                most = [int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")]
                self.most = max([self.most, *most])
            time.sleep(0.02)


@contextmanager
def painting_program(windows: bool) -> Iterator[Gimp]:
    """A GIMP with the add-on and a daemon with the fake engine."""
    place = new_place(make_root())
    os.environ.update(GLAZE_HOME=str((place / "glaze").outside), GLAZE_TASKS=ENGINE, GLAZE_PYTHONPATH=str(ROOT))
    home = place / "gimp"
    new_home(home)
    install_addon(home)
    gimp = Gimp(home, windows, TOOLS.read_text(encoding="utf-8"))
    connect("bench")[0].close()
    try:
        gimp.start()
        yield gimp
    finally:
        gimp.close()
        while end_daemon():
            pass
        shutil.rmtree(place.outside)


def by_script(gimp: Gimp) -> None:
    assert gimp.run("glaze(layer)") == "success"


def by_dialog(gimp: Gimp) -> None:
    """With a look at the whole and at a part of before, after and difference."""
    gimp.run("show()")
    gimp.key(gimp.image_window(), "ctrl+shift+alt+g")
    dialog = gimp.window(DIALOG)
    gimp.key(dialog, "alt+g")
    gimp.window(f"{DIALOG} – finished", 120)
    for view in ("alt+d", "alt+f", "alt+b", "alt+a"):
        gimp.key(dialog, view)
        time.sleep(1)
    gimp.key(dialog, "alt+i")
    gimp.gone(DIALOG, 60)


def main() -> None:
    within = []
    for words, windows, way in (("script", False, by_script), ("dialog", True, by_dialog)):
        most = {}
        with painting_program(windows) as gimp:
            for side in (SMALL, LARGE):
                gimp.run(FILL, side=side)
                watch = Watch()
                watch.start()
                begun = time.monotonic()
                way(gimp)
                seconds = time.monotonic() - begun
                watch.over = True
                watch.join()
                most[side] = watch.most
                gimp.clean()
        extra = most[LARGE] - most[SMALL]
        within.append(0 < extra <= MOST)
        print(f"{words}: {most[LARGE]:.0f} MB, {extra:.0f} MB more than for {SMALL} px; {seconds:.1f} s")
    sys.exit(0 if all(within) else f"more than {MOST} MB")


if __name__ == "__main__":
    main()
