"""Where the tests' GIMP is and lives: its root, its home there, and what is installed in that."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from tests.conftest import ROOT

COMMAND = shlex.split(os.environ.get("GLAZE_TEST_GIMP", "sh tools/gimp3.sh"))
"""Runs a command where there is a GIMP; GLAZE_TEST_GIMP names another one."""
HARNESS = Path(__file__).parent
PLUGINS = ("python-eval", "file-*")
"""GIMP's own plug-ins that are there in the tests; asking all of them what they can takes GIMP 5 to 15 s."""
SETTINGS = """(config-version "{version}")
(plug-in-path "${{gimp_dir}}/plug-ins:{plugins}")
(show-welcome-dialog no)
(check-updates no)
(save-session-info no)
(save-document-history no)
(show-tips no)
"""
SHORTCUTS = """(file-version 1)
(action "plug-in-glaze-layer" "<Primary><Shift><Alt>g")
(action "plug-in-glaze-export" "<Primary><Shift><Alt>x")
"""


@dataclass(frozen=True)
class Place:
    """A folder below /tmp that the test and GIMP share. root: the folder that is / for GIMP."""

    root: Path
    inside: Path

    @property
    def outside(self) -> Path:
        return self.root / self.inside.relative_to("/")

    def __truediv__(self, name: str) -> Place:
        return Place(self.root, self.inside / name)


Install = Callable[[Place], None]


def new_place(root: Path) -> Place:
    place = Place(root, Path("/tmp") / f"glaze-{uuid4().hex[:8]}")
    place.outside.mkdir()
    return place


def missing() -> str:
    """What keeps the tests from a GIMP on this machine; "" where nothing does."""
    lacking = [name for name in ("Xvfb", "xdotool", "import") if not shutil.which(name)]
    if not native():
        lacking += [name for name in ("mmdebstrap", "flock") if not shutil.which(name)]
        lacking += ["root's rights"] if os.getuid() else []
    return f"{', '.join(lacking)} missing" if lacking else ""


def native() -> bool:
    """Whether this machine has a GIMP 3 itself."""
    if not shutil.which("gimp-console"):
        return False
    said = subprocess.run(["gimp-console", "--version"], capture_output=True, text=True, check=False).stdout
    return " 3." in said


def make_root() -> Path:
    """The folder that is / for GIMP, made within about 2 minutes where it is missing."""
    made = subprocess.run([*COMMAND, "--make"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return Path(made.stdout.strip())


def version() -> str:
    """Of GIMP, as in "3.0.4"."""
    said = subprocess.run([*COMMAND, "gimp-console", "--version"], cwd=ROOT, check=True, capture_output=True, text=True)
    found = re.search(r"\d+\.\d+\.\d+", said.stdout)
    assert found, said.stdout
    return found[0]


def environment(home: Place) -> dict[str, str]:
    """The environment of an artist who lives in `home`. The Glaze home is beside it."""
    return {
        "HOME": str(home.inside),
        "XDG_CONFIG_HOME": str(home.inside / ".config"),
        "XDG_CACHE_HOME": str(home.inside / ".cache"),
        "TMPDIR": str(home.inside / "tmp"),
        "PATH": "/usr/bin:/bin",
        "LC_ALL": "C.UTF-8",
        "NO_AT_BRIDGE": "1",
        "PYTHONFAULTHANDLER": "1",
        "GLAZE_HOME": str(home.inside.parent / "glaze"),
    }


def new_home(home: Place) -> None:
    """A home in which GIMP has never been started."""
    number = version()
    profile = home.outside / ".config" / "GIMP" / number.rpartition(".")[0]
    plugins = home / "plug-ins"
    for folder in (profile / "plug-ins", plugins.outside, home.outside / "tmp"):
        folder.mkdir(parents=True)
    (profile / "gimprc").write_text(SETTINGS.format(version=number, plugins=plugins.inside))
    (profile / "shortcutsrc").write_text(SHORTCUTS)
    (system,) = home.root.glob("usr/lib/*/gimp/3.0/plug-ins")
    for pattern in PLUGINS:
        for plugin in system.glob(pattern):
            (plugins.outside / plugin.name).symlink_to("/" / plugin.relative_to(home.root))
    shutil.copy(HARNESS / "agent.py", home.outside)


def install_addon(home: Place) -> None:
    """`glaze install gimp`."""
    command = [sys.executable, "-m", "glaze_plugin.cli", "install", "gimp"]
    own = {"HOME": str(home.outside), "GLAZE_HOME": str(home.outside.parent / "glaze"), "PATH": "/usr/bin:/bin"}
    subprocess.run(command, cwd=ROOT, env=own, check=True, stdout=subprocess.DEVNULL)
