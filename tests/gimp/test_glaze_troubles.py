"""Whatever happens to a script's job, GIMP goes on, the daemon is free, and the script is told."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from glaze_plugin import lock
from glaze_plugin.client import Client
from glaze_plugin.launch import connect, end_daemon
from glaze_plugin.raster import RasterFormat
from tests.gimp.conftest import Gimp
from tests.gimp.glazing import GLAZED, HEIGHT, WIDTH, freed, names, pixels, prepare, runs
from tests.gimp.harness.app import GimpError
from tests.krita.pixel_tasks import flipped

RGBA = RasterFormat(WIDTH, HEIGHT, "RGBA", "u8")
GLAZE = "glaze(layer, quality='standard')"
"""Of a quality that the daemon would go on with for a client that has gone."""


@pytest.fixture
def begun(gimp: Gimp, held: Path, client: Client) -> bytes:
    """A script's job runs; its layer's bytes."""
    before = prepare(gimp)
    gimp.soon(GLAZE)
    runs(client)
    return before


def plug_in(gimp: Gimp) -> int:
    """The process that runs the add-on."""
    found = subprocess.run(
        ["pgrep", "-f", f"{gimp.home.inside}/.*glaze_gimp.py .*-run"], capture_output=True, text=True
    )
    (pid,) = found.stdout.split()
    return int(pid)


def daemon() -> int:
    pid = lock.holder()
    assert pid
    return pid


def test_a_killed_plug_in_frees_the_daemon(gimp: Gimp, begun: bytes, client: Client) -> None:
    os.kill(plug_in(gimp), signal.SIGKILL)
    freed(client)
    assert gimp.answer() != "success"
    with pytest.raises(GimpError, match="crashed"):
        gimp.check()
    assert names(gimp) == ["Layer"]
    assert pixels(gimp, "Layer") == begun


def test_a_job_that_somebody_cancels(gimp: Gimp, begun: bytes, client: Client) -> None:
    client.cancel_job(next(job["job"] for job in client.jobs() if job["state"] == "running"))
    assert gimp.answer() != "success"
    assert names(gimp) == ["Layer"]


def test_a_silent_daemon_is_waited_for(gimp: Gimp, begun: bytes, held: Path) -> None:
    pid = daemon()
    os.kill(pid, signal.SIGSTOP)
    time.sleep(6)
    os.kill(pid, signal.SIGCONT)
    held.unlink()
    assert gimp.answer() == "success"
    assert pixels(gimp, GLAZED) == flipped(begun, RGBA)


def test_no_daemon_can_be_started(gimp: Gimp) -> None:
    """In a root of its own GIMP finds no program that it could start."""
    if gimp.home.root == Path("/"):
        pytest.skip("this machine's own GIMP would start one")
    while end_daemon():
        pass
    prepare(gimp)
    begun = time.monotonic()
    assert "The Glaze daemon is not installed on this computer." in gimp.run(GLAZE)
    assert time.monotonic() - begun < 5
    assert names(gimp) == ["Layer"]
    connect("tests")[0].close()
