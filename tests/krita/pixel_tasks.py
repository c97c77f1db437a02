"""An engine that takes no time: it flips the lowest bit of each colour sample, where there is opacity and selection.
At strength 0 it changes nothing.

While there is a file called `hold` in the Glaze home it goes on for ever, with progress and previews. Its report has
everything that the docker reads.
"""

from __future__ import annotations

import os
import time
from base64 import b64decode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from glaze_plugin.raster import RasterFormat
from tests.faults.fake_tasks import Input, Output, Result

STEPS = 100
STEP_SECONDS = 0.02
PREVIEW_STEPS = 10
PREVIEW = RasterFormat(64, 48, "RGB", "u8")
PNG = b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
FIGURES = {"targeted_shift": 0.5, "lpips": 0.04, "max_change": 1 / 255}
REPORT: dict[str, Any] = {
    "at_opacity": {"50": {**FIGURES, "targeted_shift": 0.25}, "100": FIGURES},
    "targeted_shift": {"fake": 0.5},
    "survival": {"half": {"fake": 0.3}, "crop": {"fake": 0.4}},
    "noise_control": {"targeted_shift": {"fake": 0.1}},
    "notes": [],
}


def hold() -> Path:
    """The file that makes it go on for ever."""
    return Path(os.environ["GLAZE_HOME"]) / "hold"


def abilities() -> dict[str, Any]:
    return {"device": "fake"}


def run(kind: str, inputs: Mapping[str, Input], settings: Mapping[str, Any], reporter: Any, checkpoint: Path) -> Result:
    step = 0
    while hold().exists():
        step += 1
        reporter.progress("cloaking", min(step, STEPS - 1), STEPS)
        if step % PREVIEW_STEPS == 1:
            reporter.preview(PREVIEW, bytes([step % 256]) * PREVIEW.size)
        time.sleep(STEP_SECONDS)
    picture = inputs["picture"]
    assert picture.layout
    result = bytes(picture.data)
    if settings.get("strength") != 0:
        result = flipped(result, picture.layout, inputs["mask"].data if "mask" in inputs else None)
    return Result({"result": Output(result, picture.layout), "difference": Output(PNG)}, REPORT)


def flipped(data: bytes, layout: RasterFormat, mask: bytes | None = None) -> bytes:
    """What it makes of a picture."""
    kind = np.dtype("u1" if layout.depth == "u8" else "<u2")
    samples = np.frombuffer(data, kind).reshape(-1, len(layout.channels)).copy()
    where = samples[:, -1] > 0
    if mask:
        where &= np.frombuffer(mask, np.uint8) > 0
    samples[where, :-1] ^= 1
    return bytes(samples.tobytes())
