"""`python -m tests.engine.little_memory MIB`: cloaks a picture larger than a tile in that much more address space.

Prints the notes of the run.
"""

from __future__ import annotations

import resource
import sys

import torch

from glaze_server.engine import encoders
from glaze_server.engine.budget import Budget
from glaze_server.engine.cloak import Subject, optimise
from glaze_server.engine.device import Compute
from glaze_server.engine.settings import Quality
from tests.engine.conftest import nothing, waves


def used() -> int:
    """Bytes of address space."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


def cloak(side: int) -> list[str]:
    """The notes of one step over a picture of side × side px."""
    room = torch.full((1, 1, side, side), 0.05)
    subject, compute = Subject(waves(side, side), None, waves(side, side, 0.7), room), Compute()
    delta = optimise(subject, [encoders.load("embedded")], Quality(1, 1), Budget(), 0, nothing, None, compute)
    assert delta.isfinite().all() and delta.any()
    return compute.notes


if __name__ == "__main__":
    torch.set_num_threads(1)
    cloak(96)  # loads what is loaded once
    limit = used() + int(sys.argv[1]) * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    print(*cloak(640), sep="\n")
