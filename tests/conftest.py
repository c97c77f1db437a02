"""Fixtures that start the real thing: one daemon for the whole run, in a home of its own."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from glaze_plugin.client import Client
from glaze_plugin.job import Job
from glaze_plugin.launch import end_daemon

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared"

Glaze = Callable[..., "subprocess.CompletedProcess[str]"]

WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // WORKERS)))
os.environ["GLAZE_PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "server")])  # the tests' engines lie there
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # processes that share cores do not spin while they wait

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell starts what runs in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say plainly what was not tested for want of the shared data."""
    if not SHARED.exists():
        terminalreporter.write_line("shared/ is missing: the tests on real paintings and encoders were skipped.")


@pytest.fixture(scope="session", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A Glaze home for this run, so that the artist's own is left alone."""
    folder = tmp_path_factory.mktemp("home")
    os.environ["GLAZE_HOME"] = str(folder)
    yield folder
    subprocess.run([sys.executable, "-m", "glaze_plugin.cli", "daemon", "stop"], check=False, capture_output=True)


@pytest.fixture
def client() -> Iterator[Client]:
    """A client of the run's daemon, which the first one starts."""
    with Client.connect("tests") as one:
        yield one


@pytest.fixture
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home whose daemon belongs to this test alone; its path has letters beyond ASCII."""
    folder = tmp_path / "own home ü"
    monkeypatch.setenv("GLAZE_HOME", str(folder))
    yield folder
    while end_daemon():  # one that came too late to be the daemon may have become it by now
        pass


@pytest.fixture
def fake_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Daemons that are started from now on compute with `tests.faults.fake_tasks`."""
    monkeypatch.setenv("GLAZE_TASKS", "tests.faults.fake_tasks")


@pytest.fixture
def glaze(tmp_path: Path) -> Glaze:
    """Runs `glaze ARGUMENTS` in the test's own folder and returns the finished process."""

    def run(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "glaze_plugin.cli", *map(str, arguments)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, **options)  # type: ignore[call-overload, no-any-return]

    return run


@pytest.fixture(scope="session")
def meadow() -> Image.Image:
    """The example painting, 512×512."""
    with Image.open(ROOT / "examples" / "meadow.png") as image:
        return image.convert("RGB")


@pytest.fixture
def painting(meadow: Image.Image, tmp_path: Path) -> Path:
    """A 96×80 piece of the example painting as a PNG file."""
    path = tmp_path / "painting.png"
    meadow.crop((160, 220, 256, 300)).save(path)
    return path


def file_bytes(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    """An image as a file's bytes."""
    data = io.BytesIO()
    image.save(data, format, **options)
    return data.getvalue()


def children(pid: int) -> list[int]:
    """Process ids of a process's children: of a daemon, its worker or none."""
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
    return [int(child) for child in found.stdout.split()]


def collect(client: Client, job: Job) -> Job:
    """Follow a job that was submitted before, perhaps by another client, to its end; its result is kept."""
    return client.complete(client.watch(job.id))
