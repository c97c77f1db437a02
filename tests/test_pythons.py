"""The light client runs under every Python from 3.10 to 3.14, against the real daemon.

Interpreters come from the machine where it has them, else unpacked (not installed) from Debian.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
from pathlib import Path

import pytest

from glaze_plugin.client import Client
from tests.conftest import ROOT

VERSIONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
DEBIAN = {"3.11": "bookworm", "3.13": "trixie", "3.14": "testing"}

CONVERSATION = """
import json, sys
from glaze_plugin import errors
from glaze_plugin.client import Client
from glaze_plugin.raster import Raster, RasterFormat

layout = RasterFormat(48, 40, "BGRA", "u16")
pixels = bytes(range(256)) * (layout.size // 256)
with Client.connect("python " + sys.version.split()[0]) as client:
    outcome = client.run("protect", {"picture": Raster(layout, pixels)}, {"strength": 0, "style": "weave"})
    try:
        client.run("protect", {"picture": b"no picture"}, {})
    except errors.BadInput as error:
        code = error.code
print(json.dumps({
    "version": sys.version_info[:2], "same": outcome.parts["result"] == pixels, "code": code,
    "loaded": sorted({name.split(".")[0] for name in sys.modules} & {"numpy", "zmq", "torch", "typer"}),
}))
"""


def interpreter(version: str) -> list[str] | None:
    """A command that runs this Python, with only its own standard library."""
    managed = Path.home() / ".pyenv" / "versions"
    candidates = [Path("/usr/bin") / f"python{version}", *sorted(managed.glob(f"{version}.*/bin/python{version}"))]
    found = next((path for path in candidates if path.exists()), None)
    return [str(found)] if found else unpacked(version)


def unpacked(version: str) -> list[str] | None:
    """The Python of a Debian release, unpacked below .cache and run with its own C library; no root needed."""
    if version not in DEBIAN or not shutil.which("mmdebstrap"):
        return None
    root = ROOT / ".cache" / f"python{version}"
    if not root.exists():
        mirrors = subprocess.run(
            ["apt-get", "indextargets", "--format", "$(REPO_URI)"], check=True, capture_output=True, text=True
        )
        beside = root.with_name(f"{root.name}.part")
        shutil.rmtree(beside, ignore_errors=True)
        root.parent.mkdir(exist_ok=True)
        subprocess.run(
            [
                *("mmdebstrap", "--quiet", "--variant=extract", "--skip=check/qemu", "--include=python3"),
                *("--aptopt=APT::Install-Recommends false", "--aptopt=Acquire::Check-Valid-Until false"),
                *(DEBIAN[version], str(beside), mirrors.stdout.split()[0]),
            ],
            check=True,
        )
        beside.rename(root)
    libraries = next((root / "usr" / "lib").glob(f"{platform.machine()}-linux-gnu"))
    loader = next(libraries.glob("ld-linux-*.so.*"))
    return [str(loader), "--library-path", str(libraries), str(root / "usr" / "bin" / f"python{version}")]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_client_runs_under_this_python(version: str, client: Client, home: Path) -> None:
    command = interpreter(version)
    if command is None:
        pytest.skip(f"neither this machine nor Debian has Python {version}")
    environment = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"], "GLAZE_HOME": str(home)}
    prefix = Path(command[-1]).parent.parent
    if len(command) > 1:
        environment["PYTHONHOME"] = str(prefix)
    done = subprocess.run(
        [*command, "-W", "error", "-B", "-S", "-c", CONVERSATION],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "version": [int(part) for part in version.split(".")],
        "same": True,
        "code": "not_a_picture",
        "loaded": [],
    }
