"""Pieces of the example painting, small encoders and a recording reporter. The home folder is `tests.conftest.home`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter, ImageOps
from torch import Tensor, nn

from glaze_plugin.errors import BadInput, Cancelled, GlazeError
from glaze_plugin.raster import RasterFormat
from glaze_server.engine import encoders
from glaze_server.engine.encoders import STRIDE, Encoder
from glaze_server.engine.pixels import from_8bit

Piece = Callable[[int, int], Image.Image]


class Recorder:
    """A reporter that remembers what it was told, and stops the job at its `stop_at`-th call."""

    def __init__(self, stop_at: int = 0, reason: Exception | None = None) -> None:
        self.stages: list[str] = []
        self.steps: list[int] = []
        self.totals: list[int] = []
        self.previews: list[tuple[RasterFormat, bytes]] = []
        self._stop_at = stop_at
        self._reason = reason or Cancelled("cancelled", "The job was cancelled.")

    def progress(self, stage: str, step: int, steps: int) -> None:
        self.stages.append(stage)
        self.steps.append(step)
        self.totals.append(steps)
        if len(self.steps) == self._stop_at:
            raise self._reason

    def preview(self, layout: RasterFormat, pixels: bytes) -> None:
        self.previews.append((layout, pixels))


@contextmanager
def refusal(code: str, kind: type[GlazeError] = BadInput) -> Iterator[pytest.ExceptionInfo[GlazeError]]:
    """What runs inside must end with an error of that code, said in one sentence."""
    with pytest.raises(kind) as caught:
        yield caught
    assert caught.value.code == code
    assert caught.value.sentence[0].isupper()
    assert caught.value.sentence.endswith(".")


def waves(height: int, width: int, phase: float = 0.0) -> Tensor:
    """A generated picture, (1, 3, height, width) in [0.1, 0.9], the same on every machine."""
    rows = torch.arange(height, dtype=torch.float64)[:, None]
    columns = torch.arange(width, dtype=torch.float64)[None, :]
    planes = [torch.sin(rows / (5 + c) + phase) * torch.cos(columns / (3 + 2 * c) - phase) for c in range(3)]
    return (0.5 + 0.4 * torch.stack(planes)).float()[None]


def signs(shape: torch.Size, seed: int = 7) -> Tensor:
    """Random +1 and −1."""
    return torch.randint(0, 2, shape, generator=torch.Generator().manual_seed(seed)) * 2.0 - 1


def flat(height: int, width: int) -> Tensor:
    """A middle gray, (1, 3, height, width)."""
    return torch.full((1, 3, height, width), 128 / 255)


def half_flat() -> Tensor:
    """(1, 3, 64, 96), flat in its left half, rough in its right."""
    x = flat(64, 96)
    x[..., 48:] += 0.2 * signs(torch.Size((1, 3, 64, 48)))
    return x


def nothing(*_: object) -> None:
    """A tick that nobody listens to."""


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """The pictures here are so small that threads waiting for each other cost more than they bring."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def piece(meadow: Image.Image) -> Piece:
    """Cuts `width` × `height` px out of the example painting, where hills, path and poppies meet."""

    def cut(width: int, height: int) -> Image.Image:
        return meadow.crop((160, 220, 160 + width, 220 + height))

    return cut


@pytest.fixture(scope="session")
def scene(piece: Piece) -> Callable[[int, int], Tensor]:
    """The same as a tensor: height, width → (1, 3, height, width)."""
    return lambda height, width: from_8bit(np.asarray(piece(width, height)))


@pytest.fixture(scope="session")
def embedded(home: Path) -> Encoder:
    """The encoder that ships with Glaze."""
    return encoders.load("embedded")


@pytest.fixture(scope="session")
def pooled() -> Encoder:
    """A second encoder that costs nothing: the mean of each 8×8 px."""
    return Encoder("pooled", nn.AvgPool2d(STRIDE))


@pytest.fixture
def drawing(piece: Piece) -> Image.Image:
    """Flat colours with soft edges."""
    posters = ImageOps.posterize(piece(192, 160), 2).filter(ImageFilter.ModeFilter(15))
    return posters.resize((96, 80), Image.Resampling.LANCZOS)
