"""One daemon per user: a lock that the system releases by itself when its holder dies.

The file holds its holder's process id, so that a daemon that hangs can be ended by those that wait for it.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import IO

from glaze_plugin import places

FAR = 1 << 30
"""Where Windows locks: beyond the content, which others may then read."""
PATIENCE_SECONDS = 0.5
"""s for which a holder tries: somebody may just be asking whether the lock is held."""


class AlreadyRunning(Exception):
    """Another process holds the lock."""


def lock_file() -> Path:
    """Lies with the jobs, which it guards: two daemons must never share them."""
    return places.state() / "daemon.lock"


def hold() -> IO[str]:
    """Take the lock for the life of the returned file. Raises AlreadyRunning."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    file = open(  # noqa: SIM115, it stays open as long as the lock is held
        os.open(lock_file(), os.O_RDWR | os.O_CREAT, 0o600), "r+", encoding="utf-8"
    )
    while not _take(file):
        if time.monotonic() > deadline:
            file.close()
            raise AlreadyRunning
        time.sleep(0.05)
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def still_ours(file: IO[str]) -> bool:
    """Whether the lock file that others see is still the one that is held here; somebody may have deleted it."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), lock_file().stat())
    except OSError:
        return False


def holder() -> int | None:
    """Process id of the living daemon, 0 where it has not written it yet, None where none lives."""
    try:
        with open(lock_file(), "r+", encoding="utf-8") as file:
            if _take(file):
                return None
            content = file.read()
    except OSError:
        return None
    return int(content) if content.isdecimal() else 0


def _take(file: IO[str]) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(FAR)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            file.seek(0)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.seek(0)
        return False
    return True
