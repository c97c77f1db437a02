"""The worker's process as the daemon sees it, without a daemon."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from glaze_server import worker_process
from glaze_server.jobs import MAX_CRASHES
from glaze_server.worker_process import WorkerProcess


def test_a_worker_that_the_system_does_not_start_counts_as_one_that_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after an upgrade that has replaced the interpreter."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "gone"))
    monkeypatch.setattr(worker_process, "BACKOFF_SECONDS", (0.0,))
    worker = WorkerProcess("tcp://127.0.0.1:1", "token", tmp_path / "worker.out")
    assert worker.crashed() is None
    for _ in range(MAX_CRASHES + 1):
        assert not worker.hopeless
        worker.wake()
        reason = worker.crashed()
        assert reason and "gone cannot be started: No such file" in reason
        assert worker.crashed() is None
    assert worker.hopeless
    assert worker.last_words() == reason
    worker.rest()


def test_a_worker_that_has_ended_before_it_was_told_its_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/true")
    worker = WorkerProcess("tcp://127.0.0.1:1", "t" * (1 << 20), tmp_path / "worker.out")
    worker.wake()
    while not (reason := worker.crashed()):
        pass
    assert reason == "exit code 0"
