"""A killed optimisation goes on where it was, to the bit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from glaze_server.engine import checkpoint as module
from glaze_server.engine import encoders
from glaze_server.engine.budget import Budget
from glaze_server.engine.checkpoint import Checkpoint
from glaze_server.engine.cloak import Subject, optimise
from glaze_server.engine.jnd import EPSILON, jnd_map
from glaze_server.engine.progress import Paused
from glaze_server.engine.settings import Quality

MAPPINGS = Path("/proc/self/maps")


class Killed(Exception):
    pass


def subject(clear: bool = False) -> Subject:
    """clear: whether it has transparency of every degree."""
    generator = torch.Generator().manual_seed(3)
    picture, target = torch.rand(2, 1, 3, 72, 64, generator=generator)
    opacity = torch.linspace(0, 1, 64).expand(1, 1, 72, 64).contiguous() if clear else None
    return Subject(picture, opacity, target, EPSILON * jnd_map(picture))


def run(
    file: Path | None, stop_at: int = 0, reason: Exception | None = None, clear: bool = False
) -> tuple[Tensor, int]:
    """δ after 8 iterations, and how often `step` was called; killed after `stop_at` of them, or what `reason` says."""
    calls = 0

    def step(_: Tensor) -> None:
        nonlocal calls
        calls += 1
        if calls == stop_at:
            raise reason or Killed

    quality = Quality(iterations=8, looks=2)
    return optimise(subject(clear), [encoders.load("embedded")], quality, Budget(), 5, step, Checkpoint(file)), calls


@pytest.mark.parametrize("kill_at", [1, 5, 8])
def test_a_killed_run_ends_as_an_undisturbed_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kill_at: int) -> None:
    monkeypatch.setattr(module, "SAVE_SECONDS", 0.0)
    file = tmp_path / "checkpoint"
    with pytest.raises(Killed):
        run(file, kill_at)
    assert file.exists()
    calm, _ = run(None)
    resumed, calls = run(file)
    assert torch.equal(calm, resumed)
    assert calls == 8


@pytest.mark.parametrize("kill_at", [1, 2, 3])
def test_backgrounds_go_on_in_their_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kill_at: int) -> None:
    monkeypatch.setattr(module, "SAVE_SECONDS", 0.0)
    file = tmp_path / "checkpoint"
    with pytest.raises(Killed):
        run(file, kill_at, clear=True)
    calm, _ = run(None, clear=True)
    resumed, _ = run(file, clear=True)
    assert torch.equal(calm, resumed)
    assert not torch.equal(calm, run(None)[0])


def test_a_damaged_checkpoint_counts_as_none(tmp_path: Path) -> None:
    file = tmp_path / "checkpoint"
    for content in (b"", b"x" * 100, b"\x08" + bytes(7) + b"{}      "):
        file.write_bytes(content)
        assert Checkpoint(file).load() is None


@pytest.mark.skipif(not MAPPINGS.exists(), reason="this system does not tell which files are mapped")
def test_what_was_loaded_is_no_mapping_of_the_file(tmp_path: Path) -> None:
    """Windows would let nobody replace it."""
    checkpoint = Checkpoint(tmp_path / "checkpoint")
    checkpoint.save({"delta": torch.zeros(1 << 20)}, {})
    loaded = checkpoint.load()
    assert loaded and str(tmp_path) not in MAPPINGS.read_text()


def test_a_paused_run_is_saved_at_once_and_ends_as_an_undisturbed_one(tmp_path: Path) -> None:
    file = tmp_path / "checkpoint"
    with pytest.raises(Paused):
        run(file, 2, Paused())
    saved = Checkpoint(file).load()
    assert saved and saved[1]["done"] == 2
    assert torch.equal(run(file)[0], run(None)[0])


def test_a_save_that_finds_no_room_keeps_the_one_before(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    resource = pytest.importorskip("resource")
    small, large = {"delta": torch.zeros(1)}, {"delta": torch.zeros(1 << 20)}
    checkpoint = Checkpoint(tmp_path / "checkpoint")
    checkpoint.save(small, {})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
    checkpoint.save(large, {})
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "cannot be saved" in caplog.text
    assert checkpoint.load() == (small, {})
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


def test_a_checkpoint_that_cannot_be_written_does_not_fail_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "SAVE_SECONDS", 0.0)
    delta, calls = run(tmp_path / "gone" / "checkpoint")
    assert torch.equal(delta, run(None)[0])
    assert calls == 8
    assert "cannot be saved" in caplog.text
