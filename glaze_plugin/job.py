"""One job as the client that submitted or watches it sees it: what the daemon says of it, and what is said in turn."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from glaze_plugin.bands import Incoming, Sink
from glaze_plugin.errors import Cancelled, GlazeError, rebuild
from glaze_plugin.messages import (
    Accepted,
    Cancel,
    Chunk,
    Done,
    Failed,
    Message,
    Part,
    Preview,
    Progress,
    Refused,
    Watch,
)

NEWS_SECONDS = 10.0
"""s without news of an open job after which the daemon is asked for it: a message may have been missed."""
RESUBMIT_SECONDS = 0.3
RESUBMITS = 60
LARGEST_RESULT = 4 << 30
"""Bytes; a daemon that claims more is not believed."""

Listener = Callable[["Job", Message], None]


@dataclass
class Job:
    """What is known of it, and what still has to be said for it. What its methods return or yield is to be sent.

    state: "sending", "waiting", "running", "done" (its result waits at the daemon), "fetching", "fetched", "failed".
    known: whether the daemon has spoken of it yet. layouts: every part that the job has made. parts: bytes of each
    fetched part that has no sink. error: why it failed.
    """

    id: str
    listener: Listener | None = None
    state: str = "waiting"
    known: bool = False
    progress: Progress | None = None
    preview: Preview | None = None
    report: dict[str, Any] = field(default_factory=dict)
    layouts: dict[str, Part] = field(default_factory=dict)
    parts: dict[str, bytearray] = field(default_factory=dict)
    error: GlazeError | None = None
    _messages: Callable[[], Iterator[Message]] | None = None
    _outgoing: Iterator[Message] | None = None
    _begun: bool = True
    _cancelling: bool = False
    _fetching: list[Incoming] = field(default_factory=list)
    _asked: float = -math.inf
    _resubmit_at: float = math.inf
    _resubmits: int = 0

    @classmethod
    def begin(cls, id: str, messages: Callable[[], Iterator[Message]], listener: Listener | None) -> Job:
        """A new one. messages: makes those that submit it, perhaps more than once."""
        return cls(id, listener, "sending", _messages=messages, _outgoing=messages(), _begun=False)

    @property
    def open(self) -> bool:
        """Whether the daemon still has to do it."""
        return self.state in ("sending", "waiting", "running")

    @property
    def ended(self) -> bool:
        return self.state in ("fetched", "failed")

    @property
    def sending(self) -> bool:
        """Whether some of it still has to be sent."""
        return self._outgoing is not None

    def fetch(self, names: Iterable[str], sinks: Mapping[str, Sink], ahead: int, band: int) -> list[Message]:
        """Get what it has made, as `Client.fetch` says; it must be "done"."""
        fetched_before = self.state == "fetched"  # perhaps from a daemon that has gone since
        self.state = "fetching"
        self._fetching = [
            Incoming(part, sinks.get(name), ahead, band)
            for name, part in self.layouts.items()
            if not names or name in names
        ]
        return [Watch(job=self.id)] if fetched_before else []

    def cancel(self) -> list[Message]:
        """End it; it has "failed" with the error Cancelled when that has come."""
        if not self._begun:
            self.fail(Cancelled("cancelled", "The job was cancelled."))
        elif self.open:
            self._cancelling = True
            self._sent()
            return [Cancel(job=self.id)]
        return []

    def resume(self) -> list[Message]:
        """Go on over a new connection: the daemon there may know it, or not; then it is submitted again."""
        for incoming in self._fetching:
            incoming.restart()
        if not self._begun or self.ended:
            return []
        self._outgoing, self._asked = None, time.monotonic()
        return [Watch(job=self.id)]

    def due(self, room: int) -> Iterator[Message]:
        """What is to be said now. room: bytes that the pictures in it may have, one band at least where it is above 0.

        Raises what reading the picture raises.
        """
        now = time.monotonic()
        if now >= self._resubmit_at and self._messages:
            self._outgoing, self._resubmit_at = self._messages(), math.inf
        while self._outgoing and room > 0:
            self._begun, self._asked = True, now
            msg = next(self._outgoing, None)
            if msg is None:
                self._outgoing = None
                break
            room -= len(getattr(msg, "payload", b""))
            yield msg
        if self.open and self._begun and not self._outgoing and now - self._asked > NEWS_SECONDS:
            self._asked = now
            yield Watch(job=self.id)
        while self._fetching and self._fetching[0].come == self._fetching[0].part.size:
            done = self._fetching.pop(0)
            if done.data or not done.part.size:
                self.parts[done.part.name] = done.data
        if self._fetching:
            yield from self._fetching[0].questions(self.id)
        elif self.state == "fetching":
            self.state = "fetched"
            self._tell(Done(self.id, list(self.layouts.values()), self.report))

    def hear(self, msg: Message) -> list[Message]:
        """Take in what the daemon says of it."""
        self.known, self._asked = True, time.monotonic()
        if isinstance(msg, (Accepted, Progress, Done)) and not self.open:
            return []
        answers: list[Message] = []
        if isinstance(msg, Accepted):
            self._sent()
            if self._cancelling:
                answers.append(Cancel(job=self.id))
            self.state = "waiting"
            self.progress = Progress(job=self.id, stage="waiting", step=0, steps=0)
        elif isinstance(msg, Progress):
            self.state, self.progress = "running", msg
        elif isinstance(msg, Preview):
            self.preview = msg
        elif isinstance(msg, Done):
            if sum(part.size for part in msg.parts) > LARGEST_RESULT:
                self.fail(GlazeError("result_size", "The daemon claims a result that is too large."), msg)
                return []
            self.report, self.layouts = msg.report, {part.name: part for part in msg.parts}
            self.state = "done"
            self._sent()
        elif isinstance(msg, Chunk) and self._fetching:
            try:
                self._fetching[0].take(msg)
            except GlazeError as error:
                self.fail(error, msg)
                return []
        elif isinstance(msg, Failed):
            self.fail(rebuild(msg.kind, msg.code, msg.sentence, msg.remedy), msg)
            return []
        elif isinstance(msg, Refused):
            return self._refused(msg)
        self._tell(msg)
        return answers

    def fail(self, error: GlazeError, msg: Message | None = None) -> None:
        """It has ended. msg: which said so, if any did."""
        self.state, self.error = "failed", error
        self._sent()
        self._fetching.clear()
        self._tell(msg or Failed(self.id, error.kind, error.code, error.sentence, error.remedy))

    def _refused(self, msg: Refused) -> list[Message]:
        if msg.code == "unknown_job" and self._cancelling:
            self.fail(Cancelled("cancelled", "The job was cancelled."), msg)
        elif msg.code == "unknown_job" and self._resubmit_at < math.inf:
            pass  # several of its messages may be refused at once
        elif msg.code == "unknown_job" and self._messages and self._resubmits < RESUBMITS:  # it had not come whole
            self._outgoing = None
            self._resubmits += 1
            self._resubmit_at = time.monotonic() + RESUBMIT_SECONDS
        elif msg.code == "duplicate_job":  # the daemon has it from an earlier connection, in part or whole
            if self._messages:
                self._outgoing = None
                return [Watch(job=self.id)]
        elif msg.code != "not_yours" or not self.open:  # that is said of bands which follow such a duplicate
            self.fail(rebuild("bad_input", msg.code, msg.sentence, msg.remedy), msg)
        return []

    def _sent(self) -> None:
        """Nothing more of it is to be sent."""
        self._messages = self._outgoing = None
        self._resubmit_at = math.inf

    def _tell(self, msg: Message) -> None:
        if self.listener:
            self.listener(self, msg)
