"""Daemon and worker are killed at random moments while clients work: what was accepted is delivered, to the byte."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from glaze_plugin.client import Client
from glaze_plugin.connection import read_connection
from glaze_plugin.messages import Progress
from tests.conftest import children, file_bytes
from tests.faults import fake_tasks

Order = tuple[bytes, dict[str, Any], bytes]
"""A picture, settings, and the result of an undisturbed run."""

CLIENTS = 3
POINTS = int(os.environ.get("GLAZE_KILLS", "200"))
REAL_POINTS = 8
STAGES = {
    "cloaking": 3.0,
    "fitting to the eye": 0.2,
    "measuring": 0.1,
}
"""Of the real engine; for each, about how many s it takes on a small picture: a kill comes at a random one of them.

Choosing a style and painting the target are left out: the one happens once, the other is too short to be seen.
"""

pytestmark = pytest.mark.usefixtures("own_home")


@pytest.fixture(autouse=True)
def patient_daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every kill may hit the same job here, so that many crashes are not held against it."""
    monkeypatch.setenv("GLAZE_MAX_CRASHES", "1000000")


class Artist(threading.Thread):
    """A client that submits job after job until told to stop, and checks each result."""

    def __init__(self, number: int, orders: Iterator[Order], hear: Callable[[Progress], None]) -> None:
        super().__init__()
        self.number = number
        self.orders = orders
        self.hear = hear
        self.halt = threading.Event()
        self.delivered = 0
        self.wrong: list[str] = []

    def run(self) -> None:
        with Client.connect(f"client {self.number}") as client:
            while not self.halt.is_set():
                picture, settings, expected = next(self.orders)
                try:
                    outcome = client.run("protect", {"picture": picture}, settings, on_progress=self.hear)
                    if outcome.parts["result"] != expected:
                        self.wrong.append(f"job {outcome.id} came back changed")
                    self.delivered += 1
                except Exception as error:
                    self.wrong.append(f"{type(error).__name__}: {error}")


def kill(name: str) -> bool:
    """SIGKILL the "daemon" or its "worker"; whether it was there."""
    connection = read_connection()
    if connection is None:
        return False
    for pid in [connection.pid] if name == "daemon" else children(connection.pid):
        with contextlib.suppress(OSError):
            if " Z " not in Path(f"/proc/{pid}/stat").read_text():  # the dead do not count
                os.kill(pid, signal.SIGKILL)
                return True
    return False


def kill_while_they_work(artists: list[Artist], points: int, draw: random.Random, wait: Callable[[], str]) -> str:
    """Kill `points` times, each time after `wait`, which tells where that was. Then all must end well; a summary.

    Daemon and worker die equally often, in an order that is drawn for each pair of kills.
    """
    killed: list[str] = []
    places: Counter[str] = Counter()
    for artist in artists:
        artist.start()
    try:
        while len(killed) < points:
            for name in draw.sample(["daemon", "worker"], 2):
                place = wait()
                while not kill(name):
                    place = wait()
                killed.append(name)
                places[place] += 1
    finally:
        for artist in artists:
            artist.halt.set()
        for artist in artists:
            artist.join(120)
    assert not [sentence for artist in artists for sentence in artist.wrong]
    assert not any(artist.is_alive() for artist in artists)
    assert min(artist.delivered for artist in artists) > 0
    found = ", ".join(f"{count} while {place}" for place, count in places.items())
    delivered = sum(artist.delivered for artist in artists)
    return (
        f"{killed.count('daemon')} kills of the daemon and {killed.count('worker')} of the worker, {found}: "
        f"{delivered} jobs accepted and delivered to the byte"
    )


def test_nothing_accepted_is_lost_to_kills(fake_engine: None, capsys: pytest.CaptureFixture[str]) -> None:
    def orders(draw: random.Random) -> Iterator[Order]:
        while True:
            picture, seed = draw.randbytes(draw.choice([10, 5_000, 1_500_000])), draw.randrange(1000)
            yield picture, {"seed": seed}, fake_tasks.expected(picture, seed)

    draw = random.Random(7)

    def wait() -> str:
        time.sleep(draw.uniform(0.05, 0.6))
        return "working"

    artists = [Artist(number, orders(random.Random(number)), lambda _: None) for number in range(CLIENTS)]
    summary = kill_while_they_work(artists, POINTS, draw, wait)
    with capsys.disabled():
        print(f"\nfake engine: {summary}")


def test_the_real_engine_resumes_to_the_byte(meadow: Image.Image, capsys: pytest.CaptureFixture[str]) -> None:
    """Each kill comes at a random moment after the begin of a random stage, another random one after the last kill."""
    heard = threading.Condition()
    stage = ""

    def hear(msg: Progress) -> None:
        nonlocal stage
        with heard:
            stage = msg.stage
            heard.notify_all()

    draw = random.Random(10)

    def wait() -> str:
        nonlocal stage
        for wanted in draw.choices(list(STAGES), k=draw.choice([1, 2])):
            with heard:
                stage = ""
                while stage != wanted:
                    assert heard.wait(120)
        time.sleep(draw.uniform(0, STAGES[wanted]))
        return stage

    artists = []
    with Client.connect("undisturbed") as client:
        for number, quality in enumerate(
            ["thorough", "standard", "standard"]
        ):  # the first one lives through checkpoints
            picture = file_bytes(meadow.crop((200, 240 + 64 * number, 264, 304 + 64 * number)))
            settings = {"quality": quality, "seed": number}
            expected = bytes(client.run("protect", {"picture": picture}, settings).parts["result"])
            artists.append(Artist(number, repeat((picture, settings, expected)), hear))
    summary = kill_while_they_work(artists, REAL_POINTS, draw, wait)
    with capsys.disabled():
        print(f"\nreal engine: {summary}")
