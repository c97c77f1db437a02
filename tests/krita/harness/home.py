"""Homes for Krita, and what is installed in them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT

DRIVER = ROOT / "tests" / "krita" / "driver"


def environment(home: Path) -> dict[str, str]:
    """The environment of an artist who lives in `home`; GLAZE_* is taken over from the test's."""
    return {
        **{name: value for name, value in os.environ.items() if name.startswith("GLAZE_")},
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_DATA_HOME": str(home / ".local" / "share"),
        "XDG_CACHE_HOME": str(home / ".cache"),
        "XDG_RUNTIME_DIR": str(home / "run"),
        "TMPDIR": str(home / "tmp"),
        "PATH": "/usr/bin:/bin",
        "LC_ALL": "C.UTF-8",
    }


def new_home(home: Path) -> None:
    """A home in which Krita has never been started; the test driver is installed."""
    for folder in (".config", ".local/share/krita/pykrita", "tmp", "run"):
        (home / folder).mkdir(parents=True)
    (home / "run").chmod(0o700)
    (home / ".config" / "kritarc").write_text("[python]\n")
    install_plugin(home, DRIVER / "glaze_test_driver")


def copied_home(template: Path, home: Path) -> None:
    """A home like another one, with the test driver as it is now."""
    shutil.copytree(template, home, symlinks=True)
    install_plugin(home, DRIVER / "glaze_test_driver")


def install_plugin(home: Path, plugin: Path) -> None:
    """Install and enable a plugin: a folder, with its .desktop and .action files in it or beside it."""
    krita = home / ".local" / "share" / "krita"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(plugin, krita / "pykrita" / plugin.name, ignore=ignored, dirs_exist_ok=True)
    for suffix, folder in ((".desktop", "pykrita"), (".action", "actions")):
        for file in plugin.parent.rglob(plugin.name + suffix):
            (krita / folder).mkdir(exist_ok=True)
            shutil.copy(file, krita / folder)
    settings = home / ".config" / "kritarc"
    enabled = f"[python]\nenable_{plugin.name}=true\n"
    if enabled not in settings.read_text():
        settings.write_text(settings.read_text().replace("[python]\n", enabled))


def install_addon(home: Path) -> None:
    """`glaze install krita`."""
    command = [sys.executable, "-m", "glaze_plugin.cli", "install", "krita"]
    subprocess.run(command, env=environment(home), check=True, stdout=subprocess.DEVNULL)
