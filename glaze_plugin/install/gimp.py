"""GIMP: where each keeps its plug-ins, and why it may not show one.

A folder of settings is GIMP's to make: where one is there already, a new GIMP does not take over the settings of the
one before (measured with GIMP 3.0.4). So the add-on goes to every GIMP 3 that has been started once.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from glaze_plugin.errors import BadInput
from glaze_plugin.install import common
from glaze_plugin.install.common import App, Files, Host, folder

ADDON = "glaze_gimp"
PROGRAM = f"{ADDON}/{ADDON}.py"
"""GIMP starts a plug-in by a file that is called like its folder."""
FLATPAK = "org.gimp.GIMP"
OLDEST = (3, 0)
ASK_PYTHON = "import gi; gi.require_version('Gimp', '3.0')"
ASK_SECONDS = 20.0


@dataclass(frozen=True)
class Gimp(App):
    """One version's settings. folder: its plug-ins."""

    TARGETS = (ADDON,)
    CARRIED = f"{ADDON}/glaze_plugin"
    PROGRAM = PROGRAM

    def misplaced(self) -> Iterator[str]:
        for pattern in (f"{ADDON}.py", f"*/{ADDON}.py", f"*/*/{ADDON}.py"):
            for path in sorted(self.folder.glob(pattern)):
                if path != self.folder / PROGRAM and not path.parent.name.startswith(f".{ADDON}"):
                    yield f"GIMP does not load {path}: the file has to be {self.folder / PROGRAM}."

    def unusable(self) -> Iterator[str]:
        program = self.folder / PROGRAM
        if sys.platform != "win32" and program.exists() and not program.stat().st_mode & 0o100:
            yield f"{program} may not be executed, so GIMP passes it over."

    def obstacle(self) -> str:
        return "" if self.sandboxed else python_fault()


def addon() -> Files:
    """The add-on of this version. Raises GlazeError where this installation of Glaze lacks a part of it."""
    source = common.SOURCES / "gimp_addon"
    parts = {PROGRAM: source / PROGRAM}
    for path in (source / ADDON).rglob("*"):
        if path.suffix != ".pyc" and not path.is_dir():
            parts[path.relative_to(source).as_posix()] = path
    return common.contents(parts, Gimp.CARRIED, "GIMP")


# ---- where ---------------------------------------------------------------------------------------


def gimps() -> list[Gimp]:
    """Every GIMP 3 of this user's that has been started once."""
    found: dict[Path, Gimp] = {}
    for kind, settings in _settings():
        for number in sorted(settings.glob("*.*"), key=_version):
            if _version(number) >= OLDEST and number.is_dir():
                name = f"GIMP {number.name} ({kind})" if kind else f"GIMP {number.name}"
                gimp = Gimp(name, number / "plug-ins", sandboxed=kind == "Flatpak")
                found.setdefault(number.resolve(), gimp)  # a Flatpak's may be a link to the usual one
    return list(found.values())


def _settings() -> Iterator[tuple[str, Path]]:
    """Where GIMPs keep the settings of their versions; a Flatpak uses the usual folder where that is there."""
    if sys.platform == "win32":
        yield "", folder("APPDATA", "AppData/Roaming") / "GIMP"
    elif sys.platform == "darwin":
        yield "", Path.home() / "Library" / "Application Support" / "GIMP"
    else:
        yield "", folder("XDG_CONFIG_HOME", ".config") / "GIMP"
        yield "Flatpak", Path.home() / ".var" / "app" / FLATPAK / "config" / "GIMP"
        yield "Snap", Path.home() / "snap" / "gimp" / "current" / ".config" / "GIMP"


def _version(number: Path) -> tuple[int, ...]:
    return tuple(map(int, number.name.split("."))) if re.fullmatch(r"\d+\.\d+", number.name) else ()


def absent() -> BadInput:
    """What to say where there is no GIMP 3."""
    older = any(_version(number) for _, settings in _settings() for number in settings.glob("*.*"))
    which = "Only a GIMP older than 3.0" if older else "No GIMP 3"
    return BadInput("no_gimp", f"{which} was found on this computer.", "Start GIMP 3 once and try this again.")


# ---- its Python ----------------------------------------------------------------------------------


def python_fault() -> str:
    """Why the Python that GIMP takes for its plug-ins is none that can use GIMP; "" where nothing is wrong.

    Linux's own GIMP runs them by the first python3 of its PATH. The other GIMPs bring their Python along.
    """
    program = shutil.which("gimp")
    if sys.platform != "linux" or not program:
        return ""
    prefix = Path(program).resolve().parent.parent
    if not [*prefix.glob("lib*/gimp/3.0"), *prefix.glob("lib/*/gimp/3.0")]:
        return ""
    ours = str(Path(sys.prefix) / "bin") if sys.prefix != sys.base_prefix else None
    path = os.pathsep.join(one for one in os.environ.get("PATH", "").split(os.pathsep) if one != ours)
    python = shutil.which("python3", path=path)
    if not python:
        return "There is no python3 on the PATH, by which GIMP runs its plug-ins."
    command = [python, "-c", ASK_PYTHON]
    try:
        done = subprocess.run(
            command, cwd="/", env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=ASK_SECONDS
        )
        lines = done.stderr.strip().splitlines()
    except (OSError, subprocess.TimeoutExpired) as error:
        lines = [str(error)]
    else:
        if done.returncode == 0:
            return ""
    why = lines[-1] if lines else f"exit code {done.returncode}"
    return (
        f"The first python3 on the PATH, {python}, cannot use GIMP ({why}): a GIMP that is started from here shows no"
        f" plug-ins written in Python. `PATH=/usr/bin:$PATH gimp` starts it with the system's."
    )


HOST = Host("GIMP", "gimp", FLATPAK, gimps, addon, absent, r"gimp(-console)?(-\d[\d.]*)?")
