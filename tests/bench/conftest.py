"""Small scenes: an opaque one in colour, one in gray, and one with alpha."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bench.cloakbench.scene import Picture, Scene
from bench.cloakbench.task import Step, Task
from glaze_server.engine import encoders
from glaze_server.engine.device import Compute
from glaze_server.engine.encoders import Encoder
from glaze_server.engine.pixels import rounded
from tests.engine.conftest import nothing, waves


def scene(kind: str = "colour", height: int = 64, width: int = 72, number: int = 0) -> Scene:
    """A generated picture and target; kind: colour, gray or alpha. number: gives another target."""
    colour, opacity = rounded(waves(height, width)), None
    if kind == "gray":
        colour = colour[:, :1]
    if kind == "alpha":
        opacity = torch.zeros(1, 1, height, width)
        opacity[..., 8:-8, 8:-8] = 1
    picture = Picture(f"waves in {kind}", "flat", colour, opacity)
    return Scene(picture, number, f"style {number}", rounded(waves(height, width, 0.7 + number)))


def task(encoder: Encoder, kind: str = "colour", step: Step = nothing) -> Task:
    """The scene of that kind, to be cloaked on the CPU."""
    return Task(scene(kind), encoder, Compute(), step)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """The pictures here are so small that threads waiting for each other cost more than they bring."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def embedded(home: Path) -> Encoder:
    """The encoder that ships with Glaze."""
    return encoders.load("embedded")
