"""The way to the daemon: find the one that runs, start one where none does, end one that hangs."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from glaze_plugin import __version__, lock, places
from glaze_plugin.connection import read_connection
from glaze_plugin.errors import DaemonUnavailable
from glaze_plugin.link import SILENCE_SECONDS, Link, silent
from glaze_plugin.messages import Hello, Refused, Welcome

RESTART_SECONDS = 0.3
START_SECONDS = 60.0
"""s that a daemon may take from its start to its first answer; on a cold disk much of it goes by."""
STOP_SECONDS = 10.0
"""s after which a daemon that was asked to stop is ended by force. No job is lost by that."""
FOREIGN_SECONDS = 2.0
"""s that something on the port may be silent where no daemon of this user lives."""
POLL_SECONDS = 0.05
FORCE = getattr(signal, "SIGKILL", signal.SIGTERM)
"""Windows has SIGTERM alone, which is as strong there."""

NO_WINDOW: int = getattr(subprocess, "CREATE_NO_WINDOW", 0)
"""For processes in the background: on Windows they and their children show no console window."""

Greeted = tuple[Link, Welcome]


class Search:
    """Reaches the daemon a step at a time, so that a program with windows never waits.

    words: what is being waited for, to show to people; "" while there is nothing worth saying.
    """

    def __init__(self, client: str, start: bool = True) -> None:
        """client: name of the front end, for the daemon's log. start: start a daemon where none runs."""
        self.words = ""
        self._client = client
        self._start = start
        self._link: Link | None = None
        self._since = self._begun = time.monotonic()
        self._process: subprocess.Popen[bytes] | None = None
        self._not_before = 0.0

    def step(self) -> Greeted | None:
        """The greeted link once there is one. Call it about every POLL_SECONDS until then.

        Raises DaemonUnavailable when waiting longer is of no use: `not_running` (only without `start`),
        `daemon_silent`, `wrong_version`, `start_failed`, `not_installed`.
        """
        if self._link is None:
            self._open()
        if self._link is not None:
            try:
                return self._greet(self._link)
            except DaemonUnavailable as error:
                self._drop()
                if error.code not in ("daemon_gone", "not_ours"):
                    raise
        self._start_or_wait()
        return None

    def wait(self, on_wait: Callable[[str], None] | None = None) -> Greeted:
        """Step until there is a link. on_wait: called with `words` whenever they change."""
        said = ""
        while True:
            found = self.step()
            if found:
                return found
            if on_wait and self.words and self.words != said:
                on_wait(self.words)
            said = self.words
            if self._link:
                select.select([self._link], [self._link] if self._link.wants_write else [], [], POLL_SECONDS)
            else:
                time.sleep(POLL_SECONDS)

    def close(self) -> None:
        """Give up."""
        self._drop()

    def _open(self) -> None:
        connection = read_connection()
        if connection is None:
            return
        self._since = time.monotonic()
        try:
            self._link = Link(connection)
            self._link.send(Hello(client=self._client, version=__version__))
        except DaemonUnavailable:
            self._drop()

    def _greet(self, link: Link) -> Greeted | None:
        if read_connection() != link.connection:
            raise DaemonUnavailable("not_ours", "Another daemon has come up since.")
        for msg in link.receive():
            if isinstance(msg, Welcome):
                self._link = None
                return link, msg
            if isinstance(msg, Refused):
                raise DaemonUnavailable(msg.code, msg.sentence, msg.remedy)
        if time.monotonic() - self._since > FOREIGN_SECONDS and lock.holder() is None:
            raise DaemonUnavailable("not_ours", "Another program is silent on the Glaze daemon's port.")
        return None

    def _drop(self) -> None:
        if self._link:
            self._link.close()
            self._link = None

    def _start_or_wait(self) -> None:
        """Nobody has answered: wait for a daemon that is just starting or stopping, or start one."""
        if self._link is not None:
            return
        waited = time.monotonic() - self._begun
        holder = lock.holder()
        if holder is not None:
            self.words = self.words or "Waiting for the Glaze daemon"
            connection = read_connection()
            starting = connection is None or connection.pid != holder
            if waited > (START_SECONDS if starting else SILENCE_SECONDS):
                raise silent()
            return
        if not self._start:
            raise DaemonUnavailable("not_running", "No Glaze daemon is running.", "`glaze daemon start` starts it.")
        self.words = "Starting the Glaze daemon"
        code = self._process.poll() if self._process else None
        if code is not None and code > 0:
            raise DaemonUnavailable("start_failed", f"The Glaze daemon did not start: {last_words(_output())}")
        if waited > START_SECONDS:
            raise DaemonUnavailable(
                "start_failed",
                f"The Glaze daemon has not come up within {START_SECONDS:.0f} seconds.",
                "`glaze doctor` looks for the reason.",
            )
        if (self._process is None or code is not None) and time.monotonic() >= self._not_before:
            self._process = start_daemon()  # once more where one that came first has died since
            self._not_before = time.monotonic() + RESTART_SECONDS


def connect(client: str, on_wait: Callable[[str], None] | None = None) -> Greeted:
    """A greeted link to the daemon, started where none runs. Raises DaemonUnavailable as `Search.step` does."""
    return Search(client).wait(on_wait)


def find_daemon(client: str) -> Greeted | None:
    """A greeted link to the running daemon, or None where none runs.

    Raises DaemonUnavailable where one lives that cannot be used: it hangs, or speaks another protocol version.
    """
    try:
        return Search(client, start=False).wait()
    except DaemonUnavailable as error:
        if error.code == "not_running":
            return None
        raise


def end_daemon() -> bool:
    """End the living daemon, whatever version it is and whether or not it answers; False where none lives.

    Its jobs wait on the disk for the next one. Raises DaemonUnavailable where it cannot be ended.
    """
    pid = lock.holder()
    if pid is None:
        return False
    if pid:
        _signal(pid, signal.SIGTERM)
    wait_for_end(pid)
    return True


def kill_daemon() -> None:
    """End the living daemon by force, at once and without waiting. Its jobs wait on the disk for the next one.

    Raises DaemonUnavailable where that is impossible.
    """
    pid = lock.holder()
    if pid:
        _signal(pid, FORCE)


def wait_for_end(pid: int) -> None:
    """Wait until that daemon lives no longer; after STOP_SECONDS end it by force. Raises DaemonUnavailable."""
    deadline = time.monotonic() + STOP_SECONDS
    forced = False
    while lock.holder() == pid:
        if time.monotonic() > deadline:
            if forced or not pid:
                raise DaemonUnavailable("will_not_stop", "The Glaze daemon does not stop.", "Look into its log.")
            _signal(pid, FORCE)
            forced, deadline = True, deadline + STOP_SECONDS
        time.sleep(POLL_SECONDS)


def _signal(pid: int, number: int) -> None:
    if "FLATPAK_ID" in os.environ:  # where the daemon's process id is somebody else's
        raise DaemonUnavailable(
            "sandboxed", "A Flatpak's sandbox cannot stop the Glaze daemon.", "Stop it outside: `glaze daemon restart`."
        )
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass
    except OSError as error:
        raise DaemonUnavailable("will_not_stop", f"The Glaze daemon cannot be stopped: {error.strerror}.") from error


def launch_file() -> Path:
    """Remembers the command that starts the daemon, for front ends that run on another Python."""
    return places.state() / "launch.json"


def server_command() -> list[str]:
    """The command that runs the daemon by this Python. -P: nothing is imported from the folder that it runs in."""
    return [sys.executable, "-P", "-m", "glaze_server"]


def start_command() -> list[str]:
    """The command that runs the daemon: this Python's own server, else the one that ran last.

    Raises DaemonUnavailable where the server was never installed.
    """
    if "FLATPAK_ID" in os.environ:
        raise DaemonUnavailable(
            "sandboxed", "A Flatpak's sandbox cannot start the Glaze daemon.", "Start it outside: `glaze daemon start`."
        )
    if find_spec("glaze_server") and find_spec("zmq"):
        return server_command()
    try:
        command = json.loads(launch_file().read_text(encoding="utf-8"))["command"]
        if isinstance(command, list) and command and Path(command[0]).exists():
            return [str(word) for word in command]
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise DaemonUnavailable(
        "not_installed",
        "The Glaze daemon is not installed on this computer.",
        "Install it with `pip install 'glaze-plugin[server]'`.",
    )


def start_daemon() -> subprocess.Popen[bytes]:
    """Start a daemon that outlives this process; what it prints goes to the log.

    It runs in its own folder, so that the caller's can be removed, and nothing is imported from there. What
    GLAZE_PYTHONPATH names it does import from: the tests' engines lie there.
    """
    command = start_command()
    environment = dict(os.environ)
    for name in ("PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH"):  # a host's own Python must not leak into ours
        environment.pop(name, None)
    if "GLAZE_PYTHONPATH" in environment:
        environment["PYTHONPATH"] = environment["GLAZE_PYTHONPATH"]
    if environment.get("GLAZE_HOME"):
        environment["GLAZE_HOME"] = str(Path(environment["GLAZE_HOME"]).absolute())
    folder = places.private(places.state())
    options: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        options = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | NO_WINDOW}
    try:
        with open(_output(), "wb") as output:
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=folder, env=environment, **options
            )
    except OSError as error:
        raise DaemonUnavailable("start_failed", f"The Glaze daemon cannot be started: {error.strerror}.") from error


def last_words(output: Path) -> str:
    """The last line that a process printed into a file, which says why it stopped."""
    try:
        lines = output.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        lines = []
    return lines[-1] if lines else f"it gave no reason; see {output}."


def _output() -> Path:
    return places.state() / "daemon.out"
