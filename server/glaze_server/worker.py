"""The worker process: owns the device, runs one job at a time, and is the only process that imports the engine.

`python -m glaze_server.worker ENDPOINT` with its token as the first line of standard input.
"""

from __future__ import annotations

import json
import logging
import mmap
import os
import signal
import sys
import threading
import time
from importlib import import_module
from pathlib import Path
from types import ModuleType

import zmq

from glaze_plugin import messages as m
from glaze_plugin.errors import Cancelled, GlazeError
from glaze_plugin.frames import from_frames, to_frames
from glaze_plugin.raster import RasterFormat
from glaze_server import worker_messages as w
from glaze_server.engine.progress import Paused
from glaze_server.jobs import CHECKPOINT, failure
from glaze_server.pace import Pace

log = logging.getLogger("glaze.worker")

NICENESS = 10
"""The artist goes on painting while the worker computes; painting comes first."""
REPORT_SECONDS = 0.1
"""s between two progress messages at least."""
REPLAY_SECONDS = 0.01
"""s; faster steps come from a checkpoint. A job whose own ones are as fast is soon done."""


class Conversation:
    """The worker's end of its connection to the daemon, and how a running job reports and is cancelled."""

    def __init__(self, endpoint: str, token: str) -> None:
        self._socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.DEALER)
        self._socket.setsockopt(zmq.PLAIN_USERNAME, w.WORKER_USER)
        self._socket.setsockopt(zmq.PLAIN_PASSWORD, token.encode())
        self._socket.setsockopt(zmq.LINGER, 1000)
        self._socket.connect(endpoint)
        self.job = ""
        self._reported = 0.0
        self._pace = Pace()

    def receive(self) -> m.Message:
        return from_frames(self._socket.recv_multipart())

    def send(self, msg: m.Message) -> None:
        self._socket.send_multipart(to_frames(msg))

    def begin(self, job: str) -> None:
        self.job = job
        self._reported = 0.0
        self._pace = Pace(REPLAY_SECONDS)

    # The two methods that the engine calls while it works (engine.progress.Reporter).

    def progress(self, stage: str, step: int, steps: int) -> None:
        """Pass on how far the job is. Raises Cancelled or Paused when the daemon has asked for that."""
        while self._socket.poll(0):
            msg = self.receive()
            if isinstance(msg, m.Cancel) and msg.job == self.job:
                raise Cancelled("cancelled", "The job was cancelled.")
            if isinstance(msg, w.Pause) and msg.job == self.job:
                raise Paused
        now = time.monotonic()
        left = self._pace.seconds_left(step, steps)
        if now - self._reported < REPORT_SECONDS and step < steps:
            return
        self._reported = now
        self.send(m.Progress(job=self.job, stage=stage, step=step, steps=steps, seconds_left=left))

    def preview(self, layout: RasterFormat, pixels: bytes) -> None:
        self.send(m.Preview(job=self.job, raster=layout, payload=pixels))


def engine() -> ModuleType:
    """The module that does the jobs. GLAZE_TASKS names another one, for tests of everything around it."""
    return import_module(os.environ.get("GLAZE_TASKS", "glaze_server.engine.tasks"))


def _content(file: Path, part: m.Part) -> bytes | mmap.mmap:
    """A file's bytes. Pixels are many and stay where they are: the system holds them in memory anyway.

    Raises GlazeError where they cannot be read.
    """
    try:
        if part.raster is None:
            return file.read_bytes()
        with open(file, "rb") as opened:
            return mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise GlazeError("disk", f"The job's {part.name} cannot be read any more: {error.strerror}.") from error


def run_job(run: w.Run, talk: Conversation) -> m.Done | m.Failed | w.Paused:
    """Run one job; whatever goes wrong becomes a message."""
    tasks = engine()
    folder = Path(run.folder)
    try:
        inputs = {part.name: tasks.Input(_content(folder / "in" / part.name, part), part.raster) for part in run.parts}
        result = tasks.run(run.kind, inputs, run.settings, talk, folder / "in" / CHECKPOINT)
        parts = []
        for name, output in result.parts.items():
            with open(folder / "out" / name, "wb") as file:
                for offset in range(0, len(output.data), m.BAND):  # at once, mapped pixels would be copied page by page
                    file.write(memoryview(output.data)[offset : offset + m.BAND])
            parts.append(m.Part(name, len(output.data), output.layout))
        return m.Done(job=run.job, parts=parts, report=json.loads(json.dumps(result.report, allow_nan=False)))
    except Paused:
        return w.Paused(job=run.job)
    except GlazeError as error:
        return failure(run.job, error)
    except OSError as error:
        return failure(run.job, GlazeError("disk", f"The result cannot be stored: {error.strerror}."))
    except MemoryError:
        return failure(run.job, GlazeError("memory", "There is not enough memory for this picture."))
    except Exception as error:
        log.exception("job %s", run.job)
        sentence = f"The computation failed ({type(error).__name__}: {error})."
        return failure(run.job, GlazeError("engine_fault", sentence, "The log has the details."))


def _die_with_the_daemon() -> None:
    """Standard input ends when the daemon does; then nobody waits for a result."""
    sys.stdin.read()
    os._exit(0)


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):  # at a shutdown all get them; the daemon says when this one ends
        signal.signal(number, signal.SIG_IGN)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("pyvips").setLevel(logging.WARNING)
    token = sys.stdin.readline().strip()
    os.environ["HF_HUB_OFFLINE"] = "1"  # no job downloads anything
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    threading.Thread(target=_die_with_the_daemon, daemon=True).start()
    talk = Conversation(sys.argv[1], token)
    talk.send(w.Ready(**engine().abilities()))
    while True:
        msg = talk.receive()
        if isinstance(msg, w.Run):
            talk.begin(msg.job)
            talk.send(run_job(msg, talk))


if __name__ == "__main__":
    main()
