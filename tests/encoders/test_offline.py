"""Nothing but `glaze models pull` touches a network: every socket to another computer is an error here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.encoders.conftest import asking
from tests.encoders.narrow import autoencoder

GUARD = """
import socket, sys
real = socket.socket.connect

def connect(self, address):
    if isinstance(address, tuple) and address[0] not in ("127.0.0.1", "::1", "localhost"):
        print("CONNECTED TO", address, file=sys.stderr)
        raise OSError("no network here")
    return real(self, address)

def nobody(*address, **_):
    print("LOOKED UP", address, file=sys.stderr)
    raise OSError("no network here")

socket.socket.connect = socket.socket.connect_ex = connect
socket.getaddrinfo = socket.gethostbyname = nobody
"""
JOB = """
import io
from glaze_server.engine import tasks
from tests.engine.conftest import Recorder
picture = tasks.Input(open(sys.argv[1], "rb").read())
settings = {"quality": "preview", "encoders": ["taesd", "sd21"], "style": "etching"}
report = tasks.run("measure", {"clean": picture, "cloaked": picture}, settings, Recorder()).report
assert report["encoders"] == ["taesd", "sd21"], report
"""
LOOKS = """
from glaze_plugin.cli.app import run
for command in ("--help", "daemon status", "doctor"):
    sys.argv = ["glaze", *command.split()]
    run()
from glaze_server import hub
hub.main(["list"])
hub.main(["verify"])
"""


@pytest.mark.parametrize("what", [LOOKS, "import glaze_server.daemon, glaze_server.worker" + JOB], ids=["looks", "job"])
def test_no_network_is_touched(what: str, shelf: Path, painting: Path) -> None:
    for name in ("taesd", "sd21"):
        autoencoder(name).save_pretrained(shelf / name)
    command = [sys.executable, "-c", GUARD + what, str(painting)]
    done = subprocess.run(
        command, cwd=ROOT, env=asking(None, OMP_NUM_THREADS="1"), capture_output=True, text=True, check=False
    )
    assert "CONNECTED" not in done.stderr and "LOOKED UP" not in done.stderr
    assert "Traceback" not in done.stderr


def test_the_guard_would_have_noticed(shelf: Path) -> None:
    fetch = "from glaze_server import hub; hub.main(['pull', 'taesd3'])"
    done = subprocess.run(
        [sys.executable, "-c", GUARD + fetch], cwd=ROOT, env=asking(None), capture_output=True, text=True, check=False
    )
    assert "LOOKED UP" in done.stderr
    assert '"no_connection"' in done.stdout
