"""Jobs and their bytes: what has been received, what waits, what is finished. Decides order; knows no sockets.

The bytes of every job lie as files in a folder of its own, so the daemon's memory does not grow with a canvas.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from glaze_plugin.errors import BadInput, GlazeError
from glaze_plugin.messages import Done, Failed, Fetch, Part, Progress, Submit, Upload
from glaze_plugin.places import private

KINDS = ("protect", "measure", "review")
DISK_RESERVE = 256 << 20
"""Bytes that are left free on the disk whatever is asked."""
MAX_OPEN = 4096
MAX_ENDED = 256
"""Ended jobs that are remembered; the oldest go first."""


@dataclass
class Job:
    """One job. owner: routing id of its client. state: receiving → waiting → running → done | failed."""

    submit: Submit
    owner: bytes
    folder: Path
    state: str = "receiving"
    received: dict[str, int] = field(default_factory=dict)
    progress: Progress | None = None
    end: Done | Failed | None = None
    watchers: set[bytes] = field(default_factory=set)
    submitted: float = field(default_factory=time.time)

    @property
    def id(self) -> str:
        return self.submit.job

    def describe(self) -> dict[str, Any]:
        """One entry of the `jobs` message."""
        share = self.progress.step / self.progress.steps if self.progress and self.progress.steps else 0.0
        return {
            "job": self.id,
            "kind": self.submit.kind,
            "label": self.submit.label,
            "state": self.state,
            "progress": round(share, 3),
            "submitted": self.submitted,
        }


class Jobs:
    """All jobs of one daemon, in the order in which they came."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        shutil.rmtree(folder, ignore_errors=True)
        private(folder)
        self._jobs: dict[str, Job] = {}

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

    def add(self, submit: Submit, owner: bytes) -> Job:
        """Make room for a job. Raises BadInput where it cannot be taken; nothing is kept then."""
        if submit.job in self._jobs:
            raise BadInput("duplicate_job", f"There is already a job {submit.job}.")
        if submit.kind not in KINDS:
            raise BadInput("unknown_kind", f"There is no kind of job called {submit.kind!r}.")
        open_jobs = [job for job in self if not job.end]
        if len(open_jobs) >= MAX_OPEN:
            raise BadInput("too_many_jobs", "The daemon holds too many jobs.", "Wait until some have finished.")
        for ended in [job for job in self if job.end][:-MAX_ENDED]:
            self.forget(ended.id)
        names = [part.name for part in submit.parts]
        if len(set(names)) != len(names):
            raise BadInput("duplicate_part", "Two parts of the job have the same name.")
        needed = sum(part.size for part in submit.parts)
        if needed + DISK_RESERVE > shutil.disk_usage(self._folder).free:
            raise BadInput(
                "disk_full",
                f"There is no room for {needed >> 20} MB in {self._folder}.",
                "Free some disk space, or set GLAZE_HOME to a folder on another disk.",
            )
        job = Job(submit, owner, self._folder / submit.job)
        for side in ("in", "out"):
            private(job.folder / side)
        for part in submit.parts:
            (job.folder / "in" / part.name).touch(mode=0o600)
            job.received[part.name] = 0
        self._jobs[job.id] = job
        self._settle(job)
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
        self._settle(job)
        return job

    def next_waiting(self) -> Job | None:
        return next((job for job in self._jobs.values() if job.state == "waiting"), None)

    def read(self, fetch: Fetch) -> bytes:
        """A stretch of a finished job's part. Raises BadInput where there is none."""
        job = self.get(fetch.job)
        if not isinstance(job.end, Done):
            raise BadInput("not_done", f"The job {job.id} has no result.")
        part = _part(job.end.parts, fetch.part)
        if fetch.offset > part.size:
            raise BadInput("band_size", f"{part.name} is shorter than that.")
        with open(job.folder / "out" / part.name, "rb") as file:
            file.seek(fetch.offset)
            return file.read(fetch.length)

    def finish(self, job: Job, end: Done | Failed) -> None:
        """Close a job; what came in is no longer needed."""
        job.state = "done" if isinstance(end, Done) else "failed"
        job.end = end
        shutil.rmtree(job.folder if isinstance(end, Failed) else job.folder / "in", ignore_errors=True)

    def forget(self, job: str) -> None:
        """Drop a finished job and its result."""
        known = self._jobs.get(job)
        if known and known.end:
            shutil.rmtree(known.folder, ignore_errors=True)
            del self._jobs[job]

    def _settle(self, job: Job) -> None:
        if all(job.received[part.name] == part.size for part in job.submit.parts):
            job.state = "waiting"


def _part(parts: list[Part], name: str) -> Part:
    for part in parts:
        if part.name == name:
            return part
    raise BadInput("unknown_part", f"The job has no part {name!r}.")


def failure(job: str, error: GlazeError) -> Failed:
    """The message that tells of an error."""
    return Failed(job=job, kind=error.kind, code=error.code, sentence=error.sentence, remedy=error.remedy)
