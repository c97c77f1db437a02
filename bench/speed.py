"""`make bench`: what one step of the loop costs, in units of one bare gradient of the encoder at full size.

The renditions, their references and what holds δ back are all in the step; the ratio says what they add.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from glaze_server.engine import encoders
from glaze_server.engine.budget import Budget
from glaze_server.engine.cloak import Subject, optimise
from glaze_server.engine.encoders import Encoder
from glaze_server.engine.jnd import room
from glaze_server.engine.settings import QUALITIES

SIDES = (256, 512, 1024)
STEPS = 6
ROUNDS = 3


def texture(side: int, seed: int) -> Tensor:
    """A smooth random picture (1, 3, side, side) in [0, 1]."""
    coarse = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(seed))
    return F.interpolate(coarse, (side, side), mode="bicubic", align_corners=False).clamp(0, 1)


def median_seconds(action: Callable[[], object]) -> float:
    action()
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def bare_gradient(encoder: Encoder, picture: Tensor) -> None:
    leaf = picture.clone().requires_grad_()
    torch.autograd.grad(encoder(leaf).square().sum(), leaf)


def main() -> None:
    encoder = encoders.load("embedded")
    quality = replace(QUALITIES["standard"], iterations=STEPS)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, encoder {encoder.name}")
    print("side px   bare gradient s   loop step s   ratio")
    for side in SIDES:
        picture, target = texture(side, 0), texture(side, 1)
        subject = Subject(picture, None, target, room(picture, None))

        def loop(subject: Subject = subject) -> Tensor:
            return optimise(subject, [encoder], quality, Budget(), 0, lambda _: None)

        bare = median_seconds(lambda picture=picture: bare_gradient(encoder, picture))  # type: ignore[misc]
        step = median_seconds(loop) / STEPS
        print(f"{side:7d}   {bare:15.3f}   {step:11.3f}   {step / bare:5.2f}")


if __name__ == "__main__":
    main()
