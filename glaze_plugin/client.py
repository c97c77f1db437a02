"""What a front end does with the daemon: submit a job, follow it, fetch what it made, cancel it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar, Union

from glaze_plugin.errors import BadInput, DaemonUnavailable, GlazeError, rebuild
from glaze_plugin.launch import connect
from glaze_plugin.link import Link
from glaze_plugin.messages import (
    BAND,
    Accepted,
    AskStatus,
    Cancel,
    Chunk,
    Done,
    Failed,
    Fetch,
    Forget,
    Goodbye,
    Jobs,
    ListJobs,
    Message,
    Part,
    Preview,
    Progress,
    Refused,
    Shutdown,
    Status,
    Submit,
    Upload,
    Watch,
    Welcome,
)
from glaze_plugin.raster import Raster

FETCHES_AHEAD = 4
"""Chunks asked for before the first has come; bounds the daemon's memory as well as ours."""

MAX_TROUBLES = 60
"""How often a job puts up with a daemon that has gone, or has been silent for another second."""
PASSING = ("daemon_gone", "daemon_silent")

Content = Union[bytes, Raster]
OnProgress = Callable[[Progress], None]
OnPreview = Callable[[Preview], None]
OnWait = Callable[[str], None]
Answer = TypeVar("Answer", bound=Message)


@dataclass
class Outcome:
    """A finished job: the report's figures, and the bytes of each part with its layout (None for a file)."""

    job: str
    report: dict[str, Any]
    parts: dict[str, bytes] = field(default_factory=dict)
    layouts: dict[str, Part] = field(default_factory=dict)


class Client:
    """A conversation with the daemon over one link.

    The blocking methods serve the command line. A host with an event loop uses `submit`, `cancel` and `receive`,
    calling the latter whenever `fileno()` is readable.
    """

    def __init__(self, name: str, link: Link, welcome: Welcome, on_wait: OnWait | None = None) -> None:
        self.link = link
        self.welcome = welcome
        self._name = name
        self._on_wait = on_wait

    @classmethod
    def connect(cls, name: str, on_wait: OnWait | None = None) -> Client:
        """Reach the daemon, starting it where none runs. on_wait: told in words what is waited for.

        Raises DaemonUnavailable.
        """
        return cls(name, *connect(name, on_wait), on_wait)

    def close(self) -> None:
        self.link.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- one message each ----

    def submit(
        self, kind: str, parts: Mapping[str, Content], settings: Mapping[str, Any], label: str = "", job: str = ""
    ) -> str:
        """Send a job with its bytes and return its id at once. `label` names it in job lists; `job`: its id, if chosen.

        A Raster's ICC profile travels as a part of its own, ``<name>_profile``.
        """
        job = job or uuid.uuid4().hex
        described, contents = [], []
        for name, content in parts.items():
            if isinstance(content, Raster):
                described.append(Part(name, content.format.size, content.format))
                contents.append((name, content.pixels, content.format.band_rows(BAND) * content.format.row_bytes))
                if content.profile:
                    described.append(Part(f"{name}_profile", len(content.profile)))
                    contents.append((f"{name}_profile", content.profile, BAND))
            else:
                described.append(Part(name, len(content)))
                contents.append((name, content, BAND))
        self.link.send(Submit(job=job, kind=kind, parts=described, settings=dict(settings), label=label))
        for name, data, step in contents:
            view = memoryview(data)
            for offset in range(0, len(view), step):
                self.link.send(Upload(job=job, part=name, offset=offset, payload=view[offset : offset + step]))
        return job

    def watch(self, job: str) -> None:
        """Ask to be told of a job that was submitted before, perhaps by an earlier process."""
        self.link.send(Watch(job=job))

    def cancel(self, job: str) -> None:
        self.link.send(Cancel(job=job))

    def forget(self, job: str) -> None:
        """Say that a job's result is no longer needed."""
        self.link.send(Forget(job=job))

    def receive(self) -> list[Message]:
        """Messages that have come, without waiting."""
        return self.link.receive()

    # ---- blocking conversations ----

    def run(
        self,
        kind: str,
        parts: Mapping[str, Content],
        settings: Mapping[str, Any],
        label: str = "",
        on_progress: OnProgress | None = None,
        on_preview: OnPreview | None = None,
    ) -> Outcome:
        """Submit a job, wait for its end and fetch what it made, also across a daemon that restarts or hangs a while.

        Raises the GlazeError that the job failed with. On KeyboardInterrupt the job is cancelled.
        """
        job = uuid.uuid4().hex
        troubles = 0
        get_going: Callable[[], object] | None = partial(self.submit, kind, parts, settings, label, job)
        while True:
            try:
                if get_going:
                    get_going()
                    get_going = None
                outcome = self._finish(job, on_progress, on_preview)
                self.link.send(Forget(job=job))
                return outcome
            except DaemonUnavailable as error:
                troubles += 1
                if error.code not in PASSING or troubles > MAX_TROUBLES:
                    raise
                if self._on_wait:
                    self._on_wait(error.sentence)
                if error.code == "daemon_gone":
                    get_going = partial(self._return_to, job)
            except BadInput as error:
                if error.code != "unknown_job":
                    raise
                get_going = partial(self.submit, kind, parts, settings, label, job)  # it had not come whole
            except KeyboardInterrupt:
                self.cancel(job)
                self._await_end(job)
                raise

    def collect(self, job: str, on_progress: OnProgress | None = None, on_preview: OnPreview | None = None) -> Outcome:
        """Wait for a job that was submitted before, perhaps by an earlier process, and fetch what it made.

        Its result is kept until `forget`. Raises the GlazeError that it failed with, BadInput where it is not known.
        """
        self.watch(job)
        return self._finish(job, on_progress, on_preview)

    def status(self) -> Status:
        return self._ask(AskStatus(), Status)

    def jobs(self) -> list[dict[str, Any]]:
        return self._ask(ListJobs(), Jobs).jobs

    def cancel_job(self, job: str) -> Failed:
        """Cancel a job, whoever submitted it, and wait until it has ended. Raises BadInput where it is not open."""
        self.watch(job)
        return self._ask(Cancel(job=job), Failed)

    def shutdown(self) -> None:
        """Ask the daemon to stop and wait until it says goodbye."""
        self._ask(Shutdown(), Goodbye)

    # ---- inner workings ----

    def _finish(self, job: str, on_progress: OnProgress | None, on_preview: OnPreview | None) -> Outcome:
        done = self._follow(job, on_progress, on_preview)
        outcome = Outcome(job, done.report)
        for part in done.parts:
            outcome.parts[part.name] = self._fetch(job, part)
            outcome.layouts[part.name] = part
        return outcome

    def _return_to(self, job: str) -> None:
        """After a daemon has gone, reach the next one and ask for the job."""
        self.link.close()
        self.link, self.welcome = connect(self._name, self._on_wait)
        self.watch(job)

    def _follow(self, job: str, on_progress: OnProgress | None, on_preview: OnPreview | None) -> Done:
        while True:
            for msg in self.link.wait(1.0):
                if getattr(msg, "job", None) != job:
                    continue
                if isinstance(msg, Refused):
                    raise rebuild("bad_input", msg.code, msg.sentence, msg.remedy)
                if isinstance(msg, Done):
                    return msg
                if isinstance(msg, Failed):
                    raise rebuild(msg.kind, msg.code, msg.sentence, msg.remedy)
                if isinstance(msg, Progress) and on_progress:
                    on_progress(msg)
                elif isinstance(msg, Preview) and on_preview:
                    on_preview(msg)
                elif isinstance(msg, Accepted) and on_progress:
                    on_progress(Progress(job=job, stage="waiting", step=0, steps=0))

    def _fetch(self, job: str, part: Part) -> bytes:
        data = bytearray(part.size)
        offsets = iter(range(0, part.size, BAND))
        missing = 0
        for offset in (next(offsets, None) for _ in range(FETCHES_AHEAD)):
            if offset is not None:
                self.link.send(Fetch(job=job, part=part.name, offset=offset, length=BAND))
                missing += 1
        while missing:
            for msg in self.link.wait(1.0):
                if isinstance(msg, Refused) and msg.job == job:
                    raise GlazeError(msg.code, msg.sentence, msg.remedy)
                if isinstance(msg, Chunk) and msg.job == job and msg.part == part.name:
                    end = msg.offset + len(msg.payload)
                    if end > part.size or not msg.payload:
                        raise GlazeError("band_size", "The daemon sent a band of the wrong size.")
                    data[msg.offset : end] = msg.payload
                    missing -= 1
                    offset = next(offsets, None)
                    if offset is not None:
                        self.link.send(Fetch(job=job, part=part.name, offset=offset, length=BAND))
                        missing += 1
        return bytes(data)

    def _await_end(self, job: str) -> None:
        """Wait until the daemon confirms that a cancelled job has ended; a daemon that is gone has ended it too."""
        try:
            while True:
                for msg in self.link.wait(1.0):
                    if isinstance(msg, (Done, Failed, Refused)) and msg.job == job:
                        return
        except GlazeError:
            return

    def _ask(self, question: Message, kind: type[Answer]) -> Answer:
        self.link.send(question)
        while True:
            for msg in self.link.wait(1.0):
                if isinstance(msg, kind):
                    return msg
                if isinstance(msg, Refused):
                    raise rebuild("bad_input", msg.code, msg.sentence, msg.remedy)
