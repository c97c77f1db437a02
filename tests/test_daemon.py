"""The daemon on real libzmq: who may connect, what it refuses, and that every job ends well."""

from __future__ import annotations

import json
import os
import signal
import stat
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import zmq
from PIL import Image

from glaze_plugin import lock
from glaze_plugin import messages as m
from glaze_plugin.client import Client
from glaze_plugin.connection import CLIENT_USER, Connection, connection_file, read_connection
from glaze_plugin.errors import Cancelled, DaemonUnavailable, GlazeError
from glaze_plugin.frames import PROTOCOL
from glaze_plugin.job import Job
from glaze_plugin.link import Link
from glaze_plugin.raster import Raster, RasterFormat
from tests.conftest import children, collect, file_bytes
from tests.faults import fake_tasks

QUICK = {"quality": "preview", "style": "weave"}


def connection() -> Connection:
    found = read_connection()
    assert found
    return found


def picture(meadow: Image.Image, side: int = 64) -> bytes:
    return file_bytes(meadow.crop((200, 240, 200 + side, 240 + side)))


@contextmanager
def raw(token: bytes | None = None) -> Iterator[zmq.Socket[bytes]]:
    """A libzmq DEALER: another implementation of the client's end, without our dataclasses."""
    found = connection()
    with zmq.Context() as context, context.socket(zmq.DEALER) as dealer:
        dealer.plain_username = CLIENT_USER
        dealer.plain_password = token or found.token.encode()
        dealer.linger = 0
        dealer.rcvtimeo = 5000
        dealer.connect(f"tcp://{found.host}:{found.port}")
        yield dealer


def ask(dealer: zmq.Socket[bytes], payload: bytes | None = None, **header: object) -> dict[str, object]:
    frames = [json.dumps({"v": PROTOCOL, **header}).encode()]
    dealer.send_multipart(frames if payload is None else [*frames, payload])
    return dict(json.loads(dealer.recv_multipart()[0]))


# ---- who may connect ---------------------------------------------------------------------------


def test_the_connection_file_is_private(client: Client) -> None:
    mode = connection_file().stat().st_mode
    assert stat.S_IMODE(mode) == 0o600
    assert stat.S_IMODE(connection_file().parent.stat().st_mode) == 0o700
    assert connection().host == "127.0.0.1"


def test_libzmq_itself_can_talk_to_the_daemon(client: Client) -> None:
    with raw() as dealer:
        assert ask(dealer, type="hello", client="raw", version="0")["type"] == "welcome"


def test_without_the_token_nothing_is_answered(client: Client) -> None:
    with raw(token=b"0" * 64) as dealer:
        dealer.rcvtimeo = 500
        with pytest.raises(zmq.Again):
            ask(dealer, type="hello", client="raw", version="0")
    stranger = Link(replace(connection(), token="0" * 64))
    with pytest.raises(DaemonUnavailable, match="another token"):
        stranger.wait(5)
    stranger.close()


def test_a_client_cannot_play_the_worker(client: Client) -> None:
    with raw() as dealer:
        answer = ask(dealer, type="ready", device="x")
        assert answer["type"] == "refused"
        assert "does not send ready" in str(answer["sentence"])


def test_another_protocol_version_is_refused_with_a_remedy(client: Client) -> None:
    with raw() as dealer:
        answer = ask(dealer, v=99, type="hello", client="new", version="9")
    assert answer["code"] == "wrong_version"
    assert "glaze daemon restart" in str(answer["remedy"])


# ---- what is refused ---------------------------------------------------------------------------


def submit(dealer: zmq.Socket[bytes], **changes: object) -> str:
    job = uuid.uuid4().hex
    header = {"type": "submit", "job": job, "kind": "protect", "parts": [{"name": "picture", "size": 10}]}
    dealer.send_multipart([json.dumps({"v": PROTOCOL, **header, **changes}).encode()])
    return job


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"kind": "explode"}, "unknown_kind"),
        ({"parts": [{"name": "a", "size": 1}, {"name": "a", "size": 1}]}, "duplicate_part"),
        ({"parts": [{"name": "picture", "size": 1 << 39}]}, "disk_full"),
    ],
)
def test_a_job_that_cannot_be_taken_is_refused_by_name(client: Client, changes: dict[str, object], code: str) -> None:
    with raw() as dealer:
        submit(dealer, **changes)
        answer = json.loads(dealer.recv_multipart()[0])
    assert (answer["type"], answer["code"]) == ("refused", code)


def test_a_duplicate_id_is_refused_and_the_first_job_lives(client: Client) -> None:
    with raw() as dealer:
        job = submit(dealer)
        again = ask(dealer, type="submit", job=job, kind="protect", parts=[{"name": "picture", "size": 10}])
        assert again["code"] == "duplicate_job"
        assert any(one["job"] == job and one["state"] == "receiving" for one in client.jobs())
        assert ask(dealer, type="cancel", job=job)["code"] == "cancelled"


@pytest.mark.parametrize(
    ("part", "offset", "payload", "code"),
    [
        ("picture", 3, b"xx", "out_of_order"),
        ("picture", 0, b"x" * 11, "band_size"),
        ("picture", 0, b"", "band_size"),
        ("mask", 0, b"x", "unknown_part"),
    ],
)
def test_a_wrong_band_fails_its_job_alone(client: Client, part: str, offset: int, payload: bytes, code: str) -> None:
    with raw() as dealer:
        job = submit(dealer)
        answer = ask(dealer, payload, type="upload", job=job, part=part, offset=offset)
    assert (answer["type"], answer["code"]) == ("failed", code)


def test_unknown_jobs_are_named(client: Client) -> None:
    with raw() as dealer:
        for header in ({"type": "cancel"}, {"type": "fetch", "part": "result", "offset": 0, "length": 1}):
            assert ask(dealer, job=uuid.uuid4().hex, **header)["code"] == "unknown_job"


# ---- jobs --------------------------------------------------------------------------------------


def test_a_raster_comes_back_with_its_layout_and_progress(client: Client, meadow: Image.Image) -> None:
    pixels = meadow.crop((200, 240, 264, 288)).convert("RGBA").tobytes()
    stages: list[str] = []
    outcome = client.run(
        "protect",
        {"picture": Raster(RasterFormat(64, 48, "RGBA", "u8"), pixels)},
        QUICK,
        on_progress=lambda msg: stages.append(msg.stage),
    )
    assert outcome.layouts["result"].raster == RasterFormat(64, 48, "RGBA", "u8")
    assert outcome.parts["result"][3::4] == pixels[3::4]
    assert outcome.parts["result"] != pixels
    assert stages[0] == "waiting"
    assert "cloaking" in stages


def test_previews_are_pictures(client: Client, meadow: Image.Image) -> None:
    previews: list[m.Preview] = []
    client.run(
        "protect",
        {"picture": picture(meadow, 256)},
        {"style": "weave", "quality": "standard"},
        on_preview=previews.append,
    )
    assert previews
    assert all(len(one.payload) == one.raster.size for one in previews)


def test_a_running_job_can_be_cancelled_and_the_next_one_runs(client: Client, meadow: Image.Image) -> None:
    def listen(job: Job, msg: m.Message) -> None:
        if isinstance(msg, m.Progress) and msg.stage == "cloaking":
            client.cancel(job)

    parts = {"picture": picture(meadow, 128)}
    with pytest.raises(Cancelled):
        client.complete(client.submit("protect", parts, {"quality": "thorough"}, listener=listen))
    assert client.run("protect", {"picture": picture(meadow)}, QUICK).report["style"] == "weave"


def test_two_clients_at_once_each_get_their_own(client: Client, meadow: Image.Image) -> None:
    results: dict[str, dict[str, object]] = {}

    def work(style: str) -> None:
        with Client.connect(style) as one:
            results[style] = one.run("protect", {"picture": picture(meadow)}, {**QUICK, "style": style}).report

    threads = [threading.Thread(target=work, args=(style,)) for style in ("weave", "mosaic")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {style: report["style"] for style, report in results.items()} == {"weave": "weave", "mosaic": "mosaic"}


def test_a_finished_job_leaves_nothing_behind(client: Client, meadow: Image.Image, home: Path) -> None:
    outcome = client.run("protect", {"picture": picture(meadow)}, QUICK)
    client.status()  # an answer means that the daemon has also dealt with what was sent before
    assert not (home / "state" / "jobs" / outcome.id).exists()
    assert outcome.id not in {job["job"] for job in client.jobs()}


@pytest.mark.parametrize("times", [1, 2])
def test_a_job_survives_one_crash_of_the_worker_but_not_two(client: Client, meadow: Image.Image, times: int) -> None:
    killed: set[int] = set()

    def kill_worker(msg: m.Progress) -> None:
        if msg.stage == "cloaking" and len(killed) < times and not killed & set(children(client.welcome.pid)):
            killed.update(children(client.welcome.pid))
            os.kill(children(client.welcome.pid)[0], signal.SIGKILL)

    def run() -> dict[str, object]:
        return client.run("protect", {"picture": picture(meadow)}, {"style": "weave"}, on_progress=kill_worker).report

    if times == 1:
        assert run()["style"] == "weave"
    else:
        with pytest.raises(GlazeError, match=r"more than once \(signal 9\)") as caught:
            run()
        assert caught.value.code == "worker_crashed"
    assert len(killed) == times
    assert client.run("protect", {"picture": picture(meadow)}, QUICK).report["style"] == "weave"


def test_a_job_survives_every_shutdown_of_the_computer(own_home: Path, fake_engine: None) -> None:
    """Which tells all processes at once to end, the worker perhaps first."""
    job = None
    for _ in range(3):
        with Client.connect("tests") as client:
            settings = {"seed": 1, "step_seconds": 0.5}
            job = client.watch(job.id) if job else client.submit("protect", {"picture": b"x"}, settings)
            while job.open and not (job.progress and job.progress.stage == "faking"):
                client.wait(0.05)
            assert job.open, job.error
            daemon = client.welcome.pid
            for pid in (*children(daemon), daemon):
                os.kill(pid, signal.SIGTERM)
        while lock.holder() is not None:
            time.sleep(0.05)
    with Client.connect("tests") as client:
        assert job and collect(client, job).parts["result"] == fake_tasks.expected(b"x", 1)
    assert "worker ended" not in (own_home / "state" / "daemon.log").read_text()


def test_a_job_that_runs_out_of_memory_takes_no_other_with_it(
    own_home: Path, fake_engine: None, tmp_path: Path
) -> None:
    """After it comes another worker, which is no crash of the one before."""
    gate = tmp_path / "gate"
    with Client.connect("large") as large, Client.connect("small") as small:
        first = [large.submit("protect", {"picture": b"x"}, {"gate": str(gate), "memory": True}) for _ in range(4)]
        large.status()
        last = small.submit("protect", {"picture": b"y"}, {"seed": 1})
        small.status()
        gate.touch()
        assert collect(small, last).parts["result"] == fake_tasks.expected(b"y", 1)
        for job in first:
            with pytest.raises(GlazeError, match="not enough memory"):
                collect(large, job)
    assert "worker ended" not in (own_home / "state" / "daemon.log").read_text()


@pytest.mark.parametrize("layout", [None, RasterFormat(1, 1, "RGB", "u8")])
def test_a_job_whose_picture_is_gone_fails_with_a_sentence(
    own_home: Path, fake_engine: None, tmp_path: Path, layout: RasterFormat | None
) -> None:
    gate = tmp_path / "gate"
    with Client.connect("tests") as client:
        first = client.submit("protect", {"picture": b"x"}, {"seed": 1, "gate": str(gate)})
        content = b"abc" if layout is None else Raster(layout, b"abc")
        job = client.submit("protect", {"picture": content}, {"seed": 1})
        while not (first.progress and first.progress.stage == "waiting at the gate" and job.known):
            client.wait(0.05)
        (own_home / "state" / "jobs" / job.id / "in" / "picture").unlink()
        gate.touch()
        with pytest.raises(GlazeError, match="The job's picture cannot be read any more: No such file"):
            client.complete(job)
        client.complete(first)
    assert "worker ended" not in (own_home / "state" / "daemon.log").read_text()


def test_who_comes_to_a_running_job_sees_how_far_it_is(own_home: Path, fake_engine: None) -> None:
    """And so does its own client, which asks for it when a step takes long."""
    with Client.connect("tests") as client, Client.connect("another") as other:
        job = client.submit("protect", {"picture": b"x"}, {"seed": 1, "step_seconds": 3600})
        while not (job.progress and job.progress.stage == "faking"):
            client.wait(0.05)
        watched = other.watch(job.id)
        while not watched.known:
            other.wait(0.05)
        other.status()  # an answer means that all that comes first has been heard
        assert watched.state == "running"
        assert watched.progress == job.progress
        client.cancel(job)


def test_of_a_client_that_vanished_is_kept_what_somebody_will_come_for(
    own_home: Path, fake_engine: None, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    settings = {"seed": 1, "gate": str(gate)}
    quick = {**settings, "quality": "preview"}
    with Client.connect("staying") as client:
        with Client.connect("vanishing") as other:
            final = other.submit("protect", {"picture": b"final"}, settings)
            kept = other.submit("protect", {"picture": b"kept"}, quick, keep=True)
            preview = other.submit("protect", {"picture": b"preview"}, quick)
            shown = other.submit("protect", {"picture": b"shown"}, settings, keep=False)
            other.status()  # an answer means that all have been taken
        deadline = time.monotonic() + 60
        while [job["state"] for job in client.jobs()].count("failed") < 2:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        gate.touch()
        for job, picture in ((final, b"final"), (kept, b"kept")):
            assert collect(client, job).parts["result"] == fake_tasks.expected(picture, 1)
        for job in (preview, shown):
            with pytest.raises(Cancelled):
                collect(client, job)


def test_after_a_crash_nothing_is_computed_for_a_client_that_has_gone_too(
    own_home: Path, fake_engine: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLAZE_DESERTED_SECONDS", "4")
    settings = {"seed": 1, "gate": str(tmp_path / "gate"), "quality": "preview"}
    with Client.connect("staying") as client, Client.connect("vanishing") as other:
        staying = client.submit("protect", {"picture": b"staying"}, settings)
        vanishing = other.submit("protect", {"picture": b"vanishing"}, settings)
        while not (staying.known and vanishing.known):
            client.wait(0.05)
            other.wait(0.05)
        os.kill(client.welcome.pid, signal.SIGKILL)
        other.close()
        (tmp_path / "gate").touch()
        assert client.complete(staying).parts["result"] == fake_tasks.expected(b"staying", 1)
        time.sleep(1)  # in which the other would be done
        assert [job["state"] for job in client.jobs() if job["job"] == vanishing.id] == ["waiting"]
        deadline = time.monotonic() + 30
        while [job["state"] for job in client.jobs() if job["job"] == vanishing.id] != ["failed"]:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_a_preview_does_not_wait_for_a_long_job(own_home: Path, fake_engine: None) -> None:
    """The long job makes way, and comes out as if nothing had happened."""
    with Client.connect("batch") as batch, Client.connect("painter") as painter:
        long = batch.submit("protect", {"picture": b"large"}, {"seed": 1, "step_seconds": 1.0})
        batch.status()
        painter.run("protect", {"picture": b"small"}, {"seed": 2, "quality": "preview"})
        states = {job["job"]: job["state"] for job in painter.jobs()}
        assert states[long.id] in ("waiting", "running")
        assert collect(batch, long).parts["result"] == fake_tasks.expected(b"large", 1)


def test_a_cancel_that_meets_a_pause_is_heard(own_home: Path, fake_engine: None) -> None:
    """The worker leaves the job for the preview in its next step, before it hears that it was cancelled."""
    with Client.connect("batch") as batch:
        long = batch.submit("protect", {"picture": b"large"}, {"seed": 1, "step_seconds": 1.0})
        while not (long.progress and long.progress.stage == "faking"):
            batch.wait(0.05)
        preview = batch.submit("protect", {"picture": b"small"}, {"seed": 2, "quality": "preview", "step_seconds": 0})
        while not preview.known:
            batch.wait(0.05)
        batch.cancel(long)
        with pytest.raises(Cancelled):
            collect(batch, long)
        assert collect(batch, preview).parts["result"] == fake_tasks.expected(b"small", 2)
        assert batch.status().jobs_running == batch.status().jobs_waiting == 0


def test_a_job_that_cannot_hear_is_cancelled_all_the_same(own_home: Path, fake_engine: None) -> None:
    """A computation may be deep inside one step; then its worker is ended, and the next job gets a new one."""
    with Client.connect("tests") as client:
        deaf = client.submit("protect", {"picture": b"x"}, {"seed": 1, "step_seconds": 3600})
        while client.status().jobs_running == 0:
            time.sleep(0.05)
        client.cancel(deaf)
        with pytest.raises(Cancelled):
            client.complete(deaf)
        assert client.run("protect", {"picture": b"y"}, {"seed": 2}).parts["result"] == fake_tasks.expected(b"y", 2)


def test_an_idle_engine_gives_its_memory_back_and_returns(
    own_home: Path, fake_engine: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLAZE_IDLE_SECONDS", "0.5")
    with Client.connect("tests") as client:
        for seed in range(2):
            outcome = client.run("protect", {"picture": b"x"}, {"seed": seed})
            assert outcome.parts["result"] == fake_tasks.expected(b"x", seed)
            (worker,) = children(client.welcome.pid)
            while client.status().worker != "resting":
                time.sleep(0.05)
            assert not Path(f"/proc/{worker}").exists()
