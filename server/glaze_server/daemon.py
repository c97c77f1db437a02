"""The daemon's loop: one ROUTER that clients and the worker connect to, and the connection file that says where it is.

It imports no torch and computes nothing; it stores what comes in, hands one job at a time to the worker, and passes on
what the worker says.
"""

from __future__ import annotations

import logging
import logging.handlers
import os
import secrets
import signal
import sys
import time
from pathlib import Path

import zmq

from glaze_plugin import __version__, places
from glaze_plugin import messages as m
from glaze_plugin.connection import (
    CLIENT_USER,
    Connection,
    connection_file,
    launch_file,
    read_connection,
    write_connection,
    write_json,
)
from glaze_plugin.errors import BadInput, Cancelled, GlazeError
from glaze_server.jobs import Job, Jobs, failure
from glaze_server.single import AlreadyRunning, hold
from glaze_server.worker_messages import WORKER_USER, Ready, Run
from glaze_server.worker_process import WorkerProcess
from glaze_server.zap import DOMAIN, Gatekeeper

log = logging.getLogger("glaze.daemon")

POLL_MS = 200
TICK_SECONDS = 1.0
"""s between two looks whether the clients of open jobs are still there."""
IDLE_SECONDS = 600.0
"""s after which a worker without work gives its memory back: artists paint on the same device."""
RECEIVE_QUEUE = 8
"""Messages of one client that wait inside ZeroMQ; with the band size this bounds the daemon's memory."""


class Daemon:
    """One per user. `run` returns after a shutdown message or a signal."""

    def __init__(self, log_file: Path, host: str = "127.0.0.1") -> None:
        self._log_file = log_file
        self._started = time.time()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        token, worker_token = secrets.token_hex(32), secrets.token_hex(32)
        self._gate = Gatekeeper(self._context, {CLIENT_USER: token.encode(), WORKER_USER: worker_token.encode()})
        self._router = self._context.socket(zmq.ROUTER)
        self._router.setsockopt(zmq.PLAIN_SERVER, 1)
        self._router.setsockopt(zmq.ZAP_DOMAIN, DOMAIN)
        self._router.setsockopt(zmq.MAXMSGSIZE, m.MAX_PAYLOAD)
        self._router.setsockopt(zmq.RCVHWM, RECEIVE_QUEUE)
        self._router.setsockopt(zmq.LINGER, 500)
        self._router.setsockopt(zmq.ROUTER_MANDATORY, 1)  # tells us when a client has gone
        port = self._router.bind_to_random_port(f"tcp://{host}")
        self.connection = Connection(host, port, token, os.getpid(), m.PROTOCOL, __version__, self._started)
        self._jobs = Jobs(places.state() / "jobs")
        self._worker = WorkerProcess(f"tcp://{host}:{port}", worker_token, log_file.parent / "worker.out")
        self._worker_route: bytes | None = None
        self._ready: Ready | None = None
        self._running: Job | None = None
        self._stopping = False
        self._next_tick = 0.0
        self._last_busy = time.monotonic()

    def run(self) -> None:
        """Serve until told to stop."""
        self._worker.wake()
        poller = zmq.Poller()
        poller.register(self._gate.socket, zmq.POLLIN)
        poller.register(self._router, zmq.POLLIN)
        while not self._stopping:
            events = dict(poller.poll(POLL_MS))
            if self._gate.socket in events:
                self._gate.answer()
            if self._router in events:
                self._receive()
            self._watch_worker()
            self._start_next()
            self._watch_clients()

    def stop(self) -> None:
        """Make `run` return; safe in a signal handler."""
        self._stopping = True

    def close(self) -> None:
        self._worker.rest()
        self._jobs.close()
        self._context.destroy(linger=500)

    # ---- messages ----

    def _receive(self) -> None:
        route, *rest = self._router.recv_multipart(copy=False)
        user = str(route.get("User-Id")).encode()
        peer = route.bytes
        msg: m.Message | None = None
        try:
            msg = m.from_frames([frame.buffer for frame in rest])
            if user == WORKER_USER:
                self._from_worker(peer, msg)
            else:
                self._from_client(peer, msg)
        except GlazeError as error:
            self._refuse(peer, msg, error)
        except OSError as error:
            self._refuse(peer, msg, GlazeError("disk", f"The daemon cannot store the job: {error.strerror}."))

    def _refuse(self, peer: bytes, msg: m.Message | None, error: GlazeError) -> None:
        """Tell a client why its message was not taken; a job whose bytes cannot be taken has failed."""
        log.info("refused: %s", error)
        job = getattr(msg, "job", "")
        known = self._jobs.find(job)
        if isinstance(msg, m.Upload) and known:
            if not known.end:
                self._end(known, failure(job, error))
            return
        self._send(peer, m.Refused(code=error.code, sentence=error.sentence, remedy=error.remedy, job=job))

    def _send(self, peer: bytes | None, msg: m.Message) -> bool:
        """Send to one peer; whether it could be reached. One that has gone, or takes nothing any more, is no error."""
        if peer is None:
            return False
        try:
            self._router.send_multipart([peer, *m.to_frames(msg)], zmq.NOBLOCK)
        except zmq.ZMQError as error:
            if error.errno not in (zmq.EHOSTUNREACH, zmq.EAGAIN):
                raise
            return False
        return True

    def _from_client(self, peer: bytes, msg: m.Message) -> None:
        match msg:
            case m.Hello():
                log.info("hello from %s %s", msg.client[:40], msg.version[:40])
                self._send(peer, m.Welcome(version=__version__, pid=os.getpid()))
            case m.Submit():
                self._submitted(self._jobs.add(msg, peer))
            case m.Upload():
                self._submitted(self._jobs.store(msg))
            case m.Fetch():
                payload = self._jobs.read(msg)
                self._send(peer, m.Chunk(job=msg.job, part=msg.part, offset=msg.offset, payload=payload))
            case m.Forget():
                self._jobs.forget(msg.job)
            case m.Watch():
                self._watch(peer, self._jobs.get(msg.job))
            case m.Cancel():
                self._cancel(peer, self._jobs.get(msg.job))
            case m.ListJobs():
                self._send(peer, m.Jobs(jobs=[job.describe() for job in self._jobs]))
            case m.AskStatus():
                self._send(peer, self._status())
            case m.Shutdown():
                self._send(peer, m.Goodbye())
                self.stop()
            case _:
                raise m.ProtocolError(f"A client does not send {msg.type} messages.")

    def _submitted(self, job: Job) -> None:
        if job.state == "waiting":
            ahead = self._jobs.count("waiting") + self._jobs.count("running") - 1
            self._send(job.owner, m.Accepted(job=job.id, ahead=ahead))

    def _watch(self, peer: bytes, job: Job) -> None:
        """A client comes back for its job: tell it of it from now on, and of its end if it has ended."""
        job.owner = peer
        if job.end:
            self._send(peer, job.end)
        elif job.state == "receiving":
            self._jobs.finish(job, failure(job.id, GlazeError("incomplete", "Not all of the job had come.")))
            raise BadInput("unknown_job", "Not all of the job had come.")
        else:
            self._send(peer, m.Accepted(job=job.id, ahead=0))

    def _watch_clients(self) -> None:
        """Notice clients that have gone: what only they would have looked at is dropped, the rest is kept for them."""
        if time.monotonic() < self._next_tick:
            return
        self._next_tick = time.monotonic() + TICK_SECONDS
        for peer in {job.owner for job in self._jobs if not job.end and job.owner}:
            if self._send(peer, m.Tick()):
                continue
            log.info("a client has gone")
            for job in [job for job in self._jobs if job.owner == peer]:
                job.owner = None
                if not job.end and (job.interactive or job.state == "receiving"):
                    self._cancel(peer, job)

    def _cancel(self, peer: bytes, job: Job) -> None:
        if job.end:
            raise BadInput("already_ended", f"The job {job.id} has already ended.")
        if job is self._running and self._worker_route:
            self._send(self._worker_route, m.Cancel(job=job.id))
            if peer != job.owner:
                job.watchers.add(peer)
        else:
            self._end(job, failure(job.id, Cancelled("cancelled", "The job was cancelled.")), {peer})

    def _end(self, job: Job, end: m.Done | m.Failed, also: set[bytes] | None = None) -> None:
        """Close a job and tell its owner, whoever watches it, and `also`."""
        self._jobs.finish(job, end)
        if job is self._running:
            self._running = None
        for peer in {job.owner} | job.watchers | (also or set()):
            self._send(peer, end)

    def _status(self) -> m.Status:
        return m.Status(
            version=__version__,
            pid=os.getpid(),
            uptime=time.time() - self._started,
            worker="ready" if self._worker_route else "starting" if self._worker.alive else "resting",
            device=self._ready.device if self._ready else "",
            encoders=self._ready.encoders if self._ready else [],
            styles=self._ready.styles if self._ready else [],
            jobs_waiting=self._jobs.count("waiting"),
            jobs_running=self._jobs.count("running"),
            disk=self._jobs.disk,
            log=str(self._log_file),
        )

    # ---- the worker ----

    def _from_worker(self, peer: bytes, msg: m.Message) -> None:
        if isinstance(msg, Ready):
            log.info("worker ready on %s", msg.device)
            self._worker_route, self._ready = peer, msg
            return
        job = self._running
        if job is None or peer != self._worker_route or getattr(msg, "job", None) != job.id:
            return
        if isinstance(msg, (m.Done, m.Failed)):
            self._worker.worked()
            self._end(job, msg)
        elif isinstance(msg, (m.Progress, m.Preview)):
            if isinstance(msg, m.Progress):
                job.progress = msg
            self._send(job.owner, msg)

    def _start_next(self) -> None:
        if self._running:
            return
        if not self._worker_route:
            if self._jobs.count("waiting"):
                self._worker.wake()
            return
        job = self._jobs.next_waiting()
        if job:
            job.state, self._running = "running", job
            self._send(
                self._worker_route,
                Run(
                    job=job.id,
                    kind=job.submit.kind,
                    folder=str(job.folder),
                    parts=job.submit.parts,
                    settings=job.submit.settings,
                ),
            )

    def _watch_worker(self) -> None:
        """Replace a worker that died, and send one that has nothing to do to rest."""
        reason = self._worker.crashed()
        if reason is None:
            if self._running or self._jobs.count("waiting") or not self._worker_route:
                self._last_busy = time.monotonic()
            elif time.monotonic() - self._last_busy > IDLE_SECONDS:
                log.info("the worker rests")
                self._worker.rest()
                self._worker_route = None
            return
        log.error("worker ended: %s", reason)
        self._worker_route = None
        job, self._running = self._running, None
        if job and not self._jobs.crashed(job):
            sentence = f"The computation stopped unexpectedly, more than once ({reason})."
            self._end(job, failure(job.id, GlazeError("worker_crashed", sentence, "The log may say why.")))


def _log_to(file: Path) -> None:
    handler = logging.handlers.RotatingFileHandler(file, maxBytes=1 << 20, backupCount=3, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def main() -> int:
    """Run the daemon in the foreground; 0 also when another one is already running."""
    try:
        lock_path = places.private(places.runtime()) / "daemon.lock"
        log_file = places.private(places.state()) / "daemon.log"
        lock = hold(lock_path)
    except AlreadyRunning:
        print("A Glaze daemon is already running.", file=sys.stderr)
        return 0
    except GlazeError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    with lock:
        _log_to(log_file)
        daemon = Daemon(log_file)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: daemon.stop())
        write_json(launch_file(), {"command": [sys.executable, "-m", "glaze_server"]})
        write_connection(daemon.connection)
        log.info("listening on port %d, pid %d", daemon.connection.port, os.getpid())
        try:
            daemon.run()
        finally:
            if read_connection() == daemon.connection:
                connection_file().unlink(missing_ok=True)
            daemon.close()
            log.info("stopped")
    return 0
