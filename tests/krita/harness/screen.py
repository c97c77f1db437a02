"""A screen that nobody sees, its mouse and its keyboard."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

Place = Sequence[int]
"""x and y in pixels from the top left corner."""

DRAG_STEPS = 12
"""Mouse moves between two points of a drag, STEP_SECONDS apart; Krita would join faster ones."""
STEP_SECONDS = 0.01


class Screen:
    """An X server with 1600×1000 pixels and no window manager."""

    def __init__(self) -> None:
        read, write = os.pipe()
        options = ("-screen", "0", "1600x1000x24", "-dpi", "96", "-nolisten", "tcp", "-noreset")
        self._server = subprocess.Popen(
            ["Xvfb", "-displayfd", str(write), *options], pass_fds=[write], stderr=subprocess.DEVNULL
        )
        os.close(write)
        with open(read) as ready:  # read to the end of the line: the server dies of a pipe closed before
            self.display = f":{ready.readline().strip()}"

    def close(self) -> None:
        self._server.terminate()
        self._server.wait()

    def click(self, place: Place) -> None:
        self._xdotool("mousemove", *place, "click", 1)

    def wheel(self, place: Place) -> None:
        """Turn the mouse's wheel down over a place."""
        self._xdotool("mousemove", *place, "click", 5)

    @contextmanager
    def hold(self, place: Place) -> Iterator[None]:
        """Keep the mouse button pressed."""
        self._xdotool("mousemove", *place, "mousedown", 1)
        try:
            yield
        finally:
            self._xdotool("mouseup", 1)

    def drag(self, places: Sequence[Place]) -> None:
        """Press the mouse button at the first place, release it at the last."""
        with self.hold(places[0]):
            for (x0, y0), (x1, y1) in pairwise(places):
                moves: list[object] = []
                for step in range(1, DRAG_STEPS + 1):
                    part = step / DRAG_STEPS
                    moves += ["sleep", STEP_SECONDS, "mousemove", round(x0 + (x1 - x0) * part)]
                    moves += [round(y0 + (y1 - y0) * part)]
                self._xdotool(*moves, "sleep", STEP_SECONDS)

    def key(self, keys: str) -> None:
        """Press keys together, as in "ctrl+shift+z"."""
        self._xdotool("key", keys)

    def type(self, text: str) -> None:
        self._xdotool("type", "--delay", 10, text)

    def photograph(self, path: Path) -> Path:
        """Save what the screen shows as PNG."""
        path.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["import", "-display", self.display, "-window", "root", path], check=True)
        return path

    def _xdotool(self, *words: object) -> None:
        environment = {**os.environ, "DISPLAY": self.display}
        subprocess.run(["xdotool", *map(str, words)], env=environment, check=True, stdout=subprocess.DEVNULL)
