"""Whatever happens to a job, the docker says so, and it ends well. The engine takes as long as a test wants."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from glaze_plugin import lock, places
from glaze_plugin.client import Client
from glaze_plugin.launch import connect, end_daemon
from tests.krita.conftest import StartKrita
from tests.krita.glazing import BOX, GLAZED, LAYOUT, act, history, names, prepare, says, shown
from tests.krita.harness.app import Krita
from tests.krita.pixel_tasks import flipped, hold

GONE_SECONDS = 2.0
"""s within which the daemon notices that a client has gone."""


@pytest.fixture(scope="module")
def engine() -> str:
    return "tests.krita.pixel_tasks"


@pytest.fixture
def client(glaze_home: Path) -> Iterator[Client]:
    """Another one of the same daemon."""
    with Client.connect("tests") as client:
        yield client


def begin(krita: Krita) -> bytes:
    """A job that runs; its layer's bytes."""
    before = prepare(krita)
    krita.click("glaze_layer_button")
    shown(krita, "glaze_preview")
    return before


def ends_well(krita: Krita, held: Path, before: bytes) -> None:
    """Let the job end; its result comes as always."""
    held.unlink()
    shown(krita, "glaze_keep")
    assert names(krita) == ["Background", GLAZED]
    assert krita.pixels(GLAZED, BOX) == flipped(before, LAYOUT)


def pid() -> int:
    found = lock.holder()
    assert found
    return found


def open_jobs(client: Client) -> list[str]:
    """Their ids."""
    return [job["job"] for job in client.jobs() if job["state"] not in ("done", "failed")]


def none_runs(client: Client) -> None:
    """Wait until every job has ended."""
    while open_jobs(client):
        client.wait(0.1)


def test_glazing_twice_is_one_job(krita: Krita, held: Path) -> None:
    before = begin(krita)
    krita.key("ctrl+alt+shift+g")
    says(krita, "“Background” is being cloaked already.")
    assert history(krita) == ["Background: running"]
    ends_well(krita, held, before)
    assert history(krita) == ["Background: for review"]


def test_cancel(krita: Krita, held: Path, client: Client) -> None:
    before = begin(krita)
    krita.click("glaze_cancel")
    says(krita, "Cancelled.")
    shown(krita, "glaze_layer_button")
    none_runs(client)
    assert names(krita) == ["Background"]
    assert krita.pixels("Background", BOX) == before


def test_cancel_while_the_result_comes_in(krita: Krita, client: Client) -> None:
    """The daemon falls silent as soon as it is asked for the result."""
    before = prepare(krita)
    krita.run(
        "import os, signal\nfrom glaze_krita.cloaks import Cloak\nfetch = Cloak._fetch\n"
        "def stopped(cloak, layer):\n    os.kill(daemon, signal.SIGSTOP)\n    fetch(cloak, layer)\n"
        "Cloak._fetch = stopped",
        daemon=pid(),
    )
    try:
        krita.click("glaze_layer_button")
        krita.until("open(f'/proc/{daemon}/stat').read().split()[2] == 'T'")
        krita.click("glaze_cancel")
        says(krita, "Cancelled.")
    finally:
        krita.run("Cloak._fetch = fetch\nos.kill(daemon, signal.SIGCONT)")
    assert names(krita) == ["Background"]
    assert krita.pixels("Background", BOX) == before
    act(krita, "glaze_layer")
    shown(krita, "glaze_keep")
    assert krita.pixels(GLAZED, BOX) == flipped(before, LAYOUT)


def test_nothing_steps_within_a_step(krita: Krita) -> None:
    """Krita handles events, a click among them, while a layer's colours are converted to be sent."""
    within, after = krita.run(
        "from glaze_krita.session import Session\nsession, steps = Session(), []\n"
        "session.wake = lambda: None\nsession.client.step = lambda: steps.append('step')\n"
        "def convert():\n    session.do(lambda: None)\n    session.step()\n    return list(steps)\n"
        "within = session.do(convert)\nsession.close()\n(within, steps)"
    )
    assert (within, after) == ([], ["step"])


def test_the_layer_is_deleted(krita: Krita, held: Path, client: Client) -> None:
    begin(krita)
    act(krita, "remove_layer")
    says(krita, "The layer was deleted, so its cloak was dropped.")
    shown(krita, "glaze_layer_button")
    none_runs(client)
    assert GLAZED not in names(krita)


def test_the_document_is_closed(krita: Krita, held: Path, client: Client) -> None:
    begin(krita)
    krita.close_documents()
    none_runs(client)
    krita.new_document()  # without one Krita 6 hides its dockers
    says(krita, "The picture was closed, so its cloak was dropped.")


def test_krita_quits(start_krita: StartKrita, held: Path, client: Client) -> None:
    with start_krita() as krita:
        begin(krita)
        assert krita.quit() == 0
    none_runs(client)


def test_the_daemon_is_killed(krita: Krita, held: Path) -> None:
    before = begin(krita)
    killed = pid()
    os.kill(killed, signal.SIGKILL)
    says(krita, "Glaze daemon", name="glaze_state")
    says(krita, "cloaking", name="glaze_state", seconds=60)
    assert pid() != killed
    ends_well(krita, held, before)


def test_the_daemon_is_silent(krita: Krita, held: Path) -> None:
    before = begin(krita)
    os.kill(pid(), signal.SIGSTOP)
    try:
        says(krita, "has not answered for 5 seconds", name="glaze_state")
        krita.shot("silent")
    finally:
        os.kill(pid(), signal.SIGCONT)
    says(krita, "cloaking", name="glaze_state")
    ends_well(krita, held, before)


def test_a_silent_daemon_is_restarted_with_a_click(krita: Krita, held: Path) -> None:
    before, hanging = begin(krita), pid()
    os.kill(hanging, signal.SIGSTOP)
    try:
        says(krita, "Restart the engine", name="glaze_retry")
        krita.click("glaze_retry")
        says(krita, "cloaking", name="glaze_state")
        assert pid() != hanging
    finally:
        with suppress(ProcessLookupError):
            os.kill(hanging, signal.SIGKILL)
    ends_well(krita, held, before)


def test_an_engine_that_does_not_start_is_restarted_with_a_click(
    start_krita: StartKrita, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a terminal; the daemon that Krita starts has another engine."""
    monkeypatch.setenv("GLAZE_HOME", str(tmp_path))
    with start_krita() as krita:
        monkeypatch.setenv("GLAZE_TASKS", "tests.faults.there_is_none")
        connect("tests")[0].close()
        prepare(krita)
        krita.click("glaze_layer_button")
        says(krita, "The engine does not start.", 60, "glaze_state")
        says(krita, str(places.state() / "worker.out"), name="glaze_state")
        says(krita, "“Restart the engine” tries again")
        says(krita, "Restart the engine", name="glaze_retry")
        krita.shot("failing")
        krita.click("glaze_retry")
        says(krita, "Ready on fake", name="glaze_state")
    end_daemon()


def test_no_daemon_runs(start_krita: StartKrita, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLAZE_HOME", str(tmp_path))
    hold().touch()
    with start_krita() as krita:
        before = prepare(krita)
        says(krita, "The engine sleeps", name="glaze_state")
        krita.shot("asleep")
        krita.click("glaze_layer_button")
        says(krita, "Starting the Glaze daemon", name="glaze_state")
        shown(krita, "glaze_preview")
        ends_well(krita, hold(), before)
    end_daemon()


def test_a_daemon_that_cannot_start(start_krita: StartKrita, glaze_home: Path) -> None:
    with start_krita(GLAZE_HOME="/proc/nowhere") as krita:
        prepare(krita)
        krita.click("glaze_layer_button")
        shown(krita, "glaze_retry")
        says(krita, ".", name="glaze_state")
        krita.shot("trouble")
        krita.click("glaze_cancel")
        says(krita, "Cancelled.")


def test_a_job_ends_while_krita_is_closed(start_krita: StartKrita, held: Path, tmp_path: Path, client: Client) -> None:
    file = tmp_path / "picture.kra"
    with start_krita() as krita:
        before = begin(krita)
        krita.run("active().setBatchmode(True); active().saveAs(path); active().waitForDone()", path=str(file))
        assert krita.quit() == 0
        time.sleep(GONE_SECONDS)
        (job,) = open_jobs(client)
        held.unlink()
        assert bytes(client.complete(client.watch(job)).parts["result"]) == flipped(before, LAYOUT)
        krita.start()
        krita.open(file)
        shown(krita, "glaze_insert")
        says(krita, "“Background” was finished while the picture was closed.")
        krita.shot("finished")
        krita.click("glaze_insert")
        shown(krita, "glaze_keep")
        assert names(krita) == ["Background", GLAZED]
        assert krita.pixels(GLAZED, BOX) == flipped(before, LAYOUT)


@pytest.mark.parametrize(
    ("language", "button", "words"),
    [("de", "Ebene überziehen", "Es ist nichts ausgewählt"), ("ja", "レイヤーを Glaze 加工", "選択範囲がないか")],
)
def test_languages(start_krita: StartKrita, language: str, button: str, words: str) -> None:
    with start_krita(LANGUAGE=language) as krita:
        before = prepare(krita)
        assert krita.run("widget('glaze_layer_button').text()") == button
        krita.click("glaze_layer_button")
        shown(krita, "glaze_keep")
        krita.shot(f"review-{language}")
        assert krita.pixels("Background", BOX) == before
        krita.click("glaze_discard")
        shown(krita, "glaze_selection_button")
        krita.click("glaze_selection_button")
        says(krita, words)
