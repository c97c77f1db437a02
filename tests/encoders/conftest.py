"""A local hub, a home without encoders, and the commands that use both."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from glaze_plugin import places
from glaze_server.engine import encoders
from glaze_server.engine.catalogue import MODELS
from tests.conftest import ROOT
from tests.encoders.local_hub import Hub
from tests.encoders.narrow import ONE_OF_EACH, files

Events = list[dict[str, Any]]
Fetch = Callable[..., tuple[int, Events]]


@pytest.fixture(scope="session")
def repositories(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes]]:
    """A narrow model of every class, in the repository that the registry names."""
    return {MODELS[name].repository: files(name, tmp_path_factory.mktemp(name)) for name in ONE_OF_EACH}


@pytest.fixture
def hub(repositories: dict[str, dict[str, bytes]]) -> Iterator[Hub]:
    one = Hub()
    one.repositories = dict(repositories)
    yield one
    one.close()


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The artist's encoder folder, empty, in a home of its own."""
    monkeypatch.setenv("GLAZE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(encoders, "load", encoders.load.__wrapped__)  # nothing remembered from other homes
    places.models().mkdir(parents=True)
    return places.models()


def asking(hub: Hub | None, **more: str) -> dict[str, str]:
    """The environment of a process that knows this hub alone, and no account."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    home = {"HF_HOME": str(places.models().parent / "no-account"), "HF_HUB_DOWNLOAD_TIMEOUT": "2"}
    return kept | home | ({"HF_ENDPOINT": hub.address} if hub else {}) | more


@pytest.fixture
def fetch(hub: Hub, shelf: Path) -> Fetch:
    """Runs `glaze_server.hub` against the local hub; gives its exit code and what it said.

    It knows no checksums in advance, since the local hub's models are not the published ones.
    """

    def run(action: str, *names: str, **environment: str) -> tuple[int, Events]:
        command = [sys.executable, "-m", "tests.encoders.unpinned", action, *names]
        done = subprocess.run(
            command, cwd=ROOT, env=asking(hub, **environment), capture_output=True, text=True, check=False, timeout=120
        )
        assert "Traceback" not in done.stderr
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]

    return run
