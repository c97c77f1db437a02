"""What is noted about a run: marks on the way, δ in time, operations."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from bench.cloakbench import peers, trial
from bench.cloakbench.methods import Method
from bench.cloakbench.task import Task
from bench.cloakbench.trial import Trial
from glaze_server.engine.encoders import Encoder
from tests.bench.conftest import task

ITERATIONS = 50


def stairs(given: Task) -> Tensor:
    """δ that is the number of the iteration, each of which encodes the picture once."""
    delta = torch.zeros_like(given.scene.picture.colour)
    for number in range(1, ITERATIONS + 1):
        given.encode(given.scene.picture.seen)
        delta = torch.full_like(delta, number)
        given.step(delta)
    return delta


STAIRS = Method("stairs", "stairs", stairs, traced=True)


def test_marks_are_kept_on_the_way(embedded: Encoder) -> None:
    done = trial.run(STAIRS, task(embedded), None)
    assert done.iterations == ITERATIONS
    assert [mark.iterations for mark in done.marks] == [mark for mark in trial.MARKS if mark <= ITERATIONS]
    assert all(float(mark.delta.max()) == mark.iterations for mark in done.marks)
    seconds = [0.0, *(mark.seconds for mark in done.marks), done.seconds]
    assert seconds == sorted(seconds)
    assert torch.equal(done.in_time, done.delta)


def test_in_time_is_what_there_was_when_the_limit_passed(embedded: Encoder) -> None:
    assert float(trial.run(STAIRS, task(embedded), 0.0).in_time.max()) == 1
    assert float(trial.run(STAIRS, task(embedded), 1e6).in_time.max()) == ITERATIONS
    assert float(trial.until(STAIRS, task(embedded), 0.0).max()) == 1
    assert float(trial.until(STAIRS, task(embedded), 1e6).max()) == ITERATIONS


def test_operations_are_taken_on_from_the_counted_iterations(embedded: Encoder) -> None:
    one = trial.operations(STAIRS, task(embedded), 1 + trial.COUNTED) - trial.operations(
        STAIRS, task(embedded), trial.COUNTED
    )
    assert one > 1e6
    assert trial.operations(STAIRS, task(embedded), ITERATIONS) == pytest.approx(ITERATIONS * one)
    assert trial.operations(Method("noise", "noise", peers.noise), task(embedded), 0) == 0


def test_operations_of_a_loop_with_dear_looks_are_those_of_the_whole_loop(embedded: Encoder) -> None:
    """As this engine's: all is dear at first, then every eighth iteration is."""

    def looking(given: Task) -> Tensor:
        for number in range(64):
            for _ in range(5 if number < 3 or number % 8 == 0 else 1):
                given.encode(given.scene.picture.seen)
            given.step(torch.zeros_like(given.scene.picture.colour))
        return torch.zeros_like(given.scene.picture.colour)

    method = Method("looking", "looking", looking)
    with FlopCounterMode(display=False) as counter:
        looking(task(embedded))
    assert trial.operations(method, task(embedded), 64) == pytest.approx(counter.get_total_flops())


def test_a_trial_is_kept_for_the_next_target(embedded: Encoder, tmp_path: Path) -> None:
    done = trial.run(STAIRS, task(embedded), 0.0)
    done.save(tmp_path / "kept")
    again = Trial.load(tmp_path / "kept")
    assert torch.equal(again.delta, done.delta) and torch.equal(again.in_time, done.in_time)
    assert (again.iterations, again.seconds, again.memory) == (done.iterations, done.seconds, done.memory)
