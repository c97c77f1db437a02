"""What moving a picture costs: `make bench` prints it, as ratios against something run beside it.

A raster goes through client, daemon and worker and comes back from an engine that returns it as it is; beside it the
same bytes go there and back through a bare DEALER and ROUTER of pyzmq. Then what the client's own thread spends, driven
by events as in a painting program, and how soon the daemon answers while the real engine works.
"""

from __future__ import annotations

import multiprocessing
import os
import select
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median, quantiles

import zmq

from glaze_plugin import messages as m
from glaze_plugin.client import Client
from glaze_plugin.raster import Raster, RasterFormat

MB = 1 << 20
SIDES = (512, 2048, 8192)
"""px of square RGBA pictures: 1, 16 and 256 MB."""
ROUNDS = 7
"""After one in which memory is taken for the first time."""
TINY_ROUNDS = 50
STATUS_ROUNDS = 200
STATUS_PAUSE = 0.02
"""s between two questions."""
IDENTITY = {"identity": True}
ROOT = Path(__file__).parent.parent
PAINTING = ROOT / "examples" / "meadow.png"


@contextmanager
def daemon(engine: str) -> Iterator[Client]:
    """A client of a daemon in a home of its own, whose worker is ready. engine: name of a module."""
    with tempfile.TemporaryDirectory() as home:
        os.environ.update(GLAZE_HOME=home, GLAZE_TASKS=engine, GLAZE_PYTHONPATH=str(ROOT))
        with Client.connect("bench") as client:
            while client.status().worker != "ready":
                time.sleep(0.05)
            yield client
            client.shutdown()


def noise(side: int) -> Raster:
    layout = RasterFormat(side, side, "RGBA", "u8")
    return Raster(layout, os.urandom(layout.size))


# ---- the bare pair ----


def echo(pipe: Connection) -> None:
    """Gather a picture's bands on a ROUTER and send them back, until the first frame is empty."""
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
        pipe.send(router.bind_to_random_port("tcp://127.0.0.1"))
        while True:
            route, head = router.recv_multipart()
            if not head:
                return
            for band in [router.recv_multipart()[1] for _ in range(int(head))]:
                router.send_multipart([route, band])


@contextmanager
def bare_pair() -> Iterator[zmq.Socket[bytes]]:
    """A DEALER whose other end, in a process of its own, is `echo`."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=echo, args=(there,))
    process.start()
    with zmq.Context() as context, context.socket(zmq.DEALER) as dealer:
        dealer.connect(f"tcp://127.0.0.1:{here.recv()}")
        yield dealer
        dealer.send(b"")
    process.join()


def bare_trip(dealer: zmq.Socket[bytes], pixels: bytes) -> float:
    """s for a picture to go and come back, in the bands of the real thing."""
    start = time.perf_counter()
    bands = [memoryview(pixels)[offset : offset + m.BAND] for offset in range(0, len(pixels), m.BAND)]
    dealer.send(b"%d" % len(bands))
    for band in bands:
        dealer.send(band)
    back = b"".join([dealer.recv() for _ in bands])
    spent = time.perf_counter() - start
    assert back == pixels
    return spent


# ---- through the daemon ----


def trip(client: Client, raster: Raster) -> tuple[float, float]:
    """Run one job as the command line does; s until its result is there, and until its first step was heard of."""
    start = time.perf_counter()
    steps: list[float] = []

    def note(msg: m.Progress) -> None:
        if msg.stage != "waiting":
            steps.append(time.perf_counter() - start)

    job = client.run("protect", {"picture": raster}, IDENTITY, on_progress=note)
    spent = time.perf_counter() - start
    assert job.parts["result"] == raster.pixels
    return spent, steps[0]


class Stopwatch:
    """Adds up the time inside its `with` blocks, s, and remembers the longest."""

    def __init__(self) -> None:
        self.total = self.longest = 0.0

    def __enter__(self) -> None:
        self._start = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        spent = time.perf_counter() - self._start
        self.total += spent
        self.longest = max(self.longest, spent)


def event_trip(client: Client, raster: Raster, canvas: bytearray) -> tuple[Stopwatch, Stopwatch]:
    """Run one job as a painting program does, which puts band after band onto its canvas.

    The time that its thread spends there and back.
    """
    there, back = Stopwatch(), Stopwatch()
    position = 0

    def paint(band: m.Frame) -> None:
        nonlocal position
        canvas[position : position + len(band)] = band
        position += len(band)

    with there:
        job = client.submit("protect", {"picture": raster}, IDENTITY)
    while not job.ended:
        select.select([client], [client] if client.wants_write else [], [], 0.1)
        with there if job.open else back:
            client.step()
        if job.state == "done":
            with back:
                client.fetch(job, sinks={"result": paint})
    client.forget(job)
    assert canvas == raster.pixels
    return there, back


# ---- what is printed ----


def print_round_trips(client: Client) -> None:
    print("  MB   bare pair ms   through the daemon ms   ratio   submit to first step ms")
    with bare_pair() as dealer:
        for side in SIDES:
            raster = noise(side)
            rounds = [(bare_trip(dealer, raster.pixels), *trip(client, raster)) for _ in range(1 + ROUNDS)][1:]
            bare, ours, first = (1e3 * median(column) for column in zip(*rounds, strict=True))
            ratio = median(ours / bare for bare, ours, _ in rounds)
            print(f"{raster.format.size / MB:4.0f}   {bare:12.1f}   {ours:21.1f}   {ratio:5.2f}   {first:23.1f}")


def print_own_thread(client: Client) -> None:
    print("\nthe client's own thread, driven by events")
    print("  MB   sending ms/MB   longest call ms   fetching ms/MB   longest call ms")
    for side in SIDES:
        raster = noise(side)
        canvas = bytearray(raster.pixels[::-1])  # not empty: its memory is there already
        mb = raster.format.size / MB
        ways = zip(*(event_trip(client, raster, canvas) for _ in range(ROUNDS)), strict=True)
        there, back = (
            (1e3 * median(watch.total for watch in way) / mb, 1e3 * median(watch.longest for watch in way))
            for way in ways
        )
        print(f"{mb:4.0f}   {there[0]:13.3f}   {there[1]:15.2f}   {back[0]:14.3f}   {back[1]:15.2f}")


def print_tiny_jobs(client: Client) -> None:
    raster = noise(16)
    spent = median(trip(client, raster)[0] for _ in range(TINY_ROUNDS))
    print(f"\na job of 1 kB: {1e3 * spent:.1f} ms")


def print_status_latency() -> None:
    """How soon the daemon answers while the real engine cloaks."""
    times = []
    with daemon("glaze_server.engine.tasks") as client:
        client.submit("protect", {"picture": PAINTING.read_bytes()}, {"quality": "thorough", "style": "weave"})
        for _ in range(STATUS_ROUNDS):
            start = time.perf_counter()
            status = client.status()
            times.append(time.perf_counter() - start)
            time.sleep(STATUS_PAUSE)
        assert status.jobs_running
    last = quantiles(times, n=100)[-1]
    print(f"status while the engine works: median {1e3 * median(times):.1f} ms, 99th percentile {1e3 * last:.1f} ms")


def main() -> None:
    print(f"libzmq {zmq.zmq_version()}, {os.cpu_count()} cores")
    with daemon("tests.faults.fake_tasks") as client:
        print_round_trips(client)
        print_own_thread(client)
        print_tiny_jobs(client)
    print_status_latency()


if __name__ == "__main__":
    main()
