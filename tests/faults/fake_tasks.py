"""An engine that takes milliseconds: its result depends on every byte of the picture and on the seed.

Like the real one it works in steps, reports, can be cancelled, and takes up an interrupted job from its checkpoint.
With the setting `identity` it gives the picture back as it is, which is what moving a picture costs; with `gate` it
waits until there is a file of that name; with `memory` its memory runs out.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from glaze_plugin.raster import RasterFormat

STEPS = 5
STEP_SECONDS = 0.004


@dataclass(frozen=True)
class Input:
    data: bytes
    layout: RasterFormat | None = None


Output = Input


@dataclass
class Result:
    parts: dict[str, Output] = field(default_factory=dict)
    report: dict[str, Any] = field(default_factory=dict)


def expected(picture: bytes, seed: int) -> bytes:
    """The result of an undisturbed run."""
    state = f"{seed}".encode()
    for _ in range(STEPS):
        state = hashlib.sha256(state + picture).digest()
    return state * (1 + len(picture) // 64)


def abilities() -> dict[str, Any]:
    return {"device": "fake"}


def run(kind: str, inputs: Mapping[str, Input], settings: Mapping[str, Any], reporter: Any, checkpoint: Path) -> Result:
    while "gate" in settings and not Path(settings["gate"]).exists():
        reporter.progress("waiting at the gate", 0, 1)
        time.sleep(STEP_SECONDS)
    if settings.get("identity"):
        reporter.progress("giving back", 0, 1)
        return Result({"result": inputs["picture"]})
    if settings.get("memory"):
        raise MemoryError
    picture, seed = inputs["picture"].data, settings["seed"]
    done, state = 0, f"{seed}".encode()
    if checkpoint.exists():
        content = checkpoint.read_bytes()
        done, state = content[0], content[1:]
    for step in range(done, STEPS):
        reporter.progress("faking", step, STEPS)
        time.sleep(settings.get("step_seconds", STEP_SECONDS))
        state = hashlib.sha256(state + picture).digest()
        beside = checkpoint.with_suffix(".new")
        beside.write_bytes(bytes([step + 1]) + state)
        beside.replace(checkpoint)
    return Result({"result": Output(state * (1 + len(picture) // 64))}, {"seed": seed})
