"""One run of a method: its δ, what it was on the way, and what it cost."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from bench.cloakbench.machine import PeakMemory
from bench.cloakbench.methods import Method
from bench.cloakbench.task import Stop, Task
from glaze_plugin import places

MARKS = (5, 10, 20, 50, 100, 150, 500)
"""Iterations after which a traced method's δ is kept."""
COUNTED = 32
"""Iterations over which floating-point operations are counted."""
PERIOD = 8
"""Iterations after which this engine's loop repeats what it costs: it looks with the dear metrics once in as many."""


@dataclass(frozen=True)
class Mark:
    """δ after so many iterations and seconds."""

    iterations: int
    seconds: float
    delta: Tensor


@dataclass(frozen=True)
class Trial:
    """delta: the method's own end. in_time: δ when the time limit passed, or the end where that came first.

    seconds: of the whole run. memory: MiB by which it raised the process's resident memory, None where unknown.
    """

    delta: Tensor
    in_time: Tensor
    marks: tuple[Mark, ...]
    iterations: int
    seconds: float
    memory: float | None

    def save(self, path: Path) -> None:
        """Keep what a later target needs of it; marks are left out."""
        facts = {"iterations": self.iterations, "seconds": self.seconds, "memory": self.memory}
        path.parent.mkdir(parents=True, exist_ok=True)
        tensors = {"delta": self.delta.contiguous(), "in_time": self.in_time.contiguous().clone()}
        with places.whole(path) as beside:
            save_file(tensors, beside, {"facts": json.dumps(facts)})

    @classmethod
    def load(cls, path: Path) -> Trial:
        with safe_open(path, "pt") as file:
            facts = json.loads(file.metadata()["facts"])
            return cls(file.get_tensor("delta"), file.get_tensor("in_time"), (), **facts)


class _Watch:
    """The step that a method calls: counts, keeps marks, and notes δ when the limit passes."""

    def __init__(self, limit: float | None, marks: tuple[int, ...]) -> None:
        self.iterations = 0
        self.kept: list[Mark] = []
        self.in_time: Tensor | None = None
        self._limit = limit
        self._marks = marks
        self._start = time.perf_counter()

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._start

    def __call__(self, delta: Tensor) -> None:
        self.iterations += 1
        if self.iterations in self._marks:
            self.kept.append(Mark(self.iterations, self.seconds, delta.detach().clone()))
        if self._limit is not None and self.in_time is None and self.seconds >= self._limit:
            self.in_time = delta.detach().clone()


def run(method: Method, task: Task, limit: float | None) -> Trial:
    """Run the method to its end. limit: s, the time that `in_time` gets; None for as long as it takes."""
    memory = PeakMemory()
    watch = _Watch(limit, MARKS if method.traced else ())
    delta = method.run(replace(task, step=watch))
    seconds = watch.seconds
    in_time = delta if watch.in_time is None else watch.in_time
    return Trial(delta.detach(), in_time, tuple(watch.kept), watch.iterations, seconds, memory.mebibytes())


def until(method: Method, task: Task, limit: float) -> Tensor:
    """δ when the limit, s, passed, with the iteration in progress; or the method's end where that came first."""
    watch = _Watch(limit, ())

    def step(delta: Tensor) -> None:
        watch(delta)
        if watch.in_time is not None:
            raise Stop

    with suppress(Stop):
        return method.run(replace(task, step=step)).detach()
    assert watch.in_time is not None
    return watch.in_time


def operations(method: Method, task: Task, iterations: int) -> float:
    """Floating-point operations of that many iterations, taken on from the first COUNTED; 0 for none.

    What only the first iterations do, such as encoding the target, is counted once: later ones cost what the last
    PERIOD of the counted ones did.
    """
    if not iterations:
        return 0.0
    totals: list[int] = []
    with FlopCounterMode(display=False) as counter, suppress(Stop):

        def step(_: Tensor) -> None:
            totals.append(counter.get_total_flops())
            if len(totals) == COUNTED:
                raise Stop

        method.run(replace(task, step=step))
    later = iterations - len(totals)
    return totals[-1] + later * (totals[-1] - totals[-1 - PERIOD]) / PERIOD if later else totals[-1]
