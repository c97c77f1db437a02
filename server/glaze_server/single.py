"""One daemon per user: a lock that the system releases by itself when its holder dies."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import IO


class AlreadyRunning(Exception):
    """Another process holds the lock."""


def hold(path: Path) -> IO[str]:
    """Lock `path` for the life of the returned file. Raises AlreadyRunning."""
    file = open(  # noqa: SIM115, it stays open as long as the lock is held
        os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+", encoding="utf-8"
    )
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise AlreadyRunning from None
    return file
