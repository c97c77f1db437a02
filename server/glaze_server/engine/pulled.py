"""What was downloaded into an encoder's folder: written down beside it, and checked ever after. No torch here.

A checksum that `catalogue` does not know in advance is trusted at the first download; from then on the files must stay
what they were.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from glaze_plugin import places
from glaze_plugin.errors import GlazeError

RECORD = "pulled.json"
BLOCK = 2**20


@dataclass(frozen=True)
class Kept:
    """One downloaded file. size: bytes."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Record:
    """A download. revision: the commit that the hub gave. files: all of them; without this record they do not count."""

    repository: str
    revision: str
    files: tuple[Kept, ...]


def sha256(path: Path, tick: Callable[[int], None] = lambda _: None) -> str:
    """Hexadecimal SHA-256 of a file. tick: called with the bytes that were read since its last call."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
            tick(len(block))
    return digest.hexdigest()


def write(folder: Path, record: Record) -> None:
    """Put the record into its folder, whole or not at all. Raises OSError."""
    with places.whole(folder / RECORD) as beside:
        beside.write_text(json.dumps(asdict(record), indent=2), encoding="utf-8")


def read(folder: Path) -> Record | None:
    """The record of a folder, None where there is none or it cannot be read."""
    try:
        found: dict[str, Any] = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        files = tuple(Kept(str(one["name"]), int(one["size"]), str(one["sha256"])) for one in found["files"])
        return Record(str(found["repository"]), str(found["revision"]), files)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def check(folder: Path, record: Record) -> None:
    """Raises GlazeError where a file is not what was downloaded."""
    for kept in record.files:
        path = folder / kept.name
        try:
            same = path.stat().st_size == kept.size and sha256(path) == kept.sha256
        except OSError:
            same = False
        if not same:
            raise GlazeError(
                "broken_weights",
                f"The file {path} is no longer what was downloaded.",
                f"Run `glaze models pull {folder.name}` to fetch it again.",
            )


def whole(folder: Path, record: Record) -> bool:
    """Whether all files are what was downloaded."""
    try:
        check(folder, record)
    except GlazeError:
        return False
    return True
