"""The daemon on real libzmq: who may connect, what it refuses, and that every job ends well."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import stat
import subprocess
import sys
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

from glaze_plugin import messages as m
from glaze_plugin.client import Client
from glaze_plugin.connection import (
    CLIENT_USER,
    Connection,
    connection_file,
    find_daemon,
    open_link,
    read_connection,
    write_connection,
)
from glaze_plugin.errors import BadInput, Cancelled, DaemonUnavailable, GlazeError
from glaze_plugin.raster import Raster, RasterFormat
from glaze_plugin.zmtp import AccessDenied
from tests.conftest import file_bytes

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
    frames = [json.dumps({"v": m.PROTOCOL, **header}).encode()]
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
    with pytest.raises(AccessDenied):
        open_link(replace(connection(), token="0" * 64), "tests")


def test_a_client_cannot_play_the_worker(client: Client) -> None:
    with raw() as dealer:
        answer = ask(dealer, type="ready", device="x", encoders=[], styles=[])
        assert answer["type"] == "refused"
        assert "does not send ready" in str(answer["sentence"])


def test_another_protocol_version_is_refused_with_a_remedy(client: Client) -> None:
    with raw() as dealer:
        answer = ask(dealer, v=99, type="hello", client="new", version="9")
    assert answer["code"] == "wrong_version"
    assert "glaze daemon stop" in str(answer["remedy"])


# ---- what is refused ---------------------------------------------------------------------------


def submit(dealer: zmq.Socket[bytes], **changes: object) -> str:
    job = uuid.uuid4().hex
    header = {"type": "submit", "job": job, "kind": "protect", "parts": [{"name": "picture", "size": 10}]}
    dealer.send_multipart([json.dumps({"v": m.PROTOCOL, **header, **changes}).encode()])
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
    assert list(dict.fromkeys(stages))[:2] == ["waiting", "choosing a style"]
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
    def cancel(msg: m.Progress) -> None:
        if msg.stage == "cloaking":
            client.cancel(msg.job)

    with pytest.raises(Cancelled):
        client.run("protect", {"picture": picture(meadow, 128)}, {"quality": "thorough"}, on_progress=cancel)
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
    assert not (home / "state" / "jobs" / outcome.job).exists()
    assert outcome.job not in {job["job"] for job in client.jobs()}


def workers(client: Client) -> list[int]:
    """Process ids of the daemon's worker, none while it has none."""
    found = subprocess.run(["pgrep", "-P", str(client.welcome.pid)], capture_output=True, text=True, check=False)
    return [int(pid) for pid in found.stdout.split()]


@pytest.mark.parametrize("times", [1, 2])
def test_a_job_survives_one_crash_of_the_worker_but_not_two(client: Client, meadow: Image.Image, times: int) -> None:
    killed: set[int] = set()

    def kill_worker(msg: m.Progress) -> None:
        if msg.stage == "cloaking" and len(killed) < times and not killed & set(workers(client)):
            killed.update(workers(client))
            os.kill(workers(client)[0], signal.SIGKILL)

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


def test_interactive_jobs_of_a_client_that_vanished_are_dropped_and_final_ones_kept(
    client: Client, meadow: Image.Image
) -> None:
    with Client.connect("vanishing") as other:
        final = other.submit("protect", {"picture": picture(meadow, 128)}, {"style": "weave"})
        preview = other.submit("protect", {"picture": picture(meadow, 128)}, QUICK)
        other.status()  # an answer means that both have been taken
    deadline = time.monotonic() + 60
    while next(job for job in client.jobs() if job["job"] == preview)["state"] not in ("failed", "done"):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    client.watch(final)
    assert isinstance(client._follow(final, None, None), m.Done)
    client.link.send(m.Forget(job=final))


# ---- finding and starting it -------------------------------------------------------------------


@pytest.fixture
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home whose daemon belongs to this test alone."""
    monkeypatch.setenv("GLAZE_HOME", str(tmp_path / "own home ü"))
    yield tmp_path / "own home ü"
    found = read_connection()
    if found:
        try:
            os.kill(found.pid, signal.SIGTERM)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + 10
        while connection_file().exists() and time.monotonic() < deadline:
            time.sleep(0.05)


def test_a_daemon_is_started_where_none_runs_and_said_so(own_home: Path) -> None:
    told: list[str] = []
    with Client.connect("tests", told.append) as client:
        assert client.status().pid == connection().pid
    assert told == ["Starting the Glaze daemon"]


def test_starts_in_the_same_instant_end_in_one_daemon(own_home: Path) -> None:
    pids: list[int] = []

    def start() -> None:
        with Client.connect("tests") as client:
            pids.append(client.welcome.pid)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(pids) == 4
    assert len(set(pids)) == 1


def test_a_stale_connection_file_is_replaced(own_home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    write_connection(Connection("127.0.0.1", port, "0" * 64, 999_999, m.PROTOCOL, "0", 0.0))
    with Client.connect("tests") as client:
        assert client.welcome.pid == connection().pid
    assert connection().port != port


def test_a_foreign_program_on_the_port_is_not_mistaken_for_the_daemon(own_home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            try:
                while True:
                    peer, _ = server.accept()
                    peer.sendall(b"220 mail.example ESMTP\r\n")
            except OSError:
                return

        thread = threading.Thread(target=greet)
        thread.start()
        write_connection(Connection("127.0.0.1", server.getsockname()[1], "0" * 64, 1, m.PROTOCOL, "0", 0.0))
        with Client.connect("tests") as client:
            assert client.welcome.pid == connection().pid
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"host": 1}'])
def test_a_broken_connection_file_counts_as_none(own_home: Path, content: str) -> None:
    connection_file().parent.mkdir(parents=True)
    connection_file().write_text(content)
    assert find_daemon("tests") is None


def test_a_job_outlives_its_daemon(own_home: Path, meadow: Image.Image) -> None:
    undisturbed = {"picture": picture(meadow)}
    told: list[str] = []
    killed: list[int] = []

    def kill(msg: m.Progress) -> None:
        if msg.stage == "cloaking" and not killed:
            killed.append(connection().pid)
            os.kill(killed[0], signal.SIGKILL)

    with Client.connect("tests", told.append) as client:
        calm = client.run("protect", undisturbed, QUICK)
        shaken = client.run("protect", undisturbed, QUICK, on_progress=kill)
        assert client.welcome.pid != killed[0]
    assert told[-2:] == ["The Glaze daemon has stopped.", "Starting the Glaze daemon"]
    assert shaken.parts == calm.parts


def test_a_finished_result_waits_for_its_client_across_a_restart(own_home: Path, meadow: Image.Image) -> None:
    with Client.connect("first") as client:
        job = client.submit("protect", {"picture": picture(meadow)}, {"style": "weave", "strength": 0})
        client._follow(job, None, None)
        os.kill(client.welcome.pid, signal.SIGKILL)
    with Client.connect("second") as client:
        assert client.status().disk > 0
        client.watch(job)
        outcome = client._finish(job, None, None)
        assert file_bytes(Image.open(io.BytesIO(outcome.parts["result"]))) == picture(meadow)
        client.link.send(m.Forget(job=job))
        assert client.status().disk == 0


def test_a_daemon_that_hangs_is_said_so_and_waited_for(own_home: Path, meadow: Image.Image) -> None:
    told: list[str] = []

    def hang(msg: m.Progress) -> None:
        if msg.stage == "cloaking" and not told:
            told.append("stopped")
            os.kill(connection().pid, signal.SIGSTOP)

    def hear(sentence: str) -> None:
        told.append(sentence)
        os.kill(connection().pid, signal.SIGCONT)

    with Client.connect("tests") as client:
        client._on_wait = hear
        assert client.run("protect", {"picture": picture(meadow)}, QUICK, on_progress=hang).report["style"] == "weave"
        assert "not answered for 5 seconds" in told[1]
        os.kill(client.welcome.pid, signal.SIGSTOP)
        try:
            with pytest.raises(DaemonUnavailable, match="not answered for 5 seconds"):
                client.status()
        finally:
            os.kill(client.welcome.pid, signal.SIGCONT)


def test_the_worker_ends_with_its_daemon(own_home: Path) -> None:
    with Client.connect("tests") as client:
        while client.status().worker != "ready":
            time.sleep(0.1)
        (worker,) = workers(client)
        os.kill(client.welcome.pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while Path(f"/proc/{worker}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{worker}").exists()


def test_a_job_of_no_known_part_is_refused_by_the_engine(client: Client) -> None:
    with pytest.raises(BadInput, match="lacks its picture"):
        client.run("protect", {}, {})


def test_a_home_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    done = subprocess.run(
        [sys.executable, "-m", "glaze_server"],
        env={**os.environ, "GLAZE_HOME": str(blocked / "home")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert done.stderr.startswith("Glaze cannot create its folder")
    assert "Traceback" not in done.stderr
