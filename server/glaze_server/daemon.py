"""The daemon's loop: one ROUTER that clients and the worker connect to, and the connection file that says where it is.

It imports no torch and computes nothing; it stores what comes in, hands one job at a time to the worker, and passes on
what the worker says.
"""

from __future__ import annotations

import argparse
import logging
import logging.handlers
import os
import secrets
import signal
import sys
import time
from pathlib import Path
from typing import IO

import zmq

from glaze_plugin import __version__, lock, places
from glaze_plugin import messages as m
from glaze_plugin.connection import CLIENT_USER, Connection, is_written, remove_connection, write_connection
from glaze_plugin.errors import BadInput, Cancelled, DaemonUnavailable, GlazeError
from glaze_plugin.frames import MAX_PAYLOAD, ProtocolError, from_frames
from glaze_plugin.launch import launch_file, server_command
from glaze_server.downloads import Downloads
from glaze_server.engine import artist, stock, styles
from glaze_server.jobs import Job, Jobs, failure
from glaze_server.outbox import Outbox
from glaze_server.worker_messages import WORKER_USER, Pause, Paused, Ready, Run
from glaze_server.worker_process import REST_SECONDS, WorkerProcess
from glaze_server.zap import DOMAIN, Gatekeeper

log = logging.getLogger("glaze.daemon")

POLL_MS = 200
RETRY_MS = 10
"""ms between two tries to send to a client that is slow to read."""
TICK_SECONDS = 1.0
"""s between two looks whether the clients of open jobs are still there, and our own files."""
CANCEL_SECONDS = 2.0
"""s that a job gets to leave at its next step when it is cancelled; then its worker is ended."""
DESERTED_SECONDS = float(os.environ.get("GLAZE_DESERTED_SECONDS", "60"))
"""s after the daemon's start for which jobs that are of no use without their client wait for it to come back."""
IDLE_SECONDS = float(os.environ.get("GLAZE_IDLE_SECONDS", "600"))
"""s after which a worker without work gives its memory back: artists paint on the same device."""
LISTED_JOBS = 500
"""The newest jobs, which fit into one message."""
KEPT_MEMORY = 31 << 20
"""Half of the freed bytes that glibc may keep: bands come and go, and a fresh page costs more than copying into it."""
RECEIVE_QUEUE = 8
"""Messages of one client that wait inside ZeroMQ; with the band size this bounds the daemon's memory."""
SEND_QUEUE = 8
"""The same for what goes out."""

EXPOSED = (
    "Warning: other machines can reach this daemon, and pictures and its token travel unencrypted. "
    "An SSH tunnel to the loopback address is the safe way; docs/troubleshooting.md shows it."
)


class Daemon:
    """One per user. `run` returns after a shutdown message or a signal."""

    def __init__(self, log_file: Path, held: IO[str], host: str = "127.0.0.1") -> None:
        """held: the lock of `glaze_plugin.lock`. host: numeric address to listen on."""
        self._log_file = log_file
        self._lock = held
        bytearray(KEPT_MEMORY)  # glibc learns from the largest block that was freed; the pages are never touched
        self._started = time.monotonic()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        token, worker_token = secrets.token_hex(32), secrets.token_hex(32)
        self._gate = Gatekeeper(self._context, {CLIENT_USER: token.encode(), WORKER_USER: worker_token.encode()})
        self._router = self._context.socket(zmq.ROUTER)
        self._router.setsockopt(zmq.PLAIN_SERVER, 1)
        self._router.setsockopt(zmq.ZAP_DOMAIN, DOMAIN)
        self._router.setsockopt(zmq.MAXMSGSIZE, MAX_PAYLOAD)
        self._router.setsockopt(zmq.RCVHWM, RECEIVE_QUEUE)
        self._router.setsockopt(zmq.SNDHWM, SEND_QUEUE)
        self._router.setsockopt(zmq.LINGER, 500)
        self._router.setsockopt(zmq.ROUTER_MANDATORY, 1)  # tells us when a client has gone
        port = self._router.bind_to_random_port(f"tcp://{host}")
        self.connection = Connection(host, port, token, os.getpid(), __version__, time.time())
        self._jobs = Jobs(places.state() / "jobs")
        self._worker = WorkerProcess(f"tcp://{host}:{port}", worker_token, log_file.parent / "worker.out")
        self._outbox = Outbox(self._router, self._jobs.read)
        self._send = self._outbox.send
        self._downloads = Downloads(self._send, log_file.parent / "download.out")
        self._worker_route: bytes | None = None
        self._ready: Ready | None = None
        self._running: Job | None = None
        self._cancel_by: float | None = None
        self._pausing = False
        self._stopping = False
        self._next_tick = 0.0
        self._last_busy = time.monotonic()

    def run(self) -> None:
        """Serve until told to stop."""
        write_connection(self.connection)
        self._worker.wake()
        poller = zmq.Poller()
        poller.register(self._gate.socket, zmq.POLLIN)
        poller.register(self._router, zmq.POLLIN)
        while not self._stopping:
            events = dict(poller.poll(RETRY_MS if self._outbox.late else POLL_MS))
            if self._stopping:  # what has ended the worker meanwhile may have been meant for all, as at a shutdown
                break
            if self._gate.socket in events:
                self._gate.answer()
            if self._router in events:
                self._receive()
            self._outbox.send_late()
            self._downloads.step()
            self._watch_worker()
            self._start_next()
            if time.monotonic() >= self._next_tick:
                self._next_tick = time.monotonic() + TICK_SECONDS
                self._watch_clients()
                self._downloads.watch_clients()
                self._watch_files()
                self._jobs.settle()

    def stop(self) -> None:
        """Make `run` return; safe in a signal handler."""
        self._stopping = True

    def close(self) -> None:
        remove_connection(self.connection)
        self._downloads.close()
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
            msg = from_frames([frame.buffer for frame in rest])
            if user == WORKER_USER:
                self._from_worker(peer, msg)
            else:
                self._from_client(peer, msg)
            return
        except GlazeError as caught:
            error = caught
        except OSError as caught:
            cannot = "store the job" if isinstance(msg, (m.Submit, m.Upload)) else "use its files"
            error = GlazeError("disk", f"The daemon cannot {cannot}: {caught.strerror}.")
        except Exception:  # a fault of the daemon's own: the other programs' jobs go on
            log.exception("a message in whose handling the daemon has a fault")
            error = GlazeError("daemon_fault", "The daemon has a fault, which its log describes.")
        if user == WORKER_USER and self._running:
            log.error("the worker cannot be understood: %s", error)
            self._end(self._running, failure(self._running.id, GlazeError("engine_fault", error.sentence)))
        else:
            self._refuse(peer, msg, error)

    def _refuse(self, peer: bytes, msg: m.Message | None, error: GlazeError) -> None:
        """Tell a client why its message was not taken; its job whose bytes cannot be taken has failed."""
        log.info("refused: %s", error)
        job = getattr(msg or error, "job", "")
        known = self._jobs.find(job)
        if isinstance(msg, m.Upload) and known and peer in known.followers:
            if not known.end:
                self._end(known, failure(job, error))
            return
        self._send(peer, m.Refused(code=error.code, sentence=error.sentence, remedy=error.remedy, job=job))

    def _from_client(self, peer: bytes, msg: m.Message) -> None:
        if self._downloads.take(peer, msg):
            return
        match msg:
            case m.Hello():
                log.info("hello from %r %r", msg.client[:40], msg.version[:40])
                self._send(peer, m.Welcome(version=__version__, pid=os.getpid()))
            case m.Submit():
                self._submitted(peer, self._jobs.add(msg, peer))
            case m.Upload():
                self._own(peer, msg.job)
                self._submitted(peer, self._jobs.store(msg))
            case m.Fetch():
                self._own(peer, msg.job)
                self._send(peer, msg)
            case m.Forget():
                self._forget(peer, self._own(peer, msg.job))
            case m.Watch():
                self._watch(peer, self._jobs.get(msg.job))
            case m.Cancel():
                self._cancel(self._own(peer, msg.job))
            case m.ListJobs():
                self._send(peer, m.Jobs(jobs=[job.describe() for job in self._jobs][-LISTED_JOBS:]))
            case m.AskStatus():
                self._send(peer, self._status())
            case m.Shutdown():
                self._send(peer, m.Goodbye())
                self.stop()
            case _:
                raise ProtocolError(f"A client does not send {msg.type} messages.")

    def _own(self, peer: bytes, id: str) -> Job:
        """The job, which the client has submitted or watches. Raises BadInput where it is unknown or another's."""
        job = self._jobs.get(id)
        if peer not in job.followers:
            raise BadInput("not_yours", f"The job {id} belongs to another program.", "Watch it first.")
        return job

    def _submitted(self, peer: bytes, job: Job) -> None:
        if job.state == "waiting":
            ahead = self._jobs.count("waiting") + self._jobs.count("running") - 1
            self._accept(peer, job, ahead)

    def _accept(self, peer: bytes, job: Job, ahead: int) -> None:
        self._send(peer, m.Accepted(job=job.id, ahead=ahead))
        if not self._worker_route:
            self._send(peer, m.Progress(job=job.id, stage="starting the engine", step=0, steps=0))
        elif job is self._running and job.progress:
            self._send(peer, job.progress)  # the next may take long

    def _watch(self, peer: bytes, job: Job) -> None:
        """A client comes for a job: tell it of it from now on, and of its end if it has ended."""
        if job.state == "receiving":
            if peer not in job.followers and not any(self._send(one, m.Tick()) for one in job.followers):
                self._jobs.finish(job, failure(job.id, GlazeError("incomplete", "Not all of the job had come.")))
            raise BadInput("unknown_job", "Not all of the job had come.")
        job.followers.add(peer)
        if job.end:
            self._send(peer, job.end)
        else:
            self._accept(peer, job, 0)

    def _forget(self, peer: bytes, job: Job) -> None:
        """A client needs a result no longer; the last one to say so ends its keeping."""
        if job.end:
            job.followers.discard(peer)
            if not any(self._send(one, m.Tick()) for one in job.followers):
                self._jobs.forget(job.id)

    def _watch_clients(self) -> None:
        """Notice clients that have gone: what only they would have looked at is dropped, the rest is kept for them."""
        jobs = [job for job in self._jobs if job.followers]
        gone = {peer for peer in set().union(*(job.followers for job in jobs)) if not self._send(peer, m.Tick())}
        for job in jobs:
            if job.followers & gone:
                job.followers -= gone
                if job.deserted:
                    self._cancel(job)
        if gone:
            log.info("%d clients have gone", len(gone))
        if time.monotonic() - self._started > DESERTED_SECONDS:
            for job in [job for job in self._jobs if job.deserted]:
                self._cancel(job)

    def _watch_files(self) -> None:
        """Put back a connection file that somebody has cleaned away; stop where the jobs themselves are gone."""
        if not lock.still_ours(self._lock) or not self._jobs.still_there():
            log.error("the folder %s has been removed, or that of the jobs in it", lock.lock_file().parent)
            self.stop()
        elif not is_written(self.connection):
            try:
                write_connection(self.connection)
            except (OSError, GlazeError) as error:
                log.warning("the connection file cannot be written: %s", error)

    def _cancel(self, job: Job) -> None:
        if job.end:
            raise BadInput("already_ended", f"The job {job.id} has already ended.")
        if job is self._running and self._worker_route:
            self._send(self._worker_route, m.Cancel(job=job.id))
            self._cancel_by = self._cancel_by or time.monotonic() + CANCEL_SECONDS
        else:
            self._end(job, failure(job.id, Cancelled("cancelled", "The job was cancelled.")))

    def _end(self, job: Job, end: m.Done | m.Failed) -> None:
        """Close a job and tell its followers."""
        self._jobs.finish(job, end)
        if job is self._running:
            self._left()
        for peer in job.followers:
            self._send(peer, end)

    def _left(self) -> None:
        """The worker has left its job."""
        self._running, self._cancel_by, self._pausing = None, None, False

    def _status(self) -> m.Status:
        kept = artist.known()
        return m.Status(
            version=__version__,
            pid=os.getpid(),
            uptime=time.monotonic() - self._started,
            worker="ready" if self._worker_route else self._worker.state,
            device=self._ready.device if self._ready else "",
            encoders=stock.available(),  # some may have come since the worker started
            styles=list(styles.STYLES),
            jobs_waiting=self._jobs.count("waiting"),
            jobs_running=self._jobs.count("running"),
            disk=self._jobs.disk,
            log=str(self._log_file),
            style=kept.style if kept else "",
            chosen=kept.chosen if kept else "",
        )

    # ---- the worker ----

    def _from_worker(self, peer: bytes, msg: m.Message) -> None:
        if isinstance(msg, Ready):
            log.info("worker ready on %s", msg.device)
            self._worker.ready()
            self._worker_route, self._ready = peer, msg
            return
        job = self._running
        if job is None or peer != self._worker_route or getattr(msg, "job", None) != job.id:
            return
        if isinstance(msg, (m.Done, m.Failed)):
            self._worker.worked()
            self._end(job, msg)
            if isinstance(msg, m.Failed) and msg.code == "memory":
                self._dismiss()  # oneDNN then creates no convolution any more in that thread; the next worker can
        elif isinstance(msg, Paused) and self._cancel_by:  # it left before it heard of that
            self._end(job, failure(job.id, Cancelled("cancelled", "The job was cancelled.")))
        elif isinstance(msg, Paused):
            job.state = "waiting"
            self._left()
        elif isinstance(msg, (m.Progress, m.Preview)):
            if isinstance(msg, m.Progress):
                job.progress = msg
            for one in job.followers:
                self._send(one, msg)

    def _start_next(self) -> None:
        """Give the worker its next job; a long one makes way when somebody waits at a screen."""
        if self._running:
            if not self._pausing and not self._running.interactive and self._jobs.urgent():
                self._pausing = self._send(self._worker_route, Pause(job=self._running.id))
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

    def _dismiss(self, patience: float = REST_SECONDS) -> None:
        """End the worker, which nothing is sent to any more; the next job gets another. patience: s."""
        self._worker.rest(patience)
        self._worker_route = None

    def _watch_worker(self) -> None:
        """Replace a worker that died or does not let go of a cancelled job; one that has nothing to do goes to rest."""
        if self._running and self._cancel_by and time.monotonic() > self._cancel_by:
            log.info("the worker is ended, since its job was cancelled")
            self._dismiss(0)
            self._end(self._running, failure(self._running.id, Cancelled("cancelled", "The job was cancelled.")))
        reason = self._worker.crashed()
        if reason is None:
            if self._running or self._jobs.count("waiting") or not self._worker_route:
                self._last_busy = time.monotonic()
            elif time.monotonic() - self._last_busy > IDLE_SECONDS:
                log.info("the worker rests")
                self._dismiss()
            return
        log.error("worker ended: %s", reason)
        started, self._worker_route = self._worker_route is not None, None
        job = self._running
        self._left()
        if job and not self._jobs.crashed(job):
            sentence = f"The computation stopped unexpectedly, more than once ({reason})."
            self._end(job, failure(job.id, GlazeError("worker_crashed", sentence, "The log may say why.")))
        if not started and self._worker.hopeless:
            sentence = f"The engine does not start: {self._worker.last_words()}"
            for job in [job for job in self._jobs if job.state == "waiting"]:
                self._end(job, failure(job.id, GlazeError("engine_fault", sentence, "`glaze doctor` may know why.")))


def _log_to(file: Path) -> None:
    handler = logging.handlers.RotatingFileHandler(file, maxBytes=1 << 20, backupCount=3, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def main() -> int:
    """Run the daemon in the foreground; 0 also when another one is already running."""
    options = argparse.ArgumentParser("glaze_server", description="The Glaze daemon.")
    options.add_argument("--host", default="127.0.0.1", help="numeric address to listen on (default: %(default)s)")
    host = options.parse_args().host
    try:
        log_file = places.private(places.state()) / "daemon.log"
        held = lock.hold()
    except lock.AlreadyRunning:
        print("A Glaze daemon is already running.", file=sys.stderr)
        return 0
    except GlazeError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    with held:
        _log_to(log_file)
        try:
            daemon = Daemon(log_file, held, host)
        except (GlazeError, OSError, zmq.ZMQError, ValueError) as error:
            log.exception("cannot start")
            print(error, file=sys.stderr)
            return DaemonUnavailable.exit_code
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: daemon.stop())
        places.write_json(launch_file(), {"command": server_command()})
        log.info("listening on %s port %d, pid %d", host, daemon.connection.port, os.getpid())
        if daemon.connection.exposed:
            log.warning("%s", EXPOSED)
            print(EXPOSED, file=sys.stderr)
        try:
            daemon.run()
        except Exception:
            log.exception("ended by a fault")
            raise
        finally:
            daemon.close()
            log.info("stopped")
    return 0
