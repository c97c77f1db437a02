"""A running GIMP, driven by a test."""

from __future__ import annotations

import base64
import json
import os
import re
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from tests.conftest import ROOT
from tests.gimp.harness.place import COMMAND, Place, environment
from tests.krita.harness.screen import Screen

SHOTS = ROOT / "out" / "gimp"
START_SECONDS = 120.0
ANSWER_SECONDS = 60.0
WINDOW_SECONDS = 20.0
POLL_SECONDS = 0.02
KEY_SECONDS = 0.1
"""Between the keys that are pressed: GIMP's menus and windows need their time."""
LOG_LINES = 40
FAULTS = re.compile(r"^Traceback|plug-in crashed|Plug-in crashed", re.MULTILINE)
GIMPS_OWN = ("GNU Image Manipulation Program", "– GIMP")
"""How the titles of GIMP's image window end, without and with an image."""
CANCEL = (-277, -17)
"""x and y of its Cancel button in the image window, from the bottom right corner."""
CLEAN = """
number = unused = 0
while unused < 50:
    number, unused = number + 1, unused + 1
    if Gimp.Display.id_is_valid(number):
        Gimp.Display.get_by_id(number).delete()
        unused = 0
for one in Gimp.get_images():
    one.delete()
"""

Found = TypeVar("Found")


class GimpError(Exception):
    """GIMP or a plug-in has failed, hangs, has ended, or does not do what a test waits for."""


class Gimp:
    """A GIMP in batch, or with windows on a screen of its own. `home` is one of tests.gimp.harness.place.

    Every method raises GimpError where GIMP has died or has been silent for ANSWER_SECONDS.
    """

    def __init__(self, home: Place, windows: bool = False, tools: str = "", **variables: str) -> None:
        """tools: code whose names each test sees in `run`. variables: environment variables beside the usual ones."""
        self.home = home
        self.log = home.outside / "gimp.log"
        self.running = False
        self.version = ""
        self.screen = Screen() if windows else None
        self._tools = tools
        self._variables = variables
        self._received = bytearray()
        self._owed = False
        """Whether code that was sent by `soon` has not been answered yet."""
        self._seen = 0
        """Characters of the log in which `check` has looked for faults."""

    def start(self) -> None:
        """Start GIMP and wait until it runs code."""
        self._received.clear()
        self._owed, self._seen = False, 0
        with socket.create_server(("127.0.0.1", 0)) as server, open(self.log, "w") as log:
            port = server.getsockname()[1]
            agent = f"import sys; sys.path.append('{self.home.inside}'); import agent; agent.serve({port})"
            variables = {**environment(self.home), **self._variables}
            program = ["gimp-console", "--no-interface", "--no-data"]
            if self.screen:
                variables["DISPLAY"] = self.screen.display
                program = ["gimp", "--no-splash"]
            self._process = subprocess.Popen(
                [
                    *(*COMMAND, "/usr/bin/env", "-i", *(f"{name}={value}" for name, value in variables.items())),
                    *(*program, "--new-instance", "--batch-interpreter=python-fu-eval", "--batch", agent, "--quit"),
                ],
                cwd=ROOT,
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
                    raise self._failed("GIMP does not start the test's agent")
            self._socket, _ = server.accept()
        hello = self._receive()
        self._agent, self.version = hello["pid"], hello["version"]
        self.forget()
        if self.screen:
            title = self._wait(self._own_window, "GIMP shows no window", START_SECONDS)
            self._xdotool("windowsize", self.window(title), "1600", "1000")

    def quit(self) -> int:
        """Quit, losing what was not saved; the exit code."""
        if self._owed:
            self.answer()
        self._send(None)
        try:
            code = self._process.wait(ANSWER_SECONDS)
        except subprocess.TimeoutExpired:
            self._end()
            raise self._failed("GIMP does not quit") from None
        self._end()
        return code

    def restart(self) -> None:
        """End GIMP, if it still runs, by force, and start it again in the same home."""
        if self.running:
            self._end()
        self.start()

    def close(self) -> None:
        """End GIMP, if it still runs, by force, and the screen."""
        if self.running:
            self._end()
        if self.screen:
            self.screen.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    # What goes on inside

    def run(self, code: str, /, **values: object) -> Any:
        """Run Python in GIMP and return the value of its last expression.

        code: sees Gimp, the tools, and what earlier code of the test has named. values: more names for it.
        Values are JSON's and bytes; other things come back as their repr.
        """
        self.soon(code, **values)
        return self.answer()

    def soon(self, code: str, /, **values: object) -> None:
        """Like `run`, but do not wait for its end: for code that opens a dialog. `answer` does."""
        if self._owed:
            self.answer()
        self._send({"code": code, "values": values})
        self._owed = True

    def answer(self) -> Any:
        """What the code sent by `soon` returns."""
        self._owed = False
        answer = self._receive()
        if "error" in answer:
            raise GimpError(answer["error"])
        return answer["result"]

    def until(self, expression: str, /, seconds: float = 20.0, **values: object) -> Any:
        """Wait until an expression is true and return its value."""
        return self._wait(lambda: self.run(expression, **values), f"not true: {expression}", seconds)

    def path(self, name: str) -> tuple[Path, str]:
        """A file that both share, as the test and as GIMP call it."""
        return self.home.outside / name, str(self.home.inside / name)

    def forget(self) -> None:
        """All names but those of the tools."""
        self._send({"tools": self._tools})
        self.answer()

    def clean(self) -> None:
        """Close all images and what a failed test has left open, and forget its names."""
        if self._owed or (self.screen and not all(map(_is_gimps_own, self.windows()))):
            self.restart()
        self.run(CLEAN)
        self.forget()

    def check(self) -> None:
        """Raise GimpError where a plug-in has printed an exception or has crashed since the last check."""
        log = self.log.read_text(errors="replace")
        new, self._seen = log[self._seen :], len(log)
        if found := FAULTS.search(new):
            raise GimpError(f"A plug-in has failed:\n{new[found.start() :]}")

    def last_words(self) -> str:
        """The end of GIMP's log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-LOG_LINES:])

    # Windows, mouse and keyboard

    def windows(self) -> dict[str, str]:
        """Titles of the windows that are shown, and their ids."""
        ids = self._xdotool("search", "--onlyvisible", "--name", ".").split()
        return {title: id for id in ids if (title := self._xdotool("getwindowname", id))}

    def window(self, title: str, seconds: float = WINDOW_SECONDS) -> str:
        """Wait for a window by the start of its title; its id."""
        return self._wait(lambda: self._shown(title), f"no window {title!r}", seconds)

    def gone(self, title: str, seconds: float = WINDOW_SECONDS) -> None:
        """Wait until there is no such window."""
        self._wait(lambda: not self._shown(title), f"still there: {title!r}", seconds)

    def image_window(self) -> str:
        """The id of the window with the image that is shown."""

        def found() -> str:
            return next((id for title, id in self.windows().items() if title.endswith(GIMPS_OWN[1])), "")

        return self._wait(found, "no image is shown", WINDOW_SECONDS)

    def focus(self, window: str) -> None:
        """Give a window the keyboard. window: an id, or the start of a title."""
        id = window if window.isdecimal() else self.window(window)
        self._wait(lambda: self._has_keyboard(id), f"no keyboard for {window!r}", WINDOW_SECONDS)

    def key(self, window: str, *keys: str) -> None:
        """Press keys one after the other in a window, each as in "ctrl+shift+z"."""
        self.focus(window)
        for one in keys:
            self._xdotool("key", one)
            time.sleep(KEY_SECONDS)

    def type(self, text: str) -> None:
        """Type into the window that has the keyboard."""
        self._xdotool("type", "--delay", "10", text)

    def click(self, window: str, x: int, y: int) -> None:
        """Click on a window. x, y: pixels from its left and top, negative ones from its right and bottom."""
        id = window if window.isdecimal() else self.window(window)
        shape = dict(re.findall(r"(\w+)=(-?\d+)", self._xdotool("getwindowgeometry", "--shell", id)))
        x, y = x % int(shape["WIDTH"]), y % int(shape["HEIGHT"])
        self._xdotool("mousemove", "--window", id, str(x), str(y), "click", "1")

    def click_cancel(self) -> None:
        """GIMP's own button, beside the progress bar below the image: it kills the plug-in."""
        self.click(self.image_window(), *CANCEL)

    def shot(self, name: str) -> Path:
        """Photograph the screen into out/gimp/NAME.png."""
        assert self.screen, "a GIMP in batch shows nothing"
        return self.screen.photograph(SHOTS / f"{name}.png")

    def _has_keyboard(self, id: str) -> bool:
        """Give it to a window; whether that still has it a moment later, for windows that come take it as well."""
        self._xdotool("windowfocus", "--sync", id)
        time.sleep(KEY_SECONDS)
        return self._xdotool("getwindowfocus", "-f") == id

    def _own_window(self) -> str:
        return next(filter(_is_gimps_own, self.windows()), "")

    def _shown(self, title: str) -> str:
        return next((id for shown, id in self.windows().items() if shown.startswith(title)), "")

    def _xdotool(self, *words: str) -> str:
        assert self.screen, "a GIMP in batch has no windows"
        variables = {**os.environ, "DISPLAY": self.screen.display}
        done = subprocess.run(["xdotool", *words], env=variables, capture_output=True, text=True, check=False)
        return done.stdout.strip()  # it fails where nothing is found, or a window has just been closed

    # The wire

    def _send(self, message: dict[str, object] | None) -> None:
        if not self.running:
            raise GimpError("GIMP does not run")
        try:
            self._socket.sendall(json.dumps(message, default=_packed).encode() + b"\n")
        except OSError:
            raise self._ended() from None

    def _receive(self) -> dict[str, Any]:
        deadline = time.monotonic() + ANSWER_SECONDS
        while b"\n" not in self._received:
            if not select.select([self._socket], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise self._hangs()
            try:
                data = self._socket.recv(1 << 20)
            except ConnectionError:
                data = b""
            if not data:
                raise self._ended()
            self._received += data
        line, _, self._received = self._received.partition(b"\n")
        message: dict[str, Any] = json.loads(line, object_hook=_unpacked)
        return message

    def _wait(self, what: Callable[[], Found], words: str, seconds: float) -> Found:
        deadline = time.monotonic() + seconds
        while not (value := what()):
            if self._process.poll() is not None:
                raise self._ended()
            if time.monotonic() > deadline:
                if self._owed and select.select([self._socket], [], [], 0)[0]:
                    self.answer()  # it may be an exception that explains it
                shown = f"; shown are {list(self.windows())}" if self.screen else ""
                raise self._failed(f"after {seconds} s {words}{shown}")
            time.sleep(POLL_SECONDS)
        return value

    def _hangs(self) -> GimpError:
        os.kill(self._agent, signal.SIGUSR1)  # the agent prints its tracebacks then
        time.sleep(0.5)
        self._end()
        return self._failed(f"GIMP has not answered for {ANSWER_SECONDS} s; this is where it was")

    def _ended(self) -> GimpError:
        """The agent is gone, and soon GIMP with it."""
        code = self._process.wait(ANSWER_SECONDS)
        self._end()
        name = f" ({signal.Signals(-code).name})" if code < 0 else ""
        return self._failed(f"GIMP has ended with exit code {code}{name}")

    def _end(self) -> None:
        self.running = False
        self._process.kill()
        self._process.wait()
        self._socket.close()

    def _failed(self, sentence: str) -> GimpError:
        return GimpError(f"{sentence}\n{self.last_words()}")


def _is_gimps_own(title: str) -> bool:
    return title.endswith(GIMPS_OWN)


def _packed(value: object) -> dict[str, str]:
    if isinstance(value, bytes):
        return {"bytes": base64.b64encode(value).decode()}
    raise TypeError(f"{value!r} cannot be sent to GIMP")


def _unpacked(found: dict[str, Any]) -> Any:
    return base64.b64decode(found["bytes"]) if found.keys() == {"bytes"} else found
