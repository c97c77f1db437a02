"""Tiny generators and CLIP of random weights, made from the real classes, and an artist's folder of pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from glaze_server.engine import encoders, lpips_distance
from glaze_server.engine.device import CPU, Compute
from glaze_server.mimicry import portfolio
from glaze_server.mimicry.arms import Plan
from glaze_server.mimicry.generator import FineTuning
from glaze_server.mimicry.kept import Kept
from glaze_server.mimicry.stable import Stable
from glaze_server.mimicry.study import Study
from tests.engine.conftest import Recorder
from tests.engine.tiny_pipelines import sdxl_turbo, stable_diffusion

CORNERS = [(0, 0), (100, 40), (200, 90), (300, 200), (160, 220)]
PLAN = Plan(
    shares=(100,),
    tuning={"lora": FineTuning("lora", steps=2, batch=1, rate=1e-2, rank=2)},
    seeds=2,
    samples=2,
    quality="preview",
    style="etching",
)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """The pictures here are so small that threads waiting for each other cost more than they bring."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def sd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Stable Diffusion of a few MB."""
    return stable_diffusion(tmp_path_factory.mktemp("models") / "sd")


@pytest.fixture(scope="session")
def xl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Stable Diffusion XL Turbo of a few MB."""
    return sdxl_turbo(tmp_path_factory.mktemp("models") / "xl")


def hang(meadow: Image.Image, folder: Path) -> Path:
    """A folder with five pictures of different sizes."""
    folder.mkdir()
    for number, (left, top) in enumerate(CORNERS):
        meadow.crop((left, top, left + 70 + 9 * number, top + 64)).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def works(meadow: Image.Image, tmp_path: Path) -> Path:
    """An artist's folder that a test may change."""
    return hang(meadow, tmp_path / "works ü")


@pytest.fixture(scope="session")
def pictures(meadow: Image.Image, tmp_path_factory: pytest.TempPathFactory) -> Tensor:
    folder = hang(meadow, tmp_path_factory.mktemp("artist") / "works")
    return portfolio.read(sorted(folder.iterdir()), 64, lambda: None)


@pytest.fixture(scope="session")
def begin(sd: Path, pictures: Tensor) -> Callable[..., Study]:
    """Makes a small study with a Stable Diffusion of a few MB, in that folder."""

    def make(into: Path, recorder: Recorder | None = None, **changes: Any) -> Study:
        own = portfolio.split(pictures[:4], 0)
        study = Study(
            generator=Stable(sd, CPU),
            judges=[encoders.load("embedded")],
            portfolio=own,
            plan=PLAN,
            kept=Kept(into),
            reporter=recorder or Recorder(),
            compute=Compute(CPU),
        )
        return replace(study, **changes)

    return make


@pytest.fixture
def no_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A computer without the weights of LPIPS."""
    monkeypatch.setattr("glaze_server.engine.models.carried_file", lambda net: None)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    lpips_distance.network.cache_clear()
    yield
    lpips_distance.network.cache_clear()
