"""What large pictures cost, and whether tiles show: `.venv/bin/python -m bench.tiles [SIDE...]`.

Memory: the peak of a process that takes one step over a square picture and judges it, beyond what it has when it is
ready, in MB, and in float32 canvases (12 bytes a pixel): beyond 2048 px that number does not grow. Seams: the energy
of δ within BORDER px of a tile's border, in units of each pixel's room, beside that elsewhere, on a gradient of
2048×1024 px.
"""

from __future__ import annotations

import resource
import subprocess
import sys

import torch
from torch import Tensor

from glaze_server.engine import encoders, jnd
from glaze_server.engine.budget import Budget, Eye
from glaze_server.engine.cloak import Subject, optimise
from glaze_server.engine.device import CORE, Compute, Device
from glaze_server.engine.settings import QUALITIES, Quality

SIDES = (512, 1024, 2048, 3072, 4096)
BORDER = 4
MOST = 1.05
"""The ratio of the energies that is allowed."""


def picture(height: int, width: int, phase: float) -> Tensor:
    """(1, 3, H, W): waves over a gradient, the same on every machine."""
    x, y = torch.linspace(0, 1, width)[None, :], torch.linspace(0, 1, height)[:, None]
    planes = [
        0.2 + 0.5 * (x + y) / 2 + 0.1 * torch.sin(width / 9 * x + phase * c) * torch.cos(height / 7 * y)
        for c in (1, 2, 3)
    ]
    return torch.stack(planes)[None]


def peak() -> float:
    """Bytes at most since the process began."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0


def one(side: int) -> None:
    """Print the bytes that a picture of that side takes beyond a small one."""
    encoder = encoders.load("embedded")
    found = []
    for length in (96, side):
        clean = picture(length, length, 0.0)
        subject = Subject(clean, None, picture(length, length, 1.0), jnd.room(clean, None))
        delta = optimise(subject, [encoder], Quality(1, 1), Budget(), 0, lambda _: None)
        Eye(clean).judge(clean + delta)
        found.append(peak())
    print(found[1] - found[0])


def memory(sides: list[int]) -> None:
    print(" side px   peak MB   float32 canvases")
    for side in sides:
        done = subprocess.run(
            [sys.executable, "-m", "bench.tiles", "--one", str(side)], capture_output=True, text=True, check=True
        )
        size = float(done.stdout)
        print(f"{side:8d}   {size / 2**20:7.0f}   {size / (12 * side * side):6.1f}", flush=True)


def seams(height: int, width: int, core: int, quality: Quality) -> float:
    """The energy of δ at the borders of tiles, as a multiple of that elsewhere."""
    x, y = torch.linspace(0.1, 0.9, width)[None, :], torch.linspace(0, 0.1, height)[:, None]
    clean = (x + y).expand(1, 3, height, width).contiguous()
    target = picture(height, width, 1.0)
    room = jnd.room(clean, None)
    subject = Subject(clean, None, target, room)
    compute = Compute(Device(core=core))
    delta = optimise(subject, [encoders.load("embedded")], quality, Budget(), 0, lambda _: None, None, compute)
    energy = (delta / room.clamp_min(1e-6)).square().mean(1)[0]
    near = torch.zeros(height, width, dtype=torch.bool)
    for at in range(core, height, core):
        near[at - BORDER : at + BORDER] = True
    for at in range(core, width, core):
        near[:, at - BORDER : at + BORDER] = True
    return float(energy[near].mean() / energy[~near].mean())


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["--one"]:
        one(int(arguments[1]))
        return 0
    memory([int(side) for side in arguments] or list(SIDES))
    ratio = seams(1024, 2048, CORE // 2, QUALITIES["preview"])
    print(f"energy at tile borders: {ratio:.3f} of that elsewhere (at most {MOST})")
    return int(ratio > MOST)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
