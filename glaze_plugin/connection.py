"""The connection file: the only thing that a client and the daemon share. Whoever can read it may connect."""

from __future__ import annotations

import ipaddress
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from glaze_plugin import places

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


def write_connection(connection: Connection) -> None:
    places.private(connection_file().parent)
    places.write_json(connection_file(), asdict(connection))


def read_connection() -> Connection | None:
    """The connection file's content, or None where there is none that can be used."""
    try:
        content = json.loads(connection_file().read_text(encoding="utf-8"))
        values = {name: content[name] for name in Connection.__dataclass_fields__}
        good = all(type(values[name]) is kind for name, kind in KINDS.items()) and ipaddress.ip_address(values["host"])
        return Connection(**values) if good else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
