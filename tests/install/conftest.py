"""Homes as each system has them, in which nothing is installed yet."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from glaze_plugin.install import common


@pytest.fixture(autouse=True)
def artist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An artist's home without any painting program, whose path has a space and a letter beyond ASCII."""
    home = tmp_path / "home ü"
    home.mkdir()
    for variable in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "APPDATA", "LOCALAPPDATA", "PROGRAMFILES"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PATH", str(home / "bin"))
    monkeypatch.setenv("GLAZE_HOME", str(home / "glaze"))
    monkeypatch.setattr(common, "SYSTEM_FLATPAKS", home / "flatpaks")
    return home


@contextmanager
def running(program: Path) -> Iterator[None]:
    """A process of that name, which Linux gives it a moment after Popen has seen it begin."""
    shutil.copy("/bin/sleep", program)
    with subprocess.Popen([program, "60"]) as process:
        deadline = time.monotonic() + 20
        while Path(f"/proc/{process.pid}/comm").read_text() != f"{program.name[:15]}\n":
            assert time.monotonic() < deadline
        yield
        process.kill()


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def files_in(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones too."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
