"""A Glaze home for the benchmark alone, with the encoder weights that this machine has at hand."""

from __future__ import annotations

import os
from pathlib import Path

from glaze_plugin import places

SHARED = Path(__file__).parents[2].parent / "shared" / "encoders"
"""Weights beside the project, where somebody put them."""


def use(work: Path) -> None:
    """Make the home below `work` that of this process. The artist's own encoders and those of SHARED are linked."""
    sources = [places.models(), SHARED]
    os.environ["GLAZE_HOME"] = str(work / "home")
    places.models().mkdir(parents=True, exist_ok=True)
    for folder in sources:
        for file in folder.glob("*") if folder.is_dir() else ():
            link = places.models() / file.name
            if not link.exists():
                link.unlink(missing_ok=True)  # one whose file has gone
                link.symlink_to(file.resolve())
