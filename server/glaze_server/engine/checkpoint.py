"""Where a long optimisation can be taken up again after its process was killed."""

from __future__ import annotations

import json
import logging
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

log = logging.getLogger("glaze.engine")

SAVE_SECONDS = 3.0
"""s between two saves: what a kill costs at most."""


class Checkpoint:
    """One file of tensors and facts, replaced whole. path None: nothing is saved."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._saved = time.monotonic()

    def beside(self, name: str) -> Checkpoint:
        """Another one of the same job."""
        return Checkpoint(self._path and self._path.with_name(f"{self._path.name}.{name}"))

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """What was saved last, or None; a damaged file counts as none. A copy: Windows replaces no mapped file."""
        if self._path is None or not self._path.exists():
            return None
        try:
            with safe_open(self._path, "pt") as file:
                tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118, no dictionary
                return tensors, json.loads(file.metadata()["facts"])
        except (SafetensorError, KeyError, TypeError, ValueError):
            return None

    def due(self) -> bool:
        return self._path is not None and time.monotonic() - self._saved >= SAVE_SECONDS

    def save(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Replace the file, or keep the old one where the disk is full. Tensors and numbers keep every bit."""
        if self._path is None:
            return
        self._saved = time.monotonic()
        beside = self._path.with_name(f"{self._path.name}.new")
        try:
            save_file(tensors, beside, {"facts": json.dumps(facts)})
            beside.replace(self._path)
        except (OSError, SafetensorError) as error:
            log.warning("the checkpoint cannot be saved: %s", error)
            with suppress(OSError):
                beside.unlink(missing_ok=True)
