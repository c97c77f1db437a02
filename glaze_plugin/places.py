"""Where Glaze keeps its files on each system. Nothing here creates a folder but `private`.

``GLAZE_HOME`` moves everything below one folder (used by tests and by people with a full home).
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from glaze_plugin.errors import DaemonUnavailable


def _system_folder(xdg_variable: str, xdg_default: str, mac: str) -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / mac
    if "FLATPAK_ID" in os.environ and xdg_variable != "XDG_RUNTIME_DIR":
        xdg_variable = f"HOST_{xdg_variable}"  # the sandbox's own points away from the daemon's
    return Path(os.environ.get(xdg_variable) or Path.home() / xdg_default)


def _place(name: str, xdg_variable: str, xdg_default: str, mac: str) -> Path:
    home = os.environ.get("GLAZE_HOME")
    if home:
        return Path(home) / name
    folder = _system_folder(xdg_variable, xdg_default, mac) / "glaze"
    return folder / name if sys.platform == "win32" else folder


def runtime() -> Path:
    """The connection file; belongs to one user on one machine, and does not outlast a session everywhere."""
    return _place("run", "XDG_RUNTIME_DIR", ".cache", "Library/Caches")


def state() -> Path:
    """Jobs and logs, the lock that guards them, and a copy of the connection file."""
    return _place("state", "XDG_STATE_HOME", ".local/state", "Library/Application Support")


def cache() -> Path:
    """What can be made again: converted weights, and what was found out about the processor."""
    return _place("cache", "XDG_CACHE_HOME", ".cache", "Library/Caches")


def models() -> Path:
    """Encoder weights, those that were downloaded and those that the artist put there."""
    return _place("models", "XDG_DATA_HOME", ".local/share", "Library/Application Support") / "encoders"


def painters() -> Path:
    """Diffusion models that the artist put there, each a folder."""
    return _place("models", "XDG_DATA_HOME", ".local/share", "Library/Application Support") / "diffusion"


def other(name: str) -> Path:
    """The model of that name by which studies of mimicry are scored, downloaded or put there."""
    return painters().with_name(name)


def artist() -> Path:
    """The file that says towards which style the artist's works are drawn."""
    return _place("artist", "XDG_DATA_HOME", ".local/share", "Library/Application Support") / "style.json"


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A file beside `path` to write to; it replaces that when all went well and vanishes otherwise."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield beside
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def write_json(path: Path, content: object) -> None:
    """Write a file that only this user can read, whole or not at all."""
    with whole(path) as beside:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            json.dump(content, file)


def private(folder: Path) -> Path:
    """Create `folder` for this user alone (mode 0700) and return it.

    Raises DaemonUnavailable where that is impossible (a read-only home, a full disk).
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise DaemonUnavailable(
            "no_folder",
            f"Glaze cannot create its folder {folder}: {error.strerror}.",
            "Make it writable, or set GLAZE_HOME to a folder of yours.",
        ) from error
    return folder
