"""This engine as a method: the same optimiser, room and budget as the job "protect"."""

from __future__ import annotations

from torch import Tensor

from bench.cloakbench.peers import SEED
from bench.cloakbench.task import Task
from glaze_server.engine import encoders, stock
from glaze_server.engine.budget import Budget
from glaze_server.engine.cloak import Subject, optimise
from glaze_server.engine.encoders import Encoder
from glaze_server.engine.jnd import room
from glaze_server.engine.settings import QUALITIES


def cloak(task: Task, quality: str, optimised_on: list[Encoder] | None = None) -> Tensor:
    """δ before it is fitted into the budget. optimised_on: None for the task's own encoder."""
    picture = task.scene.picture
    subject = Subject(picture.colour, picture.opacity, task.scene.target, room(picture.seen, picture.opacity))
    judges = optimised_on or [task.encoder]
    return optimise(subject, judges, QUALITIES[quality], Budget(), SEED, task.step, compute=task.compute)


def preview(task: Task) -> Tensor:
    """This engine at quality "preview"."""
    return cloak(task, "preview")


def standard(task: Task) -> Tensor:
    """This engine at quality "standard"."""
    return cloak(task, "standard")


def thorough(task: Task) -> Tensor:
    """This engine at quality "thorough"."""
    return cloak(task, "thorough")


def default(task: Task) -> Tensor:
    """This engine at quality "standard", on the encoders that it brings along: what runs where nothing was added."""
    return cloak(task, "standard", [encoders.load(name) for name in stock.DEFAULT])
