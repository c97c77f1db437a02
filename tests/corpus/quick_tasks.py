"""An engine without an optimiser: files go the real way in and out, with one level added where the mask is white."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from glaze_server.engine import formats
from glaze_server.engine.formats import Wanted
from tests.faults.fake_tasks import Input, Output, Result

FIGURES = {"lpips": {"alex": 0.0, "vgg": 0.0}, "jod": 10.0, "max_change": 1 / 255, "flat_rms": 0.0}


def abilities() -> dict[str, Any]:
    return {"device": "none"}


def run(kind: str, inputs: Mapping[str, Input], settings: Mapping[str, Any], reporter: Any, checkpoint: Path) -> Result:
    reporter.progress("cloaking", 0, 1)
    file = formats.decode(inputs["picture"].data)
    pages = [page.changed(np.full(page.seen.shape, settings["strength"] / 255, np.float32)) for page in file.pages]
    wanted = Wanted(0, settings["metadata"], settings["no_mining"])
    data = formats.encode(file, pages, settings["format"], wanted)
    report = {
        "style": "none",
        "chosen": "named",
        "painter": "embedded",
        "seconds": 0.0,
        "growth": len(data) / len(file.data),
        "notes": [],
        **FIGURES,
    }
    return Result({"result": Output(data)}, report)
