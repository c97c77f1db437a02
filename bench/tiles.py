"""What large pictures cost, and whether tiles show: `.venv/bin/python -m bench.tiles [SIDE...]`.

Memory: the peak of a process that does a whole job over a square picture of raw pixels, with a few steps of the loop,
beyond what it has after a small one, and what each px beyond the picture before takes of it; the samples that come and
those that go take 3 bytes each. Seconds: of that job. Seams: the energy of δ within BORDER px of a tile's border, in
units of each pixel's room, beside that elsewhere, on a gradient of 2048×1024 px.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time

import numpy as np
import torch
from torch import Tensor

from glaze_plugin.raster import RasterFormat
from glaze_server.engine import encoders, jnd, settings, tasks
from glaze_server.engine.budget import Budget
from glaze_server.engine.cloak import Subject, optimise
from glaze_server.engine.device import CORE, Compute, Device
from glaze_server.engine.settings import QUALITIES, Quality
from glaze_server.engine.source import Input

SIDES = (1024, 2048, 4096, 8192)
QUICK = Quality(3, 0, 1)
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


class Silent:
    """Who a job tells nothing."""

    def progress(self, stage: str, step: int, steps: int) -> None: ...

    def preview(self, layout: RasterFormat, pixels: bytes) -> None: ...


def waves(side: int) -> bytes:
    """Samples of a square picture: waves over a gradient, made row by row, the same on every machine."""
    x = np.linspace(0, 1, side)[:, None]
    samples = np.empty((side, side, 3), np.uint8)
    for row in range(side):
        wave = np.sin(side / 9 * x + np.arange(3)) * np.cos(row / 7)
        samples[row] = 255 * (0.2 + 0.25 * (x + row / side) + 0.1 * wave)
    return samples.tobytes()


def one(side: int) -> None:
    """Print the bytes that a job over a picture of that side takes beyond one over a small one, and its seconds."""
    settings.QUALITIES["preview"] = QUICK
    found = []
    for length in (96, side):
        given = Input(waves(length), RasterFormat(length, length, "RGB", "u8"))
        began = time.perf_counter()
        tasks.run("protect", {"picture": given}, {"quality": "preview", "style": "dusk"}, Silent())
        found.append(peak())
    print(json.dumps([found[1] - found[0], time.perf_counter() - began]))


def memory(sides: list[int]) -> None:
    print(" side px   peak MB   bytes for each further px   seconds")
    before = (0, 0.0)
    for side in sides:
        done = subprocess.run(
            [sys.executable, "-m", "bench.tiles", "--one", str(side)], stdout=subprocess.PIPE, text=True, check=True
        )
        size, seconds = json.loads(done.stdout)
        further = (size - before[1]) / (side**2 - before[0])
        print(f"{side:8d}   {size / 2**20:7.0f}   {further:25.1f}   {seconds:7.0f}", flush=True)
        before = side**2, size


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
