"""Fixtures that start the real GIMP, with the add-on in it and a real daemon beside it."""

from __future__ import annotations

import re
import shutil
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from glaze_plugin.client import Client
from glaze_plugin.launch import connect, end_daemon
from tests.gimp.harness.app import Gimp as Gimp
from tests.gimp.harness.app import GimpError
from tests.gimp.harness.place import Install, Place, install_addon, make_root, missing, new_home, new_place
from tests.krita.pixel_tasks import hold

TOOLS = Path(__file__).with_name("inside.py")
"""What the tests can call inside GIMP."""

OWN_CRASH = "gimp: fatal error: Segmentation fault"
"""What GIMP 3.0 prints, and nothing of a plug-in's process."""

StartGimp = Callable[..., AbstractContextManager[Gimp]]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say plainly what was not tested."""
    if why := missing():
        terminalreporter.write_line(f"The tests inside GIMP were skipped: {why}.")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test in which GIMP itself crashes, about one in a thousand, is run again; docs/hosts.md has more on that."""
    again = pytest.mark.flaky(reruns=1, only_rerun=[OWN_CRASH])
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(again)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """A test also fails by a plug-in's exceptions and crashes."""
    result = yield
    for gimp in gimps(item):
        gimp.check()
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure shows GIMP's last words and a photograph of its screen."""
    report = yield
    if report.failed and report.when == "call":
        for gimp in gimps(item):
            words = gimp.last_words()
            if gimp.screen:
                name = re.sub(r"[^\w.-]+", "-", item.name)
                words += f"\nscreen: {gimp.shot(f'failed-{name}')}"
            report.sections.append(("GIMP", words))
    return report


def gimps(item: pytest.Item) -> set[Gimp]:
    """Those that a test uses."""
    return {value for value in getattr(item, "funcargs", {}).values() if isinstance(value, Gimp)}


@pytest.fixture(scope="package")
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    """A folder that the tests and GIMP share; the first time, GIMP's root is made for it."""
    if why := missing():
        pytest.skip(why)
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        root = make_root()
    place = new_place(root)
    yield place
    shutil.rmtree(place.outside)


@pytest.fixture(scope="package")
def start_gimp(place: Place) -> StartGimp:
    """`with start_gimp() as gimp:` is a GIMP with a home of its own, which has to quit with exit code 0.

    windows: whether it has windows. addon: what is installed in its home. Others are environment variables.
    """
    count = 0

    @contextmanager
    def start(windows: bool = False, addon: Install = install_addon, **variables: str) -> Iterator[Gimp]:
        nonlocal count
        count += 1
        home = place / f"gimp{count}"
        new_home(home)
        addon(home)
        gimp = Gimp(home, windows, TOOLS.read_text(encoding="utf-8"), **variables)
        try:
            gimp.start()
            yield gimp
            if gimp.running:
                assert gimp.quit() == 0, gimp.last_words()
        finally:
            gimp.close()

    return start


@pytest.fixture(scope="package")
def gimp_in_batch(start_gimp: StartGimp) -> Iterator[Gimp]:
    with start_gimp() as gimp:
        yield gimp


@pytest.fixture(scope="package")
def gimp_with_windows(start_gimp: StartGimp) -> Iterator[Gimp]:
    with start_gimp(windows=True) as gimp:
        yield gimp


@pytest.fixture(scope="module")
def screen() -> bool:
    """Whether the module's tests need a GIMP with windows. A test module may override this."""
    return False


@pytest.fixture
def gimp(screen: bool, glaze_home: Path, request: pytest.FixtureRequest) -> Iterator[Gimp]:
    """A GIMP without images; started anew where a test has ended it."""
    gimp: Gimp = request.getfixturevalue("gimp_with_windows" if screen else "gimp_in_batch")
    if not gimp.running:
        gimp.start()
    yield gimp
    try:
        if gimp.running:
            gimp.clean()
    except (
        GimpError
    ) as error:  # seen once: GIMP 3.0.4 crashed as a script deleted its displays, which nobody's plug-in does
        if gimp.running:
            raise
        warnings.warn(f"GIMP ended while its images were cleared away: {error}", stacklevel=1)


@pytest.fixture(scope="module")
def engine() -> str:
    """The module by which the daemon computes. A test module may override this."""
    return "tests.krita.pixel_tasks"


@pytest.fixture(scope="module")
def glaze_home(engine: str, place: Place) -> Iterator[Path]:
    """The Glaze home of GIMP and of a module's tests, with a daemon that runs."""
    folder = (place / "glaze").outside
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GLAZE_HOME", str(folder))
        patch.setenv("GLAZE_TASKS", engine)
        connect("tests")[0].close()
        yield folder
        while end_daemon():
            pass
    shutil.rmtree(folder)


@pytest.fixture
def held(glaze_home: Path) -> Iterator[Path]:
    """While this file is there, jobs of `pixel_tasks` go on."""
    hold().touch()
    yield hold()
    hold().unlink(missing_ok=True)


@pytest.fixture
def client(glaze_home: Path) -> Iterator[Client]:
    """A client of the daemon that GIMP uses."""
    with Client.connect("tests") as one:
        yield one
