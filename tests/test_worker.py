"""The worker's process as the daemon sees it, and what the worker tells of the time left, without a daemon."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from glaze_plugin import messages as m
from glaze_server import pace, worker, worker_process
from glaze_server.jobs import MAX_CRASHES
from glaze_server.pace import Pace
from glaze_server.worker import Conversation
from glaze_server.worker_process import WorkerProcess


def test_a_worker_that_the_system_does_not_start_counts_as_one_that_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after an upgrade that has replaced the interpreter."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "gone"))
    monkeypatch.setattr(worker_process, "BACKOFF_SECONDS", (0.0,))
    child = WorkerProcess("tcp://127.0.0.1:1", "token", tmp_path / "worker.out")
    assert child.crashed() is None
    for _ in range(MAX_CRASHES + 1):
        assert not child.hopeless
        child.wake()
        reason = child.crashed()
        assert reason and "gone cannot be started: No such file" in reason
        assert child.crashed() is None
    assert child.hopeless
    assert child.last_words() == reason
    child.rest()


def test_a_worker_that_has_ended_before_it_was_told_its_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/true")
    child = WorkerProcess("tcp://127.0.0.1:1", "t" * (1 << 20), tmp_path / "worker.out")
    child.wake()
    while not (reason := child.crashed()):
        pass
    assert reason == "exit code 0"


class Clock:
    """Stands for the system's."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(pace, "time", clock)
    monkeypatch.setattr(worker, "time", clock)
    return clock


def test_the_time_left_counts_from_where_it_began(clock: Clock) -> None:
    download = Pace()
    assert download.seconds_left(600, 1000) is None
    clock.now += 10
    assert download.seconds_left(700, 1000) == 30
    assert download.seconds_left(800, 1000) == 10  # news that come together
    assert download.seconds_left(200, 1000) is None  # it had to begin anew
    clock.now += 10
    assert download.seconds_left(600, 1000) == 10


def test_steps_that_come_from_a_checkpoint_are_not_done_now(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    talk, said = Conversation("tcp://127.0.0.1:1", "token"), list[m.Progress]()
    monkeypatch.setattr(talk, "send", said.append)
    talk.begin("7" * 32)
    talk.progress("cloaking", 0, 60)
    clock.now += 3  # until the picture is unpacked
    for step in range(41):
        talk.progress("cloaking", step, 60)
    for step in range(41, 46):
        clock.now += 5
        talk.progress("cloaking", step, 60)
        assert said[-1].seconds_left == 5 * (60 - step)
