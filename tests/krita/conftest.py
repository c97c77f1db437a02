"""Fixtures that start the real Krita, with the add-on in it and a real daemon beside it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from filelock import FileLock

from glaze_plugin.launch import connect, end_daemon
from tests.conftest import ROOT
from tests.krita.harness.app import COMMAND, Krita, missing_programs
from tests.krita.harness.home import copied_home, install_addon, new_home
from tests.krita.pixel_tasks import hold

Install = Callable[[Path], None]
StartKrita = Callable[..., AbstractContextManager[Krita]]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say plainly what was not tested."""
    if missing := missing_programs():
        terminalreporter.write_line(f"The tests inside Krita were skipped: {', '.join(missing)} missing.")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """A test also fails by what nothing in Krita caught, and by a Krita that has died."""
    result = yield
    for krita in kritas(item):
        if krita.running:
            krita.check()
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure shows Krita's last words and a photograph of its screen."""
    report = yield
    if report.failed and report.when == "call":
        for krita in kritas(item):
            shot = krita.shot("failed-" + re.sub(r"[^\w.-]+", "-", item.name))
            report.sections.append(("Krita", f"{krita.last_words()}\nscreen: {shot}"))
    return report


def kritas(item: pytest.Item) -> set[Krita]:
    """Those that a test uses."""
    return {value for value in getattr(item, "funcargs", {}).values() if isinstance(value, Krita)}


@pytest.fixture(scope="session")
def krita_template() -> Path:
    """A home in which this Krita has been started once, which takes 10 to 20 s; kept below .cache."""
    if missing := missing_programs():
        pytest.skip(f"{', '.join(missing)} missing")
    made = Path(shutil.which(COMMAND[0]) or "").stat().st_mtime_ns
    template = ROOT / ".cache" / f"krita-home-{made}"
    template.parent.mkdir(exist_ok=True)
    with FileLock(template.with_suffix(".lock")):  # pytest may run in several processes
        if not template.exists():
            beside = template.with_suffix(".part")
            shutil.rmtree(beside, ignore_errors=True)
            new_home(beside)
            krita = Krita(beside)
            try:
                krita.start()
                assert krita.quit() == 0
            finally:
                krita.close()
            beside.rename(template)
    return template


@pytest.fixture(scope="module")
def engine() -> str:
    """The module by which the daemon computes. A test module may override this."""
    return "glaze_server.engine.tasks"


@pytest.fixture(scope="module")
def addon() -> Install:
    """Installs in a home what is tested. A test module may override this."""
    return install_addon


@pytest.fixture(scope="module")
def glaze_home(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A Glaze home for a module's Krita and its tests, with a daemon that runs."""
    folder = tmp_path_factory.mktemp("glaze")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GLAZE_HOME", str(folder))
        patch.setenv("GLAZE_TASKS", engine)
        connect("tests")[0].close()
        yield folder
        while end_daemon():
            pass


@pytest.fixture
def held(glaze_home: Path) -> Iterator[Path]:
    """While this file is there, jobs of `pixel_tasks` go on."""
    hold().touch()
    yield hold()
    hold().unlink(missing_ok=True)


@pytest.fixture(scope="module")
def start_krita(
    krita_template: Path, glaze_home: Path, addon: Install, tmp_path_factory: pytest.TempPathFactory
) -> StartKrita:
    """`with start_krita() as krita:` is a Krita with a home of its own, which has to quit with exit code 0.

    It takes another `addon`, and environment variables.
    """

    @contextmanager
    def start(addon: Install = addon, **variables: str) -> Iterator[Krita]:
        home = tmp_path_factory.mktemp("krita") / "home"
        copied_home(krita_template, home)
        addon(home)
        krita = Krita(home, **variables)
        try:
            krita.start()
            yield krita
            if krita.running:
                assert krita.quit() == 0, krita.last_words()
        finally:
            krita.close()
            shutil.rmtree(home)

    return start


@pytest.fixture(scope="module")
def running_krita(start_krita: StartKrita) -> Iterator[Krita]:
    """The module's Krita."""
    with start_krita() as krita:
        yield krita


@pytest.fixture
def krita(running_krita: Krita) -> Iterator[Krita]:
    """The module's Krita, without documents; started anew where a test has killed it."""
    if not running_krita.running:
        running_krita.start()
    yield running_krita
    if running_krita.running:
        running_krita.close_documents()
