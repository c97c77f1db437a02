"""How the engine tells what it is doing; also where a running job can be cancelled."""

from __future__ import annotations

import time
from typing import Protocol

from glaze_plugin.raster import RasterFormat

PREVIEW_SECONDS = 1.0
"""s between two previews at least: making one costs time."""


class Paused(Exception):
    """The caller wants the device for something more urgent; the job will be run again."""


class Reporter(Protocol):
    """Given to the engine by its caller."""

    def progress(self, stage: str, step: int, steps: int) -> None:
        """Called often; may raise Cancelled or Paused, which the engine lets through."""

    def preview(self, layout: RasterFormat, pixels: bytes) -> None:
        """A small rendition of the picture as it would be cloaked now."""


class Steps:
    """Counts one job's steps over all its stages, so that the time left covers the whole job."""

    def __init__(self, reporter: Reporter, total: int) -> None:
        self._reporter = reporter
        self._total = total
        self._done = 0
        self._stage = ""
        self._previewed = time.monotonic()

    def begin(self, stage: str, left: int = 0) -> None:
        """Name the stage that starts now. left: steps to the end of the job, where earlier stages needed fewer."""
        self._stage = stage
        if left:
            self._done = max(self._done, self._total - left)
        self._reporter.progress(stage, self._done, self._total)

    def advance(self, count: int = 1) -> None:
        self._done = min(self._done + count, self._total)
        self._reporter.progress(self._stage, self._done, self._total)

    def preview_due(self) -> bool:
        """Whether PREVIEW_SECONDS have passed since the last preview."""
        return time.monotonic() - self._previewed >= PREVIEW_SECONDS

    def preview(self, layout: RasterFormat, pixels: bytes) -> None:
        self._previewed = time.monotonic()
        self._reporter.preview(layout, pixels)
