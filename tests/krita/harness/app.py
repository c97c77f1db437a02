"""A running Krita, driven by a test."""

from __future__ import annotations

import base64
import json
import os
import select
import shlex
import shutil
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.conftest import ROOT
from tests.krita.harness.home import environment
from tests.krita.harness.screen import Place, Screen

ELSEWHERE = shlex.split(os.environ.get("GLAZE_TEST_KRITA", ""))
"""Runs the krita and the kritarunner of somewhere else, a chroot say: a command that takes theirs."""
COMMAND = [*ELSEWHERE, "krita", "--nosplash"]
SHOTS = ROOT / "out" / "krita"
START_SECONDS = 120.0
ANSWER_SECONDS = 60.0
POLL_SECONDS = 0.02
NOTABLE_GAP_SECONDS = 0.02
LOG_LINES = 80
"""Those of a crash: from Python 3.14 on they tell where Python was, and the C code."""

Target = str | Place
"""A widget's object name, the words on a button, or a place on the screen."""


class KritaError(Exception):
    """Krita has failed, hangs, has ended, or does not do what a test waits for."""


@dataclass
class Pauses:
    """How long Krita's GUI thread did nothing else, in seconds; known when the recording has ended."""

    max: float = 0.0
    gaps: list[float] = field(default_factory=list)
    """Those longer than NOTABLE_GAP_SECONDS, in order."""


class Krita:
    """A Krita on a screen of its own. `home` is one of tests.krita.harness.home.

    Every method raises KritaError where Krita has died, has been silent for ANSWER_SECONDS,
    or has had an exception that nothing in it caught.
    """

    def __init__(self, home: Path, **variables: str) -> None:
        """variables: environment variables beside the usual ones."""
        self.home = home
        self.log = home.with_name(f"{home.name}.log")
        self.running = False
        self.events: Counter[str] = Counter()
        """How often each event has happened: ready, windowCreated, viewCreated, viewClosed, imageCreated …"""
        self.exceptions: list[str] = []
        """Tracebacks that no test has been told of."""
        self.screen = Screen()
        self._variables = variables
        self._received = bytearray()

    def start(self) -> None:
        """Start Krita and wait until its window is there."""
        self.events.clear()
        self._received.clear()
        with socket.create_server(("127.0.0.1", 0)) as server, open(self.log, "w") as log:
            self._socket = server
            self._process = subprocess.Popen(
                COMMAND,
                env={
                    **environment(self.home),
                    "DISPLAY": self.screen.display,
                    "QT_QPA_PLATFORM": "xcb",
                    "QT_LOGGING_RULES": "*.debug=false",
                    "LIBGL_ALWAYS_SOFTWARE": "1",
                    "PYTHONFAULTHANDLER": "1",
                    "PYTHONUNBUFFERED": "1",
                    "GLAZE_TEST_DRIVER": str(server.getsockname()[1]),
                    **self._variables,
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
            self.running = True
            deadline = time.monotonic() + START_SECONDS
            while not select.select([server], [], [], POLL_SECONDS)[0]:
                if self._process.poll() is not None:
                    raise self._ended()
                if time.monotonic() > deadline:
                    self._end()
                    raise self._failed("Krita does not start the test driver")
            self._socket, _ = server.accept()
        self.wait_for("ready", START_SECONDS)
        self.wait_for("windowCreated", START_SECONDS)
        if "Error loading plugin" in self.log.read_text(errors="replace"):
            raise self._failed("Krita could not load a plugin")
        self.run("fill_screen()")

    def quit(self) -> int:
        """Quit as by the menu, losing what was not saved; the exit code."""
        self.run("quit_soon()")
        deadline = time.monotonic() + ANSWER_SECONDS
        try:
            while self._receive(deadline):
                pass
        except EOFError:
            code = self._process.wait(ANSWER_SECONDS)
            self._end()
            self._raise_exceptions()
            return code
        raise self._hangs()

    def restart(self) -> None:
        """Quit, if it still runs, and start again in the same home."""
        if self.running and self.quit() != 0:
            raise self._ended()
        self.start()

    def close(self) -> None:
        """End Krita, if it still runs, by force, and the screen."""
        if self.running:
            self._end()
        self.screen.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    # What goes on inside

    def run(self, code: str, /, **values: object) -> Any:
        """Run Python in Krita's GUI thread and return the value of its last expression.

        code: sees the functions of driver/glaze_test_driver/tools.py, Krita, QtCore, QtWidgets, and what earlier code
        has named. values: more names for it. Values are JSON's and bytes (also for QByteArray).
        """
        request = json.dumps({"code": code, "values": values}, default=_packed)
        if not self.running:
            raise KritaError("Krita does not run")
        try:
            self._socket.sendall(request.encode() + b"\n")
        except OSError:
            raise self._ended() from None
        deadline = time.monotonic() + ANSWER_SECONDS
        while "event" in (answer := self._next(deadline)):
            pass
        if not answer:
            raise self._hangs()
        self._raise_exceptions()
        if "error" in answer:
            raise KritaError(f"{answer['error']}in:\n{code}")
        return answer["result"]

    def soon(self, code: str, /, **values: object) -> None:
        """Like `run`, but return at once: for code that opens a modal dialog."""
        self.run("QtCore.QTimer.singleShot(0, lambda: exec(code, globals()))", code=code, **values)

    def until(self, expression: str, /, seconds: float = 20.0, **values: object) -> Any:
        """Wait until an expression is true and return its value."""
        deadline = time.monotonic() + seconds
        while not (value := self.run(expression, **values)):
            if time.monotonic() > deadline:
                raise self._failed(f"after {seconds} s still {value!r}: {expression}")
            time.sleep(POLL_SECONDS)
        return value

    def wait_for(self, event: str, seconds: float = 20.0, count: int = 1) -> None:
        """Wait until an event has happened `count` times since the start of Krita."""
        deadline = time.monotonic() + seconds
        while self.events[event] < count:
            if not self._next(deadline):
                raise self._failed(f"not within {seconds} s: {event}")
        self._raise_exceptions()

    def check(self) -> None:
        """Raise KritaError if Krita is not well."""
        self.run("None")

    @contextmanager
    def pauses(self) -> Iterator[Pauses]:
        """Measure the GUI thread's pauses by a 5 ms timer inside Krita."""
        pauses = Pauses()
        self.run("ticks.start()")
        yield pauses
        gaps = self.run("ticks.stop()")
        pauses.max = max(gaps)
        pauses.gaps = [gap for gap in gaps if gap > NOTABLE_GAP_SECONDS]

    # Mouse and keyboard

    def place(self, target: Target) -> Place:
        """Where to click for a target."""
        return self.run("spot(name)", name=target) if isinstance(target, str) else target

    def click(self, target: Target) -> None:
        self.screen.click(self.place(target))

    def hold(self, target: Target) -> AbstractContextManager[None]:
        """Keep the mouse button pressed on a target during a `with` block."""
        return self.screen.hold(self.place(target))

    def drag_slider(self, name: str, value: int) -> None:
        """Drag a slider's handle to a value; a pixel may stand for several."""
        self.screen.drag([self.run("handle(name)", name=name), self.run("handle(name, value)", name=name, value=value)])

    def menu(self, *texts: str) -> None:
        """Click through the menus: menu("Tools", "Scripts", "Glaze layer")."""
        for depth in range(1, len(texts) + 1):
            self.click(self.until("entry(*path)", path=texts[:depth]))

    def key(self, keys: str) -> None:
        """Press keys together, as in "ctrl+alt+shift+g"."""
        self.until("has_keyboard()")
        self.screen.key(keys)

    def type(self, text: str) -> None:
        self.until("has_keyboard()")
        self.screen.type(text)

    def stroke(self, *pixels: Place) -> None:
        """Drag the mouse along pixels of the active document: a brush stroke, where the brush is in hand."""
        self.screen.drag([self.run("on_canvas(*pixel)", pixel=pixel) for pixel in pixels])

    def shot(self, name: str) -> Path:
        """Photograph the screen into out/krita/NAME.png."""
        return self.screen.photograph(SHOTS / f"{name}.png")

    # Documents

    def new_document(
        self, model: str = "RGBA", depth: str = "U8", width: int = 64, height: int = 48, profile: str = ""
    ) -> None:
        """Make a document and show it. profile: "" is Krita's default, which is linear for U16, F16 and F32."""
        made = "document = Krita.instance().createDocument(width, height, 'test', model, depth, profile, 72.0)"
        self._show(made, model=model, depth=depth, width=width, height=height, profile=profile)

    def open(self, path: Path) -> None:
        """Open a file and show it."""
        self._show("document = Krita.instance().openDocument(path)", path=str(path))

    def _show(self, code: str, /, **values: object) -> None:
        views = self.events["viewCreated"]
        self.run(f"{code}\nshow(document)", **values)
        self.wait_for("viewCreated", count=views + 1)
        self.until("active() == document and active().activeNode() is not None and canvas() is not None")

    def close_documents(self) -> None:
        """Close menus, dialogs and documents without questions."""
        self.run("close_documents()")
        self.until("not Krita.instance().documents()")

    def layers(self) -> list[dict[str, Any]]:
        """The active document's layers from the bottom up: name, type, visible, opacity, locked, active, children."""
        found: list[dict[str, Any]] = self.run("[described(node) for node in active().rootNode().childNodes()]")
        return found

    def pixels(self, layer: str | None = None, box: Sequence[int] | None = None) -> bytes:
        """A layer's own pixels as Krita keeps them. layer: None is the active one. box: x, y, width, height."""
        found: bytes = self.run("node(name).pixelData(*area(box))", name=layer, box=box)
        return found

    def projection(self, box: Sequence[int] | None = None) -> bytes:
        """What the document looks like, as `pixels`."""
        found: bytes = self.run("active().pixelData(*area(box))", box=box)
        return found

    def paint(self, pixels: bytes, layer: str | None = None, box: Sequence[int] | None = None) -> None:
        """Put pixels into a layer, which cannot be undone."""
        self.run("node(name).setPixelData(pixels, *area(box))", pixels=pixels, name=layer, box=box)
        self.run("active().refreshProjection(); active().waitForDone()")

    # The wire

    def last_words(self) -> str:
        """The end of Krita's log, and exceptions that no test has been told of."""
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join([*lines[-LOG_LINES:], *self.exceptions])

    def _next(self, deadline: float) -> dict[str, Any]:
        try:
            return self._receive(deadline)
        except EOFError:
            raise self._ended() from None

    def _receive(self, deadline: float) -> dict[str, Any]:
        """The next message, empty where none comes in time. Events are counted, exceptions kept.

        Raises EOFError when Krita has closed the connection.
        """
        while b"\n" not in self._received:
            if not select.select([self._socket], [], [], max(0.0, deadline - time.monotonic()))[0]:
                return {}
            try:
                data = self._socket.recv(1 << 20)
            except ConnectionError:
                data = b""
            if not data:
                raise EOFError
            self._received += data
        line, _, self._received = self._received.partition(b"\n")
        message: dict[str, Any] = json.loads(line, object_hook=_unpacked)
        if "event" in message:
            self.events[message["event"]] += 1
            if message["event"] == "exception":
                self.exceptions.append(message["text"])
        return message

    def _raise_exceptions(self) -> None:
        if self.exceptions:
            found = "\n".join(self.exceptions)
            self.exceptions.clear()
            raise KritaError(f"Nothing in Krita caught this:\n{found}")

    def _hangs(self) -> KritaError:
        self._process.send_signal(signal.SIGUSR1)  # the driver has asked for all threads' tracebacks then
        time.sleep(0.5)
        self._end()
        return self._failed(f"Krita has not answered for {ANSWER_SECONDS} s; this is where it was")

    def _ended(self) -> KritaError:
        self._process.wait(ANSWER_SECONDS)
        self._end()
        code = self._process.returncode
        name = f" ({signal.Signals(-code).name})" if code < 0 else ""
        return self._failed(f"Krita has ended with exit code {code}{name}")

    def _end(self) -> None:
        self.running = False
        self._process.kill()
        self._process.wait()
        self._socket.close()

    def _failed(self, sentence: str) -> KritaError:
        return KritaError(f"{sentence}\n{self.last_words()}")


def missing_programs() -> list[str]:
    """What the tests need and this machine lacks."""
    return [name for name in (COMMAND[0], "Xvfb", "xdotool", "import") if not shutil.which(name)]


def _packed(value: object) -> dict[str, str]:
    if isinstance(value, bytes):
        return {"bytes": base64.b64encode(value).decode()}
    raise TypeError(f"{value!r} cannot be sent to Krita")


def _unpacked(found: dict[str, Any]) -> Any:
    return base64.b64decode(found["bytes"]) if found.keys() == {"bytes"} else found
