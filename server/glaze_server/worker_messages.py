"""The messages that only the daemon and its own worker exchange, beside those of `glaze_plugin.messages`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from glaze_plugin.messages import Message, Part, message

WORKER_USER = b"worker"


@message
@dataclass(frozen=True)
class Run(Message):
    """daemon → worker. The parts lie as files of their names in `folder`/in; results go to `folder`/out."""

    type = "run"
    job: str
    kind: str
    folder: str
    parts: list[Part]
    settings: dict[str, Any] = field(default_factory=dict)


@message
@dataclass(frozen=True)
class Ready(Message):
    """worker → daemon, once after its start."""

    type = "ready"
    device: str


@message
@dataclass(frozen=True)
class Pause(Message):
    """daemon → worker: leave the job at its next step and keep its state, since somebody waits at a screen."""

    type = "pause"
    job: str


@message
@dataclass(frozen=True)
class Paused(Message):
    """worker → daemon: the job has been left and can be run again."""

    type = "paused"
    job: str
