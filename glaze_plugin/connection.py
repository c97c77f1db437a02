"""The connection file: the only thing that a client and the daemon share. Whoever can read it may connect.

A copy lies beside the lock, for programs that are told of another runtime folder than the daemon was (cron, su).
"""

from __future__ import annotations

import ipaddress
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from glaze_plugin import lock, places

CLIENT_USER = b"client"
KINDS = {"host": str, "port": int, "token": str, "pid": int}


@dataclass(frozen=True)
class Connection:
    """What the connection file says. token: hex, fresh at each start of the daemon. started: Unix time, s."""

    host: str
    port: int
    token: str
    pid: int
    version: str
    started: float

    @property
    def exposed(self) -> bool:
        """Whether other machines may reach the daemon: nothing on the wire is encrypted."""
        return not ipaddress.ip_address(self.host).is_loopback


def connection_file() -> Path:
    return places.runtime() / "connection.json"


def _files() -> tuple[Path, Path]:
    return lock.lock_file().with_name("connection.json"), connection_file()


def write_connection(connection: Connection) -> None:
    """Raises OSError, and DaemonUnavailable where a folder cannot be created."""
    for file in _files():
        places.private(file.parent)
        places.write_json(file, asdict(connection))


def is_written(connection: Connection) -> bool:
    """Whether everybody finds it."""
    return all(_read(file) == connection for file in _files())


def remove_connection(connection: Connection) -> None:
    """Remove it, unless another daemon's has taken its place."""
    for file in _files():
        if _read(file) == connection:
            file.unlink(missing_ok=True)


def read_connection() -> Connection | None:
    """The connection file's content, or None where there is none that can be used.

    The copy beside the lock counts where it is of the daemon that holds the lock.
    """
    copy, found = (_read(file) for file in _files())
    return copy if copy and copy != found and copy.pid == lock.holder() else found


def _read(file: Path) -> Connection | None:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        values = {name: content[name] for name in Connection.__dataclass_fields__}
        good = all(type(values[name]) is kind for name, kind in KINDS.items()) and ipaddress.ip_address(values["host"])
        return Connection(**values) if good else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
