"""What a front end does with the daemon: submit jobs, follow them, fetch what they made, cancel them.

A program with windows makes a `Client` and calls `step` whenever `fileno()` is ready or a moment has passed; nothing
waits then. The command line uses the methods that wait. Both take the same way: through a daemon that has yet to be
started, restarts, hangs for a while, or is replaced, jobs go on.
"""

from __future__ import annotations

import select
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, TypeVar

from glaze_plugin.bands import AHEAD, Content, Sink, submission
from glaze_plugin.errors import BadInput, Cancelled, DaemonUnavailable, GlazeError
from glaze_plugin.job import Job, Listener
from glaze_plugin.launch import POLL_SECONDS, Greeted, Search
from glaze_plugin.link import Link, silent
from glaze_plugin.messages import (
    BAND,
    Accepted,
    AskStatus,
    Forget,
    Goodbye,
    Jobs,
    ListJobs,
    Message,
    Preview,
    Progress,
    Refused,
    Shutdown,
    Status,
    Welcome,
)

ANSWER_SECONDS = 10.0
"""s that a daemon which is there may take to answer a question."""
PATIENCE_SECONDS = 60.0
"""s that a job puts up with a daemon that is silent, where somebody waits for it."""

OnProgress = Callable[[Progress], None]
OnPreview = Callable[[Preview], None]
OnWait = Callable[[str], None]
Answer = TypeVar("Answer", bound=Message)


class Client:
    """Conversations about any number of jobs over one connection, which is made and made again as needed.

    words: what is being waited for, for people; "" while all is well. error: why there is no connection, once trying
    on is of no use; `retry` tries all the same. welcome: what the daemon said of itself.
    """

    def __init__(self, name: str, on_wait: OnWait | None = None, start: bool = True, ahead: int = AHEAD) -> None:
        """name: of the front end, for the daemon's log. on_wait: told `words` when they change.

        start: start a daemon where none runs; may be changed. ahead: how much a step may do, as for AHEAD.
        """
        self.start = start
        self.words = ""
        self.error: DaemonUnavailable | None = None
        self.welcome = Welcome("", 0)
        self._name = name
        self._on_wait = on_wait
        self._ahead = ahead
        self._link: Link | None = None
        self._search: Search | None = Search(name, start)
        self._jobs: dict[str, Job] = {}
        self._questions: list[tuple[type[Message], Callable[[Message], None]]] = []
        self._silent_since: float | None = None

    @classmethod
    def connect(cls, name: str, on_wait: OnWait | None = None) -> Client:
        """Reach the daemon, starting it where none runs. Raises DaemonUnavailable."""
        client = cls(name, on_wait)
        try:
            while client._link is None:
                client.wait(POLL_SECONDS)
        except BaseException:
            client.close()
            raise
        return client

    @property
    def silent(self) -> bool:
        """Whether the daemon lives but does not answer; it may return."""
        return self._silent_since is not None

    @property
    def unusable(self) -> bool:
        """Whether a daemon lives that only a restart can help: it hangs, or is of another version."""
        return self.silent or (self.error is not None and self.error.code in ("daemon_silent", "wrong_version"))

    @classmethod
    def over(cls, name: str, greeted: Greeted) -> Client:
        """A client of a daemon that has been reached already."""
        client = cls(name)
        client._connected(greeted)
        return client

    def close(self) -> None:
        """Leave. Jobs that are open at the daemon go on there."""
        if self._link:
            self._link.close()
        if self._search:
            self._search.close()
        self._link = self._search = None

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- without waiting ---------------------------------------------------------------------

    @property
    def link(self) -> Link | None:
        """The connection, None while there is none."""
        return self._link

    @property
    def wants_write(self) -> bool:
        """Whether `step` should also be called when the socket can be written to."""
        if self._link is None:
            return False
        return self._link.wants_write or any(job.sending for job in self._jobs.values())

    def fileno(self) -> int:
        """For Qt's and GLib's notifiers; -1 while there is no connection. It changes with each connection."""
        return self._link.fileno() if self._link else -1

    def step(self) -> None:
        """Do what can be done now: connect, receive, send. Call it when the socket is ready, and every 0.1 s or so."""
        try:
            if self._link is None and self._search is not None:
                greeted = self._search.step()
                self._say(self._search.words)
                if greeted:
                    self._connected(greeted)
            if self._link:
                self._receive(self._link)
            for job in list(self._jobs.values()):
                self._push(job)
        except DaemonUnavailable as error:
            self._trouble(error)
        except GlazeError as error:
            self._trouble(DaemonUnavailable(error.code, f"The daemon cannot be understood: {error.sentence}"))

    def retry(self) -> None:
        """Look for the daemon again after `error`."""
        self.error = None
        if self._link is None and self._search is None:
            self._search = Search(self._name, self.start)

    def submit(
        self,
        kind: str,
        parts: Mapping[str, Content],
        settings: Mapping[str, Any],
        label: str = "",
        listener: Listener | None = None,
        keep: bool | None = None,
    ) -> Job:
        """A new job; its bytes are sent by the following steps. A Raster's ICC profile travels as a part of its own,
        ``<name>_profile``.

        label: names it in job lists. listener: called with the job and each message that changed it. keep: whether it
        goes on when this client has gone, because somebody will come for it; by default if it is not interactive.
        """
        return self.begin(lambda id: submission(id, kind, parts, settings, label, keep), listener)

    def begin(self, messages: Callable[[str], Iterator[Message]], listener: Listener | None = None) -> Job:
        """A new job that begins with these messages. messages: makes them, with its id, perhaps more than once."""
        id = uuid.uuid4().hex
        job = self._jobs[id] = Job.begin(id, lambda: messages(id), listener)
        self._push(job)
        return job

    def watch(self, id: str, listener: Listener | None = None) -> Job:
        """A job that was submitted before, perhaps by an earlier process."""
        job = Job(id, listener)
        self._jobs[id] = job
        return job

    def fetch(
        self, job: Job, names: Iterable[str] = (), sinks: Mapping[str, Sink] | None = None, band: int = BAND
    ) -> None:
        """Get what a "done" job has made, or the parts called `names` of it.

        sinks: part name → called with its bytes in order, about `band` of them at a time, in whole rows of a raster.
        Parts without one go to `job.parts`.
        """
        self._tell(*job.fetch(names, sinks or {}, self._ahead, band))
        self._push(job)

    def cancel(self, job: Job) -> None:
        """Ask for a job's end; it has "failed" with the error Cancelled when that has come."""
        self._tell(*job.cancel())

    def forget(self, job: Job) -> None:
        """Say that a job is of no interest any more; its result need not be kept."""
        self._jobs.pop(job.id, None)
        self._tell(Forget(job=job.id))

    def ask(self, question: Message, kind: type[Answer], answered: Callable[[Answer], None]) -> None:
        """Ask something that is not about a job; nothing is answered where the connection ends before."""
        self._questions.append((kind, answered))  # type: ignore[arg-type]  # called with that kind only
        self._tell(question)

    # ---- waiting ---------------------------------------------------------------------------------

    def wait(self, seconds: float) -> None:
        """Take a step, after at most so long a time, or as soon as the socket is ready.

        Raises `error` where there is one, and DaemonUnavailable for a daemon that has been silent for PATIENCE_SECONDS.
        """
        if self._link:
            pause = min(seconds, 1.0)
            select.select([self._link], [self._link] if self.wants_write else [], [], pause)
        elif self._search:
            time.sleep(POLL_SECONDS)
        self.step()
        if self.error:
            raise self.error
        if self._silent_since and time.monotonic() - self._silent_since > PATIENCE_SECONDS:
            raise silent()

    def run(
        self,
        kind: str,
        parts: Mapping[str, Content],
        settings: Mapping[str, Any],
        label: str = "",
        on_progress: OnProgress | None = None,
        on_preview: OnPreview | None = None,
    ) -> Job:
        """Submit a job, wait for its end, fetch what it made and forget it.

        Raises the GlazeError that the job failed with. On KeyboardInterrupt the job is cancelled.
        """
        job = self.submit(kind, parts, settings, label, _telling(on_progress, on_preview))
        try:
            self.complete(job)
        except KeyboardInterrupt:
            self.cancel(job)
            with suppress(GlazeError):
                self._until(lambda: not job.open)
            raise
        self.forget(job)
        self.step()
        return job

    def complete(self, job: Job) -> Job:
        """Wait for a job's end and fetch what it made. Raises the GlazeError that it failed with."""
        while not job.ended:
            self.wait(1.0)
            if job.state == "done":
                self.fetch(job)
        if job.error:
            raise job.error
        return job

    def status(self) -> Status:
        return self.answer(AskStatus(), Status)

    def jobs(self) -> list[dict[str, Any]]:
        return self.answer(ListJobs(), Jobs).jobs

    def cancel_job(self, id: str) -> None:
        """Cancel a job, whoever submitted it, and wait until it has ended. Raises BadInput where it is not open."""
        job = self.watch(id)
        self._until(lambda: job.known)
        if job.open:
            self.cancel(job)
            self._until(lambda: not job.open)
        if isinstance(job.error, BadInput):
            raise job.error
        if not isinstance(job.error, Cancelled):
            raise BadInput("already_ended", f"The job {id} has already ended.")

    def shutdown(self) -> None:
        """Ask the daemon to stop and wait until it says goodbye."""
        self.answer(Shutdown(), Goodbye)

    # ---- inner workings --------------------------------------------------------------------------

    def answer(self, question: Message, kind: type[Answer]) -> Answer:
        answers: list[Answer] = []
        self.ask(question, kind, answers.append)
        self._until(lambda: bool(answers))
        return answers[0]

    def _until(self, happened: Callable[[], bool]) -> None:
        """Wait for something that the daemon does at once. Raises DaemonUnavailable where it does not."""
        link, deadline = self._link, time.monotonic() + ANSWER_SECONDS
        while not happened():
            if time.monotonic() > deadline:
                raise DaemonUnavailable("no_answer", "The Glaze daemon gives no answer.", "`glaze daemon restart`.")
            self.wait(1.0)
            if self._link is not link and not happened():
                raise DaemonUnavailable("daemon_gone", "The Glaze daemon has stopped.", "Try again.")
            if self._silent_since:
                raise silent()

    def _say(self, words: str) -> None:
        if words != self.words:
            self.words = words
            if words and self._on_wait:
                self._on_wait(words)

    def _connected(self, greeted: Greeted) -> None:
        self._link, self.welcome = greeted
        if self._search:
            self._search.close()
        self._search = self.error = self._silent_since = None
        self._say("")
        for job in self._jobs.values():
            self._tell(*job.resume())

    def _trouble(self, error: DaemonUnavailable) -> None:
        """The connection is not as it should be. A silent daemon may return; after others another is looked for."""
        self._say(error.sentence)
        lost = self._link is not None
        if error.code == "daemon_silent" and (lost or any(job.open for job in self._jobs.values())):
            self._silent_since = self._silent_since or time.monotonic()
            if lost:
                return
        elif not lost or error.code not in ("daemon_gone", "not_ours"):
            self.error = error
        self.close()
        self._questions.clear()
        if not self.error:
            self._search = Search(self._name, self.start)

    def _tell(self, *messages: Message) -> None:
        for msg in messages:
            if self._link:
                try:
                    self._link.send(msg)
                except DaemonUnavailable as error:
                    self._trouble(error)

    def _receive(self, link: Link) -> None:
        for msg in link.receive():
            if self._silent_since:
                self._silent_since = None
                self._say("")
            job = self._jobs.get(getattr(msg, "job", ""))
            if job is None:
                self._answer(msg)
            elif not job.ended:
                self._tell(*job.hear(msg))

    def _answer(self, msg: Message) -> None:
        about_a_job = bool(getattr(msg, "job", ""))  # which is of no interest any more
        if isinstance(msg, Refused) and not about_a_job and self._questions and self._questions[0][0] is not Refused:
            raise DaemonUnavailable(msg.code, msg.sentence, msg.remedy)
        for number, (kind, answered) in enumerate(self._questions):
            if isinstance(msg, kind):
                del self._questions[number]
                answered(msg)
                return

    def _push(self, job: Job) -> None:
        """Send what a job needs sent now."""
        link = self._link
        if link:
            try:
                for msg in job.due(self._ahead - link.unsent):
                    link.send(msg)
            except DaemonUnavailable as error:
                self._trouble(error)
            except GlazeError as error:  # its settings cannot be sent as they are
                job.fail(BadInput(error.code, error.sentence, error.remedy))


def _telling(on_progress: OnProgress | None, on_preview: OnPreview | None) -> Listener:
    def listener(job: Job, msg: Message) -> None:
        if on_progress and isinstance(msg, (Accepted, Progress)) and job.progress:
            on_progress(job.progress)
        elif on_preview and isinstance(msg, Preview):
            on_preview(msg)

    return listener
