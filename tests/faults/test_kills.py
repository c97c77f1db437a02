"""Daemon and worker are killed at random moments while clients work: what was accepted is delivered, to the byte."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from glaze_plugin.client import Client
from glaze_plugin.connection import read_connection
from tests.conftest import file_bytes
from tests.faults import fake_tasks

CLIENTS = 3


@pytest.fixture
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("GLAZE_HOME", str(tmp_path))
    yield tmp_path
    stop = [sys.executable, "-m", "glaze_plugin.cli", "daemon", "stop"]
    subprocess.run(stop, check=False, capture_output=True)


@pytest.fixture
def fake_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every kill may hit the same job here, so that many crashes are not held against it."""
    monkeypatch.setenv("GLAZE_TASKS", "tests.faults.fake_tasks")
    monkeypatch.setenv("GLAZE_MAX_CRASHES", "1000000")


def worker_of(daemon: int) -> int | None:
    found = subprocess.run(["pgrep", "-P", str(daemon)], capture_output=True, text=True, check=False).stdout.split()
    return int(found[0]) if found else None


def kill_something(draw: random.Random) -> str | None:
    """SIGKILL the daemon or its worker; which of them died, None where neither was there."""
    connection = read_connection()
    if connection is None:
        return None
    name = draw.choice(["daemon", "worker"])
    pid = connection.pid if name == "daemon" else worker_of(connection.pid)
    if pid is None:
        return None
    state = Path(f"/proc/{pid}/stat")
    with contextlib.suppress(OSError):
        if " Z " not in state.read_text():  # the dead do not count
            os.kill(pid, signal.SIGKILL)
            return name
    return None


class Worker(threading.Thread):
    """A client that submits job after job until told to stop, and checks each result."""

    def __init__(self, number: int, stop: threading.Event) -> None:
        super().__init__()
        self.number = number
        self.halt = stop
        self.delivered = 0
        self.wrong: list[str] = []

    def run(self) -> None:
        draw = random.Random(self.number)
        with Client.connect(f"client {self.number}") as client:
            while not self.halt.is_set():
                picture, seed = draw.randbytes(draw.choice([10, 5_000, 1_500_000])), draw.randrange(1000)
                try:
                    outcome = client.run("protect", {"picture": picture}, {"seed": seed})
                    if outcome.parts["result"] != fake_tasks.expected(picture, seed):
                        self.wrong.append(f"job {outcome.job} came back changed")
                    self.delivered += 1
                except Exception as error:
                    self.wrong.append(f"{type(error).__name__}: {error}")


def test_nothing_accepted_is_lost_to_kills(
    own_home: Path, fake_engine: None, capsys: pytest.CaptureFixture[str]
) -> None:
    points = int(os.environ.get("GLAZE_KILLS", "40"))
    draw, stop = random.Random(7), threading.Event()
    clients = [Worker(number, stop) for number in range(CLIENTS)]
    for client in clients:
        client.start()
    killed: dict[str, int] = {"daemon": 0, "worker": 0}
    while sum(killed.values()) < points:
        time.sleep(draw.uniform(0.05, 0.6))
        name = kill_something(draw)
        if name:
            killed[name] += 1
    stop.set()
    for client in clients:
        client.join(120)
    delivered = sum(client.delivered for client in clients)
    with capsys.disabled():
        print(f"\n{killed['daemon']} kills of the daemon, {killed['worker']} of the worker: {delivered} jobs delivered")
    assert not [sentence for client in clients for sentence in client.wrong]
    assert not any(client.is_alive() for client in clients)
    assert min(client.delivered for client in clients) > 0


def test_the_real_engine_resumes_to_the_byte(own_home: Path, meadow: Image.Image) -> None:
    """One kill of the daemon in each of several phases of one cloak."""
    picture = {"picture": file_bytes(meadow.crop((200, 240, 264, 304)))}
    settings = {"style": "weave", "quality": "standard"}
    with Client.connect("tests") as client:
        calm = client.run("protect", picture, settings)
        for share in (0.1, 0.5, 0.9):
            killed: list[int] = []

            def kill(msg: object, share: float = share, killed: list[int] = killed) -> None:
                step, steps = getattr(msg, "step", 0), getattr(msg, "steps", 0)
                connection = read_connection()
                if steps and step >= share * steps and not killed and connection:
                    killed.append(connection.pid)
                    os.kill(connection.pid, signal.SIGKILL)

            shaken = client.run("protect", picture, settings, on_progress=kill)
            assert killed
            assert shaken.parts == calm.parts
