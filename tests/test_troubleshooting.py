"""Every row of docs/troubleshooting.md: nobody is ever left waiting without a word, and no job is lost."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from glaze_plugin import launch, lock, places
from glaze_plugin import messages as m
from glaze_plugin.client import Client
from glaze_plugin.connection import Connection, connection_file, read_connection, write_connection
from glaze_plugin.errors import BadInput, DaemonUnavailable, GlazeError
from glaze_plugin.frames import PROTOCOL
from glaze_plugin.job import Job
from glaze_plugin.launch import end_daemon, find_daemon
from glaze_plugin.link import Link
from tests.conftest import ROOT, Glaze, children, collect
from tests.faults.fake_tasks import expected

JOB = {"picture": b"a picture"}
FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")

pytestmark = pytest.mark.usefixtures("own_home", "fake_engine")


def connection() -> Connection:
    found = read_connection()
    assert found
    return found


def finished_job(seed: int = 1) -> Job:
    """A job whose result waits on the disk, and whose daemon has stopped."""
    with Client.connect("earlier") as client:
        job = client.submit("protect", JOB, {"seed": seed})
        collect(client, job)
    end_daemon()
    return job


@contextmanager
def stopped(*pids: int) -> Iterator[None]:
    """Processes that hang."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def stale_file(port: int) -> None:
    write_connection(Connection("127.0.0.1", port, "0" * 64, 999_999, "0", 0.0))


def test_every_row_has_its_test() -> None:
    rows = re.findall(r"^\| .* \| `(\w+)` \|$", (ROOT / "docs" / "troubleshooting.md").read_text(), re.MULTILINE)
    assert len(rows) >= 15
    assert set(rows) <= set(globals())


# ---- no daemon, or not the right one -----------------------------------------------------------


def test_no_daemon() -> None:
    told: list[str] = []
    with Client.connect("tests", told.append) as client:
        assert client.status().pid == connection().pid
    assert told == ["Starting the Glaze daemon"]


def test_two_starts_in_the_same_instant() -> None:
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


def test_a_stale_connection_file() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    stale_file(port)
    with Client.connect("tests") as client:
        assert client.welcome.pid == connection().pid
    assert connection().port != port


@pytest.mark.parametrize("content", ["", "{", "[]", '{"host": 1}', "[" * 100_000])
def test_a_broken_connection_file_counts_as_none(content: str) -> None:
    connection_file().parent.mkdir(parents=True)
    connection_file().write_text(content)
    assert find_daemon("tests") is None


@pytest.mark.parametrize("greeting", [b"220 mail.example ESMTP\r\n", b""], ids=["talks", "is silent"])
def test_a_foreign_program_on_the_port(greeting: bytes) -> None:
    peers: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            try:
                while True:
                    peers.append(server.accept()[0])
                    peers[-1].sendall(greeting)
            except OSError:
                return

        thread = threading.Thread(target=greet)
        thread.start()
        stale_file(server.getsockname()[1])
        with Client.connect("tests") as client:
            assert client.welcome.pid == connection().pid
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
    for peer in peers:
        peer.close()


@pytest.mark.parametrize("version", [PROTOCOL - 1, PROTOCOL + 1])
def test_a_daemon_of_another_version(glaze: Glaze, version: int) -> None:
    job = finished_job()
    code = f"import glaze_plugin.frames as f; f.PROTOCOL = {version}; from glaze_server.daemon import main; main()"
    old = subprocess.Popen([sys.executable, "-c", code])
    while (found := read_connection()) is None or found.pid != old.pid:
        time.sleep(0.05)
    with pytest.raises(DaemonUnavailable, match=f"version {version} of the Glaze protocol") as caught:
        Client.connect("tests")
    assert "glaze daemon restart" in caught.value.remedy
    assert "Traceback" not in (said := glaze("doctor")).stdout
    assert said.returncode == 1
    assert f"It is process {old.pid}." in said.stdout
    assert glaze("daemon", "restart").returncode == 0
    assert old.wait(10) == 0
    with Client.connect("tests") as client:
        assert collect(client, job).parts["result"] == expected(JOB["picture"], 1)


def test_a_fault_of_the_daemons_own(own_home: Path, glaze: Glaze, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who ran into it is told; everybody else's jobs go on."""
    main = "from glaze_server import daemon; daemon.Daemon._watch = lambda *_: {}['x']; raise SystemExit(daemon.main())"
    monkeypatch.setattr(launch, "start_command", lambda: [sys.executable, "-c", main])
    with Client.connect("tests") as client, Client.connect("another") as other:
        running = other.submit("protect", JOB, {"seed": 1, "step_seconds": 0.1})
        with pytest.raises(GlazeError, match="has a fault") as caught:
            client.complete(client.watch(running.id))
        assert caught.value.code == "daemon_fault"
        assert other.complete(running).parts["result"] == expected(JOB["picture"], 1)
    assert "KeyError: 'x'" in (own_home / "state" / "daemon.log").read_text()


# ---- slow, hanging, asleep ---------------------------------------------------------------------


def test_a_daemon_that_starts_slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = ["sh", "-c", f"sleep 6; exec {sys.executable} -m glaze_server"]
    monkeypatch.setattr(launch, "start_command", lambda: slow)
    told: list[str] = []
    with Client.connect("tests", told.append) as client:
        assert client.welcome.pid == connection().pid
    assert told == ["Starting the Glaze daemon"]


def test_a_daemon_that_cannot_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "start_command", lambda: ["sh", "-c", "echo The disk is on fire. >&2; exit 1"])
    with pytest.raises(DaemonUnavailable, match="did not start: The disk is on fire"):
        Client.connect("tests")


def test_a_daemon_that_dies_at_every_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "start_command", lambda: ["sh", "-c", "kill -9 $$"])
    monkeypatch.setattr(launch, "START_SECONDS", 2.0)
    with pytest.raises(DaemonUnavailable, match="not come up within 2 seconds") as caught:
        Client.connect("tests")
    assert "glaze doctor" in caught.value.remedy


def test_an_engine_that_loads_slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLAZE_TASKS", "tests.faults.slow_tasks")
    stages: list[str] = []
    with Client.connect("tests") as client:
        assert client.status().worker == "starting"
        outcome = client.run("protect", JOB, {"seed": 1}, on_progress=lambda msg: stages.append(msg.stage))
    assert outcome.parts["result"] == expected(JOB["picture"], 1)
    assert stages[:2] == ["waiting", "starting the engine"]


def test_an_engine_that_does_not_start(glaze: Glaze, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLAZE_TASKS", "tests.faults.there_is_none")
    with Client.connect("tests") as client:
        with pytest.raises(GlazeError, match="The engine does not start: ModuleNotFoundError") as caught:
            client.run("protect", JOB, {"seed": 1})
        assert "glaze doctor" in caught.value.remedy
        assert client.status().worker == "failing"
    said = glaze("doctor")
    assert said.returncode == 1
    assert "It does not start: ModuleNotFoundError" in said.stdout


def test_a_daemon_that_hangs() -> None:
    told: list[str] = []
    with Client.connect("tests") as client:

        def hang(msg: m.Progress) -> None:
            if not told and msg.stage == "faking":
                told.append("stopped")
                os.kill(client.welcome.pid, signal.SIGSTOP)

        def hear(sentence: str) -> None:
            told.append(sentence)
            os.kill(client.welcome.pid, signal.SIGCONT)

        client._on_wait = hear
        outcome = client.run("protect", JOB, {"seed": 1, "step_seconds": 0.5}, on_progress=hang)
        assert outcome.parts["result"] == expected(JOB["picture"], 1)
        assert told[0] == "stopped"
        assert "not answered for 5 seconds" in told[1]


def test_a_hanging_daemon_meets_a_new_client(glaze: Glaze) -> None:
    with Client.connect("tests") as client:
        pid = client.welcome.pid
    with stopped(pid):
        for command in (["daemon", "status"], ["jobs"]):
            said = glaze(*command, timeout=20)
            assert said.returncode == 3
            assert "not answered for 5 seconds" in said.stderr
            assert "glaze daemon restart" in said.stderr
        said = glaze("doctor", timeout=20)
        assert (said.returncode, f"It is process {pid}." in said.stdout) == (1, True)
    with Client.connect("tests") as client:  # it has returned
        assert client.welcome.pid == pid


def test_a_daemon_that_hangs_for_good(glaze: Glaze, monkeypatch: pytest.MonkeyPatch) -> None:
    job = finished_job()
    with Client.connect("tests") as client:
        os.kill(client.welcome.pid, signal.SIGSTOP)
        pid = client.welcome.pid
    done = glaze("daemon", "restart", timeout=60)
    assert done.returncode == 0, done.stderr
    assert not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text()
    with Client.connect("tests") as client:
        assert client.welcome.pid != pid
        assert collect(client, job).parts["result"] == expected(JOB["picture"], 1)


def test_the_machine_sleeps() -> None:
    script = (
        "from glaze_plugin.client import Client\n"
        "with Client.connect('sleeper') as client:\n"
        "    print(client.welcome.pid, flush=True)\n"
        "    outcome = client.run('protect', {'picture': b'a picture'}, {'seed': 1, 'step_seconds': 0.5})\n"
        "    print(outcome.parts['result'].hex(), flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as sleeper:
        assert sleeper.stdout
        daemon = int(sleeper.stdout.readline())
        while not (workers := children(daemon)):
            time.sleep(0.05)
        with stopped(*workers, daemon, sleeper.pid):
            time.sleep(7)
        assert bytes.fromhex(sleeper.stdout.readline()) == expected(JOB["picture"], 1)


@pytest.mark.skipif(not FAKETIME.exists(), reason="libfaketime, which moves a process's clock, is not installed")
def test_the_clock_is_moved(own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = tmp_path / "clock"
    clock.write_text("+0d")
    settings = [f"LD_PRELOAD={FAKETIME}", f"FAKETIME_TIMESTAMP_FILE={clock}", "FAKETIME_NO_CACHE=1"]
    main = "import os; del os.environ['LD_PRELOAD']; from glaze_server.daemon import main; raise SystemExit(main())"
    command = ["env", *settings, "FAKETIME_DONT_FAKE_MONOTONIC=1", sys.executable, "-c", main]
    monkeypatch.setattr(launch, "start_command", lambda: command)
    with Client.connect("tests") as client:
        first = client.submit("protect", JOB, {"seed": 1})
        collect(client, first)
        for number, shift in enumerate(("+400d", "-400d")):
            clock.write_text(shift)
            with Client.connect("another") as other:
                outcome = other.run("protect", JOB, {"seed": number})
            assert outcome.parts["result"] == expected(JOB["picture"], number)
            assert 0 <= client.status().uptime < 600
        assert collect(client, first).parts["result"] == expected(JOB["picture"], 1)
    log = (own_home / "state" / "daemon.log").read_text()
    assert len({line[:4] for line in log.splitlines()}) == 3, "the clock did not move"


# ---- folders and disk --------------------------------------------------------------------------


def test_a_home_that_cannot_be_written(glaze: Glaze, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GLAZE_HOME", str(tmp_path / "file" / "home"))
    for command, code in ((["daemon", "start"], 3), (["daemon", "run"], 3), (["doctor"], 1)):
        said = glaze(*command)
        assert said.returncode == code
        assert "Glaze cannot create its folder" in said.stdout + said.stderr
        assert "set GLAZE_HOME" in said.stdout + said.stderr
        assert "Traceback" not in said.stderr


FOREIGN = "raise SystemExit('imported from the folder of the caller')"


def test_the_folder_of_the_caller_is_left_alone(own_home: Path, glaze: Glaze, tmp_path: Path) -> None:
    """Nothing that lies there is run, and it can go while the daemon lives; a relative GLAZE_HOME stays the same."""
    (tmp_path / "zmq.py").write_text(FOREIGN)
    started = glaze("daemon", "start", env={**os.environ, "GLAZE_HOME": str(own_home.relative_to(tmp_path))})
    assert started.returncode == 0, started.stderr
    with Client.connect("tests") as client:
        assert Path(f"/proc/{client.welcome.pid}/cwd").readlink() == own_home / "state"
        assert client.run("protect", JOB, {"seed": 1}).parts["result"] == expected(JOB["picture"], 1)


def test_a_daemon_in_a_terminal_imports_nothing_from_its_folder(glaze: Glaze, tmp_path: Path) -> None:
    (tmp_path / "zmq.py").write_text(FOREIGN)
    environment = {**os.environ, "PYTHONPATH": os.environ["GLAZE_PYTHONPATH"]}
    with ThreadPoolExecutor() as pool:
        running = pool.submit(glaze, "daemon", "run", env=environment)
        while not running.done() and not read_connection():
            time.sleep(0.05)
        assert not running.done(), running.result().stderr
        with Client.connect("tests") as client:
            assert client.run("protect", JOB, {"seed": 1}).parts["result"] == expected(JOB["picture"], 1)
        end_daemon()


def test_the_connection_file_is_cleaned_away() -> None:
    with Client.connect("tests") as client:
        connection_file().unlink()
        connection_file().parent.rmdir()
        with Client.connect("another") as other:
            assert other.welcome.pid == client.welcome.pid
        deadline = time.monotonic() + 10
        while not connection_file().exists():
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_another_runtime_folder(glaze: Glaze, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GLAZE_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    cron = {name: value for name, value in os.environ.items() if name != "XDG_RUNTIME_DIR"}
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    with Client.connect("tests") as client:
        assert glaze("jobs", env=cron).returncode == 0
        assert f"process {client.welcome.pid}" in glaze("daemon", "start", env=cron).stdout
    assert glaze("daemon", "stop", env=cron).returncode == 0
    assert not list(tmp_path.rglob("connection.json"))
    stale_file(1)
    started = glaze("daemon", "start", env=cron).stdout
    with Client.connect("tests") as client:
        assert f"process {client.welcome.pid}" in started


@pytest.mark.parametrize("folder", ["state", "state/jobs"])
def test_the_folder_of_jobs_is_removed(own_home: Path, folder: str) -> None:
    with Client.connect("tests") as client:
        pid = client.welcome.pid
        (own_home / folder).rename(own_home / "elsewhere")
        deadline = time.monotonic() + 30
        while client.words != "The Glaze daemon has stopped.":
            assert time.monotonic() < deadline
            client.wait(1)
    with Client.connect("tests") as client:
        assert client.welcome.pid != pid
        assert client.run("protect", JOB, {"seed": 1}).parts["result"] == expected(JOB["picture"], 1)


@pytest.fixture
def small_disk(own_home: Path) -> Iterator[Path]:
    if os.getuid() != 0:
        pytest.skip("mounting a small file system needs root")
    own_home.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300m", "tmpfs", str(own_home)], check=True)
    yield own_home
    end_daemon()
    subprocess.run(["umount", "-l", str(own_home)], check=True)


def test_a_full_disk(small_disk: Path, glaze: Glaze) -> None:
    with Client.connect("tests") as client:
        kept = client.submit("protect", JOB, {"seed": 1})
        collect(client, kept)
        running = client.submit("protect", JOB, {"seed": 2, "step_seconds": 0.5})
        filler = small_disk / "filler"
        with pytest.raises(OSError, match="No space left"), open(filler, "wb", buffering=0) as file:
            while True:
                file.write(bytes(1 << 16))
        with pytest.raises(BadInput, match="no room") as caught:
            client.run("protect", JOB, {"seed": 3})
        assert "GLAZE_HOME" in caught.value.remedy
        with pytest.raises(GlazeError, match="cannot be stored"):
            collect(client, running)
        assert collect(client, kept).parts["result"] == expected(JOB["picture"], 1)
        filler.unlink()
        assert client.run("protect", JOB, {"seed": 3}).parts["result"] == expected(JOB["picture"], 3)
        os.kill(client.welcome.pid, signal.SIGKILL)
    with Client.connect("tests") as client:
        assert collect(client, kept).parts["result"] == expected(JOB["picture"], 1)


# ---- whose job, whose token, what is logged ----------------------------------------------------


def test_the_token_of_an_earlier_daemon() -> None:
    with Client.connect("tests"):
        earlier = connection()
    end_daemon()
    with Client.connect("tests"):
        replayed = Link(replace(connection(), token=earlier.token))
        with pytest.raises(DaemonUnavailable, match="another token"):
            replayed.wait(5)
        replayed.close()


def test_another_programs_job() -> None:
    with Client.connect("mine") as mine, Client.connect("theirs") as theirs:
        submitted = mine.submit("protect", JOB, {"seed": 1, "step_seconds": 0.1})
        job = submitted.id
        mine.status()
        for msg in (
            m.Upload(job=job, part="picture", offset=0, payload=b"x"),
            m.Fetch(job=job, part="result", offset=0, length=1),
            m.Forget(job=job),
            m.Cancel(job=job),
            m.Cancel(job=uuid.uuid4().hex),
        ):
            answer = theirs.answer(msg, m.Refused)
            assert answer.code == ("not_yours" if answer.job == job else "unknown_job")
        assert collect(mine, submitted).parts["result"] == expected(JOB["picture"], 1)
        assert collect(theirs, submitted).parts["result"] == expected(JOB["picture"], 1)
        theirs.forget(theirs.watch(job))
        assert collect(mine, submitted).parts["result"] == expected(JOB["picture"], 1)


def test_doctor_and_status_when_all_is_well(glaze: Glaze) -> None:
    said = glaze("doctor")
    assert said.returncode == 0
    assert "None is running; the first picture starts one." in said.stdout
    with Client.connect("tests") as client:
        client.run("protect", JOB, {"seed": 1})
        said = glaze("doctor")
        assert (said.returncode, "Ready on fake" in said.stdout) == (0, True)
        findings = json.loads(glaze("doctor", "--json").stdout)
        assert {finding["level"] for finding in findings if finding["about"] != "krita"} == {"ok"}
        assert f"log          {places.state() / 'daemon.log'}" in glaze("daemon", "status").stdout.splitlines()


def test_logs_rotate(own_home: Path) -> None:
    state = own_home / "state"
    state.mkdir(parents=True)
    for name in ("daemon.log", "worker.out"):
        (state / name).write_bytes(b"x" * (2 << 20))
    with Client.connect("tests") as client:
        client.run("protect", JOB, {"seed": 1})
    assert (state / "daemon.log").stat().st_size < 1 << 20
    assert (state / "worker.out").stat().st_size < 1 << 20


def test_a_daemon_that_others_can_reach(glaze: Glaze, own_home: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "glaze_plugin.cli", "daemon", "run", "--host", "0.0.0.0"],
        stderr=subprocess.PIPE,
        text=True,
    ) as daemon:
        assert daemon.stderr
        assert "other machines can reach this daemon" in daemon.stderr.readline()
        while not connection_file().exists():
            time.sleep(0.05)
        said = glaze("doctor")
        assert "other machines can reach it, unencrypted" in said.stdout
        assert lock.holder()
        end_daemon()
    assert daemon.returncode == 0


def test_the_systemd_unit_is_well_formed(glaze: Glaze, tmp_path: Path) -> None:
    unit = tmp_path / "glaze.service"
    unit.write_text(glaze("daemon", "unit").stdout)
    checked = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
