"""What the tests of the GIMP add-on say in GIMP and to the daemon, with an engine that takes no time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

from glaze_plugin.client import Client

WIDTH, HEIGHT = 96, 80
GLAZED = "Glazed: Layer"
FREED_SECONDS = 5.0


class Inside(Protocol):
    """A GIMP in which Python can be run."""

    def run(self, code: str, /, **values: object) -> Any: ...


def prepare(gimp: Inside, **options: object) -> bytes:
    """An image with one layer of noise; the layer's bytes."""
    gimp.run(f"prepare({WIDTH}, {HEIGHT}, **options)", options=options)
    return pixels(gimp, "Layer")


def pixels(gimp: Inside, name: str) -> bytes:
    """A layer's own bytes."""
    found: bytes = gimp.run("pixels(named(name))", name=name)
    return found


def names(gimp: Inside) -> list[str]:
    """Of the image's layers, from the top down."""
    return [entry[0] for entry in gimp.run("tree()")]


def until(happened: Callable[[], bool], seconds: float = 15) -> None:
    """Wait for something that happens soon."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.05)


def open_jobs(client: Client) -> list[str]:
    """Their ids."""
    return [job["job"] for job in client.jobs() if job["state"] not in ("done", "failed")]


def runs(client: Client) -> None:
    """Wait until the daemon has a job."""
    deadline = time.monotonic() + 20
    while not open_jobs(client):
        assert time.monotonic() < deadline, "no job has come"
        client.wait(0.05)


def freed(client: Client) -> float:
    """Wait until the daemon has no job, which must not take long; how long it took, s."""
    begun = time.monotonic()
    while open_jobs(client):
        assert time.monotonic() - begun < FREED_SECONDS, "the job goes on"
        client.wait(0.05)
    return time.monotonic() - begun
