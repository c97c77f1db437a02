"""Many clients at once, and a canvas that is larger than the daemon may grow."""

from __future__ import annotations

import os
import random
import selectors
from pathlib import Path

import pytest

from glaze_plugin import messages as m
from glaze_plugin.client import Client
from glaze_plugin.job import Job
from glaze_plugin.raster import Raster, RasterFormat
from tests.faults.fake_tasks import expected

CLIENTS = 50
JOBS = 40
"""Of each client."""
SIDE = 8000
"""px of the large canvas: 256 MB in RGBA."""
DAEMON_MB = 150

pytestmark = pytest.mark.usefixtures("own_home", "fake_engine")


class Artist:
    """A client that submits all its jobs at once and fetches each result as soon as it is done."""

    def __init__(self, number: int) -> None:
        draw = random.Random(number)
        self.client = Client.connect(f"client {number}")
        self.delivered = 0
        self.jobs: dict[str, tuple[Job, bytes]] = {}
        for seed in range(JOBS):
            picture = draw.randbytes(draw.randrange(1, 2000))
            settings = {"seed": seed, "step_seconds": 0}
            job = self.client.submit("protect", {"picture": picture}, settings, listener=self.hear)
            self.jobs[job.id] = job, expected(picture, seed)

    def hear(self, job: Job, msg: m.Message) -> None:
        assert not job.error
        if job.state == "done":
            self.client.fetch(job)
        elif job.state == "fetched":
            assert job.parts["result"] == self.jobs[job.id][1]
            self.client.forget(job)
            self.delivered += 1


def test_fifty_clients_get_their_fair_share_of_two_thousand_jobs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All jobs wait behind a gate until the last is accepted. From then on clients take turns: when one gets its k-th
    result, k · CLIENTS results have been delivered to all where shares are fair, and at most twice as many here.
    """
    gate = tmp_path / "gate"
    with Client.connect("gatekeeper") as first, selectors.DefaultSelector() as selector:
        first.submit("protect", {"picture": b"gate"}, {"gate": str(gate), "identity": True})
        first.status()  # an answer means that the job has been taken
        artists = [Artist(number) for number in range(CLIENTS)]
        for artist in artists:
            selector.register(artist.client, selectors.EVENT_READ, artist)
        total, worst = 0, 0.0
        while total < CLIENTS * JOBS:
            for key, _ in selector.select(1.0):
                artist = key.data
                before = artist.delivered
                artist.client.step()
                total += artist.delivered - before
                if artist.delivered > before:
                    worst = max(worst, total / (artist.delivered * CLIENTS))
            if not gate.exists() and all(job.known for artist in artists for job, _ in artist.jobs.values()):
                gate.touch()
        for artist in artists:
            artist.client.close()
    with capsys.disabled():
        print(f"\n{total} jobs of {CLIENTS} clients delivered; the longest wait was {worst:.2f} fair shares")
    assert worst <= 2


def peak_mb(pid: int) -> float:
    """The most resident memory that a process has had since `forget_peak`, MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def forget_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def test_the_daemon_stays_small_with_a_large_canvas_in_flight(capsys: pytest.CaptureFixture[str]) -> None:
    """One client sends, runs and fetches a large canvas, while another asks for all of one and reads nothing."""
    layout = RasterFormat(SIDE, SIDE, "RGBA", "u8")
    canvas = Raster(layout, os.urandom(layout.size))
    with Client.connect("idle") as idle, Client.connect("busy") as busy:
        pid = idle.welcome.pid
        forget_peak(pid)
        job = idle.submit("protect", {"picture": canvas}, {"identity": True})
        while job.state != "done":
            idle.wait(1.0)
        link = idle.link
        assert link
        offsets = range(0, layout.size, m.BAND)
        for offset in offsets:
            link.send(m.Fetch(job=job.id, part="result", offset=offset, length=m.BAND))
        assert busy.run("protect", {"picture": canvas}, {"identity": True}).parts["result"] == canvas.pixels
        peak = peak_mb(pid)
        missing = set(offsets)
        while missing:  # what was asked for still comes, once it is read
            for msg in link.wait(1.0):
                if isinstance(msg, m.Chunk):
                    assert msg.payload == canvas.pixels[msg.offset : msg.offset + m.BAND]
                    missing.remove(msg.offset)
    with capsys.disabled():
        print(f"\nthe daemon's memory with a canvas of {layout.size >> 20} MB in flight: {peak:.0f} MB at most")
    assert peak < DAEMON_MB
