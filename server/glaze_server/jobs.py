"""Jobs and their bytes: what has been received, what waits, what is finished. Decides order; knows no sockets.

An accepted job is on disk: its record in SQLite (WAL), its bytes as files in a folder of its own. Killing the daemon or
the worker at any moment loses neither an accepted job nor a finished result.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import sqlite3
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from glaze_plugin import messages as m
from glaze_plugin.errors import BadInput, GlazeError
from glaze_plugin.frames import MAX_PAYLOAD, PROTOCOL, ProtocolError, from_frames, to_frames
from glaze_plugin.messages import Done, Failed, Fetch, Part, Progress, Submit, Upload
from glaze_plugin.places import private

KINDS = ("protect", "measure", "review", "learn", "style")
DISK_RESERVE = 256 << 20
"""Bytes that are left free on the disk whatever is asked."""
DISK_LIMIT = 16 << 30
"""Bytes that all jobs together may take; the oldest finished ones make room first."""
KEPT_SECONDS = 7 * 24 * 3600.0
"""s for which a finished job waits for its client."""
SYNC_BYTES = 8 << 20
"""Of what comes in, that much is put on the disk while the rest comes."""
MAX_OPEN = 256
"""Unfinished jobs of one client."""
REMEMBERED = 1000
"""Clients whose turn is remembered."""
CHECKPOINT = ".checkpoint"
"""Lies beside the parts of a job, none of which can have such a name, and goes with them."""
MAX_CRASHES = int(os.environ.get("GLAZE_MAX_CRASHES", "2"))
"""A job that the worker did not survive that often has failed."""

SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY, client TEXT, submitted REAL, submit BLOB, crashes INTEGER DEFAULT 0, ended REAL, "end" BLOB
);
"""

ROWS = 'SELECT id, client, submitted, submit, crashes, ended, "end" FROM jobs ORDER BY rowid'

M = TypeVar("M", bound=m.Message)
ENDS: tuple[type[Done | Failed], ...] = (Done, Failed)

log = logging.getLogger("glaze.jobs")


@dataclass
class Job:
    """One job. state: receiving → waiting → running → done | failed.

    client: who submitted it, for fairness. followers: routing ids of the clients that are told of it and may act on it.
    syncs: what is being put on the disk beside: of what comes in, then the result.
    """

    submit: Submit
    folder: Path
    client: str
    followers: set[bytes] = field(default_factory=set)
    state: str = "receiving"
    received: dict[str, int] = field(default_factory=dict)
    progress: Progress | None = None
    end: Done | Failed | None = None
    syncs: list[Future[None]] = field(default_factory=list)
    submitted: float = 0.0
    ended: float = 0.0
    crashes: int = 0

    @property
    def id(self) -> str:
        return self.submit.job

    @property
    def interactive(self) -> bool:
        return self.submit.interactive

    @property
    def fleeting(self) -> bool:
        """Whether it is of no use without its client."""
        return self.state == "receiving" or not self.submit.keep

    @property
    def deserted(self) -> bool:
        """Whether it is of no use unless its client comes back: it came from an earlier daemon."""
        return self.fleeting and not self.followers and not self.end

    @property
    def ready(self) -> bool:
        """Whether it is its turn as soon as the worker has time."""
        return self.state == "waiting" and not self.deserted

    @property
    def size(self) -> int:
        """Bytes that the job takes on the disk, now or when all of it has come."""
        if self.end:
            return sum(part.size for part in self.end.parts) if isinstance(self.end, Done) else 0
        size = sum(part.size for part in self.submit.parts)
        return size + _bytes_of(self.folder / "in" / CHECKPOINT) if self.progress else size

    @property
    def unsettled(self) -> bool:
        """Whether it has a result that may not be on the disk yet."""
        return self.state == "done" and (self.folder / "in").exists()

    def results(self) -> Iterator[tuple[Path, int]]:
        """The files of its result and their sizes, bytes."""
        if isinstance(self.end, Done):
            for part in self.end.parts:
                yield self.folder / "out" / part.name, part.size

    def describe(self) -> dict[str, Any]:
        """One entry of the `jobs` message."""
        share = self.progress.step / self.progress.steps if self.progress and self.progress.steps else 0.0
        return {
            "job": self.id,
            "kind": self.submit.kind,
            "label": self.submit.label[:80],
            "state": self.state,
            "progress": round(share, 3),
            "submitted": self.submitted,
        }


class Jobs:
    """All jobs of one daemon, in the order in which they came. Opening it brings back those of an earlier daemon.

    Raises GlazeError where its records cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = private(folder)
        self._file = folder / "jobs.sqlite3"
        self._records, rows = _opened(self._file)
        self._opened = self._file.stat()
        self._disk = ThreadPoolExecutor(1)
        self._clock = time.time() - time.monotonic()
        self._jobs = {job.id: job for job in self._recovered(rows)}
        self._last_served: dict[str, int] = {}
        self._turn = 0
        recorded = {id for (id,) in self._records.execute("SELECT id FROM jobs")}
        for path in folder.iterdir():
            if path.is_dir() and path.name not in recorded:
                shutil.rmtree(path, ignore_errors=True)  # never accepted, or forgotten

    def _recovered(self, rows: Sequence[tuple[Any, ...]]) -> Iterator[Job]:
        for id, client, submitted, submit, crashes, ended, end in rows:
            try:
                job = Job(_message(submit, Submit), self._folder / id, client, submitted=submitted, crashes=crashes)
                job.state = "waiting"
                if end is not None:
                    job.end, job.ended = _message(end, ENDS), min(ended, self.now())
                    job.state = "done" if isinstance(job.end, Done) else "failed"
                if job.unsettled and not all(_bytes_of(file) == size for file, size in job.results()):
                    job.state, job.end = "waiting", None  # the power failed before the result was on the disk
                yield job
            except ProtocolError as error:
                log.warning("job %s was written by another version and is left aside: %s", id, error)
                if self.now() - submitted > KEPT_SECONDS:
                    self._try_to_record("DELETE FROM jobs WHERE id = ?", (id,))  # and its folder with it, below

    def close(self) -> None:
        self._disk.shutdown()
        self._records.close()

    def still_there(self) -> bool:
        """Whether the records that others see are still those that are open here; somebody may have deleted them."""
        try:
            return os.path.samestat(self._opened, self._file.stat())
        except OSError:
            return False

    def now(self) -> float:
        """Unix time, s, as it was when the store was opened and has gone on since: the system's clock may be moved."""
        return self._clock + time.monotonic()

    def _record(self, statement: str, values: tuple[Any, ...]) -> None:
        """Change the records. Raises GlazeError where the disk does not take it; then they are as before."""
        try:
            self._records.execute(statement, values)
        except sqlite3.Error as error:
            raise GlazeError("disk", f"The daemon cannot keep its records: {error}.") from error

    def _try_to_record(self, statement: str, values: tuple[Any, ...]) -> bool:
        """The same where the daemon goes on all the same: its next start will not know of the change."""
        try:
            self._record(statement, values)
        except GlazeError as error:
            log.error("%s", error)
            return False
        return True

    def __iter__(self) -> Iterator[Job]:
        return iter(list(self._jobs.values()))

    def find(self, job: str) -> Job | None:
        return self._jobs.get(job)

    def get(self, job: str) -> Job:
        """Raises BadInput for an id that is not known."""
        known = self.find(job)
        if known is None:
            raise BadInput("unknown_job", f"There is no job {job}.")
        return known

    def count(self, state: str) -> int:
        return sum(job.state == state for job in self._jobs.values())

    @property
    def disk(self) -> int:
        """Bytes that all jobs take."""
        return sum(job.size for job in self._jobs.values())

    # ---- receiving ----

    def add(self, submit: Submit, owner: bytes) -> Job:
        """Make room for a job. Raises BadInput where it cannot be taken; nothing is kept then."""
        if submit.job in self._jobs:
            raise BadInput("duplicate_job", f"There is already a job {submit.job}.")
        if submit.kind not in KINDS:
            raise BadInput("unknown_kind", f"There is no kind of job called {submit.kind!r}.")
        names = [part.name for part in submit.parts]
        if len(set(names)) != len(names):
            raise BadInput("duplicate_part", "Two parts of the job have the same name.")
        client = owner.hex()
        if sum(job.client == client and not job.end for job in self._jobs.values()) >= MAX_OPEN:
            raise BadInput("too_many_jobs", "Too many jobs at once.", "Wait until some have finished.")
        self._make_room(sum(part.size for part in submit.parts))
        job = Job(submit, self._folder / submit.job, client, {owner}, submitted=self.now())
        for side in ("in", "out"):
            private(job.folder / side)
        for part in submit.parts:
            (job.folder / "in" / part.name).touch(mode=0o600)
            job.received[part.name] = 0
        self._jobs[job.id] = job
        self._accept_when_whole(job)
        return job

    def store(self, upload: Upload) -> Job:
        """Append one band. Raises BadInput for a band that does not follow the one before it."""
        job = self.get(upload.job)
        part = _part(job.submit.parts, upload.part)
        if job.state != "receiving" or upload.offset != job.received[part.name]:
            raise BadInput("out_of_order", f"A band of {part.name} came out of order.")
        if upload.offset + len(upload.payload) > part.size or not upload.payload:
            raise BadInput("band_size", f"A band of {part.name} has the wrong size.")
        with open(job.folder / "in" / part.name, "ab") as file:
            file.write(upload.payload)
        job.received[part.name] += len(upload.payload)
        if job.received[part.name] // SYNC_BYTES > upload.offset // SYNC_BYTES:
            job.syncs.append(self._disk.submit(_sync, job.folder / "in" / part.name))
        self._accept_when_whole(job)
        return job

    def _accept_when_whole(self, job: Job) -> None:
        """When the last band has come, put the job on disk for good: its files first, its record last."""
        if any(job.received[part.name] < part.size for part in job.submit.parts):
            return
        for sync in job.syncs:
            sync.result()  # the system tells of a write error once only
        job.syncs.clear()
        for part in job.submit.parts:
            _sync(job.folder / "in" / part.name)
        for folder in (job.folder / "in", job.folder, self._folder):
            _sync(folder)
        self._record(
            "INSERT INTO jobs (id, client, submitted, submit) VALUES (?, ?, ?, ?)",
            (job.id, job.client, job.submitted, _bytes(job.submit)),
        )
        job.state = "waiting"

    def _make_room(self, needed: int) -> None:
        """Drop ended jobs that are too old or, oldest first, in the way.

        Raises BadInput where that is too little; then only those that are too old are dropped.
        """
        for job in self:
            if job.end and self.now() - job.ended > KEPT_SECONDS:
                self.forget(job.id)
        finished = sorted((job for job in self if job.end), key=lambda job: job.ended)
        excess = self.disk + needed - DISK_LIMIT
        full = needed + DISK_RESERVE > shutil.disk_usage(self._folder).free
        if full or excess > sum(job.size for job in finished):
            raise BadInput(
                "disk_full",
                f"There is no room for {needed >> 20} MB in {self._folder}.",
                "Free some disk space, or set GLAZE_HOME to a folder on another disk.",
            )
        for job in finished:
            if excess > 0:
                excess -= job.size
                self.forget(job.id)

    # ---- running ----

    def next_waiting(self) -> Job | None:
        """Interactive jobs before others; among those, the client that was served longest ago; its oldest job."""
        waiting = [job for job in self._jobs.values() if job.ready]
        if not waiting:
            return None
        chosen = min(waiting, key=lambda job: (not job.interactive, self._last_served.get(job.client, 0)))
        self._turn += 1
        self._last_served.pop(chosen.client, None)
        self._last_served[chosen.client] = self._turn  # the last one in the dictionary, so that the first is the oldest
        if len(self._last_served) > REMEMBERED:
            del self._last_served[next(iter(self._last_served))]
        return chosen

    def urgent(self) -> bool:
        """Whether somebody waits at a screen."""
        return any(job.ready and job.interactive for job in self._jobs.values())

    def crashed(self, job: Job) -> bool:
        """Count that the worker died of a job; whether it may run again, which it then waits for."""
        job.crashes += 1
        self._try_to_record("UPDATE jobs SET crashes = ? WHERE id = ?", (job.crashes, job.id))
        if job.crashes >= MAX_CRASHES:
            return False
        job.state = "waiting"
        return True

    def finish(self, job: Job, end: Done | Failed) -> None:
        """Close a job for good; what came in stays until a result is settled. A job never accepted is dropped."""
        accepted = job.state != "receiving"
        job.state, job.end, job.ended = "done" if isinstance(end, Done) else "failed", end, self.now()
        if not accepted:
            self.forget(job.id)
        elif self._record_end(job) and isinstance(end, Failed):
            self._remove(job.folder)

    def _record_end(self, job: Job) -> bool:
        """Where that fails, what came in is kept, since the next daemon will run the job again."""
        assert job.end
        change = 'UPDATE jobs SET ended = ?, "end" = ? WHERE id = ?'
        return self._try_to_record(change, (job.ended, _bytes(job.end), job.id))

    def settle(self) -> None:
        """Called now and then: put the results that nobody has taken at once on the disk, beside other work.

        A kill loses nothing before; where the power fails before, the job runs again.
        """
        for job in self._jobs.values():
            if not job.unsettled:
                continue
            if not job.syncs:
                files = [file for file, _ in job.results()]
                job.syncs = [self._disk.submit(_sync, path) for path in (*files, job.folder / "out")]
            elif all(sync.done() and not sync.exception() for sync in job.syncs) and self._record_end(job):
                self._remove(job.folder / "in")

    def _remove(self, folder: Path) -> None:
        """Remove a folder beside other work, which takes long where files are large. Its name is free at once."""
        with contextlib.suppress(OSError):
            self._disk.submit(shutil.rmtree, folder.rename(self._folder / uuid.uuid4().hex), ignore_errors=True)

    # ---- finished ----

    def read(self, fetch: Fetch) -> bytes:
        """A stretch of a finished job's part. Raises GlazeError where there is none, or none any more."""
        job = self.get(fetch.job)
        if not isinstance(job.end, Done):
            raise BadInput("not_done", f"The job {job.id} has no result.")
        part = _part(job.end.parts, fetch.part)
        if fetch.offset > part.size:
            raise BadInput("band_size", f"{part.name} is shorter than that.")
        try:
            with open(job.folder / "out" / part.name, "rb") as file:
                file.seek(fetch.offset)
                return file.read(min(fetch.length, MAX_PAYLOAD))
        except OSError as error:
            raise GlazeError("disk", f"The job's {part.name} cannot be read any more: {error.strerror}.") from error

    def forget(self, job: str) -> None:
        """Drop an ended job and its result."""
        known = self._jobs.get(job)
        if known and known.end:
            self._try_to_record("DELETE FROM jobs WHERE id = ?", (job,))
            self._remove(known.folder)
            del self._jobs[job]


def _opened(file: Path) -> tuple[sqlite3.Connection, list[tuple[Any, ...]]]:
    """The records, begun where there are none, and all rows. Raises GlazeError where they cannot be read."""
    try:
        records = sqlite3.connect(file, isolation_level=None)
        records.executescript(SCHEMA)
        return records, records.execute(ROWS).fetchall()
    except sqlite3.Error as error:
        raise GlazeError(
            "disk",
            f"The daemon's records in {file} cannot be read: {error}.",
            "Without that file it starts anew; unfinished jobs and results that were not taken are lost then.",
        ) from error


def _part(parts: list[Part], name: str) -> Part:
    for part in parts:
        if part.name == name:
            return part
    raise BadInput("unknown_part", f"The job has no part {name!r}.")


def _sync(path: Path) -> None:
    """Make sure that a file's or a folder's content is on the disk."""
    if os.name == "nt" and path.is_dir():
        return  # Windows has no such thing for folders
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _bytes(msg: m.Message) -> bytes:
    return bytes(to_frames(msg)[0])


def _bytes_of(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0


def _message(data: bytes, kind: type[M] | tuple[type[M], ...]) -> M:
    """The message in a record. One that another version wrote is read as far as this version can."""
    try:
        header = {**json.loads(data), "v": PROTOCOL}
    except (ValueError, TypeError):
        raise ProtocolError("A record is not JSON.") from None
    msg = from_frames([json.dumps(header).encode()])
    if not isinstance(msg, kind):
        raise ProtocolError(f"A record holds a {msg.type} message.")
    return msg


def failure(job: str, error: GlazeError) -> Failed:
    """The message that tells of an error."""
    return Failed(job=job, kind=error.kind, code=error.code, sentence=error.sentence, remedy=error.remedy)
