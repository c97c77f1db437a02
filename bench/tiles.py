"""What large pictures cost, and whether blocks show: `.venv/bin/python -m bench.tiles [SIDE...]`.

Memory: the peak of a process that does a whole job over a square picture of raw pixels, with one step of the loop,
beyond what it has after one of SMALL px; and what of it each px beyond the picture before takes. The samples themselves
take 6 bytes a px, as they came and as they go. Seams: the energy of δ within BORDER px of a block's border, in units of
each pixel's room, beside that elsewhere, on a gradient of 2048×1024 px.
"""

from __future__ import annotations

import resource
import subprocess
import sys

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glaze_plugin.raster import RasterFormat
from glaze_server.engine import encoders, page, settings, tasks
from glaze_server.engine.checkpoint import Checkpoint
from glaze_server.engine.cloaking import Work, optimised
from glaze_server.engine.device import Compute
from glaze_server.engine.page import Page
from glaze_server.engine.picture import Picture
from glaze_server.engine.progress import Steps
from glaze_server.engine.settings import Quality, Settings
from glaze_server.engine.source import Input
from glaze_server.engine.tiles import Window

SIDES = (1024, 2048, 3072, 4096, 8192)
SMALL = 96
BORDER = 4
MOST = 1.05
"""The ratio of the energies that is allowed."""


class Silent:
    """Who a job tells nothing."""

    def progress(self, stage: str, step: int, steps: int) -> None: ...

    def preview(self, layout: RasterFormat, pixels: bytes) -> None: ...


def waves(height: int, width: int) -> NDArray[np.uint8]:
    """Samples (H, W, 3): waves over a gradient, made row by row, the same on every machine."""
    x = np.linspace(0, 1, width)[None]
    samples = np.empty((height, width, 3), np.uint8)
    for row in range(height):
        y = row / height
        for plane in range(3):
            wave = np.sin(width / 9 * x + plane) * np.cos(row / 7)
            samples[row, :, plane] = 255 * (0.2 + 0.25 * (x + y) + 0.1 * wave)
    return samples


def peak() -> float:
    """Bytes at most since the process began."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0


def one(side: int) -> None:
    """Print the bytes that the job over a picture of that side takes beyond that over a small one."""
    settings.QUALITIES["preview"] = Quality(3, 0, 1)
    found = []
    for length in (SMALL, side):
        given = Input(waves(length, length).tobytes(), RasterFormat(length, length, "RGB", "u8"))
        tasks.run("protect", {"picture": given}, {"quality": "preview", "style": "dusk"}, Silent())
        found.append(peak())
    print(found[1] - found[0])


def memory(sides: list[int]) -> None:
    print(" side px   peak MB   bytes for each further px")
    before = (0, 0.0)
    for side in sides:
        done = subprocess.run(
            [sys.executable, "-m", "bench.tiles", "--one", str(side)], capture_output=True, text=True, check=True
        )
        size = float(done.stdout)
        further = (size - before[1]) / (side**2 - before[0])
        print(f"{side:8d}   {size / 2**20:7.0f}   {further:8.1f}", flush=True)
        before = side**2, size


def seams(height: int, width: int, block: int) -> float:
    """The energy of δ at the borders of blocks, as a multiple of that elsewhere."""
    x, y = np.linspace(0.1, 0.9, width)[None, :, None], np.linspace(0, 0.1, height)[:, None, None]
    samples = np.broadcast_to((x + y) * 65535, (height, width, 3)).astype(np.uint16)
    target = torch.from_numpy(waves(height, width).transpose(2, 0, 1) / np.float32(255))[None]
    page.BLOCK = block
    whole = Page(Picture(samples, "RGB"))
    work = Work(Settings(quality="preview"), [encoders.load("embedded")], None, Compute(), Steps(Silent(), 1))
    delta = optimised(work, whole, target, Checkpoint()).float()
    return _at_borders(whole, delta / whole.subject(_all_of(whole), target).room.clamp_min(1e-6))


def _all_of(whole: Page) -> Window:
    place = slice(0, whole.size[0]), slice(0, whole.size[1])
    return Window(place, place, place)


def _at_borders(whole: Page, share: Tensor) -> float:
    energy = share.square().mean(1)[0]
    near = torch.zeros(whole.size, dtype=torch.bool)
    for block in whole.blocks:
        top, left = block.place[0].start, block.place[1].start
        if top:
            near[top - BORDER : top + BORDER] = True
        if left:
            near[:, left - BORDER : left + BORDER] = True
    return float(energy[near].mean() / energy[~near].mean())


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["--one"]:
        one(int(arguments[1]))
        return 0
    memory([int(side) for side in arguments] or list(SIDES))
    ratio = seams(1024, 2048, 512)
    print(f"energy at the borders of blocks of 512 px: {ratio:.3f} of that elsewhere (at most {MOST})")
    return int(ratio > MOST)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
