"""Finding the daemon: the connection file, the TCP link, and starting a daemon where none runs.

The connection file is the only thing that a client and the daemon share. Whoever can read it may connect.
"""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from glaze_plugin import __version__, places
from glaze_plugin.errors import DaemonUnavailable
from glaze_plugin.messages import (
    MAX_HEADER,
    MAX_PAYLOAD,
    Hello,
    Message,
    Refused,
    Welcome,
    from_frames,
    to_frames,
)
from glaze_plugin.zmtp import Buffer, Dealer, ZmtpError

CLIENT_USER = b"client"
PING_SECONDS = 1.5
SILENCE_SECONDS = 5.0
"""s without a byte from the daemon after which it counts as hanging."""
RESTART_SECONDS = 0.3
START_SECONDS = 20.0
"""s that a daemon may take from its start to its first answer."""


@dataclass(frozen=True)
class Connection:
    """What the connection file says. token: hex, fresh at each start of the daemon. started: Unix time, s."""

    host: str
    port: int
    token: str
    pid: int
    protocol: int
    version: str
    started: float


def connection_file() -> Path:
    return places.runtime() / "connection.json"


def launch_file() -> Path:
    """Remembers the command that starts the daemon, for front ends that run on another Python."""
    return places.state() / "launch.json"


def write_json(path: Path, content: object) -> None:
    """Write a file that only this user can read, whole or not at all."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            json.dump(content, file)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def write_connection(connection: Connection) -> None:
    places.private(connection_file().parent)
    write_json(connection_file(), asdict(connection))


def read_connection() -> Connection | None:
    """The connection file's content, or None where there is none that can be used."""
    try:
        content = json.loads(connection_file().read_text(encoding="utf-8"))
        return Connection(**{name: content[name] for name in Connection.__dataclass_fields__})
    except (OSError, ValueError, KeyError, TypeError):
        return None


class Link:
    """An authenticated connection to the daemon that carries messages. Never blocks but in `wait`."""

    def __init__(self, connection: Connection, timeout: float = SILENCE_SECONDS) -> None:
        self.connection = connection
        self._socket = socket.create_connection((connection.host, connection.port), timeout)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setblocking(False)
        self._dealer = Dealer(CLIENT_USER, connection.token.encode(), max(MAX_HEADER, MAX_PAYLOAD))
        self._unsent: list[Buffer] = []
        self._last_heard = self._last_ping = time.monotonic()

    def fileno(self) -> int:
        """For QSocketNotifier, GLib watches and select. Readable means: call `receive`."""
        return self._socket.fileno()

    @property
    def wants_write(self) -> bool:
        """True while bytes are waiting for the socket; call `flush` when it is writable."""
        return bool(self._unsent)

    def send(self, msg: Message) -> None:
        self._dealer.send(to_frames(msg))
        self.flush()

    def flush(self) -> None:
        """Write what the socket takes now. Raises DaemonUnavailable when the daemon is gone."""
        self._unsent.extend(self._dealer.take_output())
        sent = 0
        try:
            for buffer in self._unsent:
                count = self._socket.send(buffer)
                if count < len(buffer):
                    self._unsent[sent] = memoryview(buffer)[count:]
                    break
                sent += 1
        except BlockingIOError:
            pass
        except OSError as error:
            raise _gone() from error
        finally:
            del self._unsent[:sent]

    def receive(self) -> list[Message]:
        """Messages that have come, without waiting. Raises DaemonUnavailable when the daemon is gone or hangs."""
        messages: list[Message] = []
        while True:
            try:
                data = self._socket.recv(1 << 20)
            except BlockingIOError:
                break
            except OSError as error:
                raise _gone() from error
            if not data:
                raise _gone()
            self._last_heard = time.monotonic()
            messages.extend(from_frames(frames) for frames in self._dealer.receive(data))
        self._heartbeat()
        self.flush()
        return messages

    def wait(self, seconds: float) -> list[Message]:
        """Messages that come within `seconds`; returns at the first ones."""
        deadline = time.monotonic() + seconds
        while True:
            self.flush()
            left = max(0.0, deadline - time.monotonic())
            writing = [self._socket] if self.wants_write else []
            select.select([self._socket], writing, [], min(left, PING_SECONDS))
            messages = self.receive()
            if messages or time.monotonic() >= deadline:
                return messages

    def close(self) -> None:
        self._socket.close()

    def _heartbeat(self) -> None:
        now = time.monotonic()
        if now - self._last_ping >= PING_SECONDS:
            if now - self._last_ping > 2 * SILENCE_SECONDS:
                self._last_heard = now  # this process itself was asleep; the daemon gets its time again
            self._last_ping = now
            self._dealer.ping()
        if now - self._last_heard > SILENCE_SECONDS:
            raise DaemonUnavailable(
                "daemon_silent",
                f"The Glaze daemon has not answered for {SILENCE_SECONDS:.0f} seconds.",
                "Restart it with `glaze daemon stop`, or wait if the machine is busy.",
            )


def _gone() -> DaemonUnavailable:
    return DaemonUnavailable(
        "daemon_gone", "The Glaze daemon has stopped.", "Start the job again; the daemon restarts by itself."
    )


def open_link(connection: Connection, client: str) -> tuple[Link, Welcome]:
    """Connect and greet. Raises OSError (ZmtpError included) where no daemon of ours answers."""
    link = Link(connection)
    try:
        link.send(Hello(client=client, version=__version__))
        deadline = time.monotonic() + SILENCE_SECONDS
        while time.monotonic() < deadline:
            for msg in link.wait(0.2):
                if isinstance(msg, Welcome):
                    return link, msg
                if isinstance(msg, Refused):
                    raise DaemonUnavailable(msg.code, msg.sentence, msg.remedy)
        raise ZmtpError("No welcome came.")
    except BaseException:
        link.close()
        raise


def find_daemon(client: str) -> tuple[Link, Welcome] | None:
    """A greeted link to the running daemon, or None where none runs.

    Raises DaemonUnavailable where one runs that cannot be used (another protocol version).
    """
    connection = read_connection()
    if connection is None:
        return None
    try:
        return open_link(connection, client)
    except DaemonUnavailable as error:
        if error.code == "daemon_gone":
            return None
        raise
    except OSError:
        return None


def start_command() -> list[str]:
    """The command that runs the daemon: this Python's own server, else the one that ran last.

    Raises DaemonUnavailable where the server was never installed.
    """
    if find_spec("glaze_server") and find_spec("zmq"):
        return [sys.executable, "-m", "glaze_server"]
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
    """Start a daemon that outlives this process; what it prints goes to the log."""
    command = start_command()
    environment = dict(os.environ)
    for name in ("PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH"):  # a host's own Python must not leak into ours
        environment.pop(name, None)
    log = places.private(places.state()) / "daemon.out"
    options: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        options = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.DETACHED_PROCESS}
    with open(log, "wb") as output:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment, **options
        )


def connect(client: str, on_wait: Callable[[str], None] | None = None) -> tuple[Link, Welcome]:
    """A greeted link to the daemon, started first where none runs.

    client: name of the front end, shown in job lists. on_wait: told in words what is being waited for.
    Raises DaemonUnavailable, after START_SECONDS at most.
    """
    found = find_daemon(client)
    if found:
        return found
    if on_wait:
        on_wait("Starting the Glaze daemon")
    process = start_daemon()
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        found = find_daemon(client)
        if found:
            return found
        code = process.poll()
        if code is not None and code > 0:
            break
        if code is not None:  # another one was there first, but may have died since; or this one was killed
            time.sleep(RESTART_SECONDS)
            process = start_daemon()
        time.sleep(0.05)
    raise DaemonUnavailable("start_failed", f"The Glaze daemon did not start: {_last_words()}")


def _last_words() -> str:
    """The last line that the daemon printed, which says why it stopped."""
    log = places.state() / "daemon.out"
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        lines = []
    return lines[-1] if lines else f"it gave no reason; see {log}."
