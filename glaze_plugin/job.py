"""One job as the client that submitted or watches it sees it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from glaze_plugin.bands import Incoming
from glaze_plugin.errors import GlazeError
from glaze_plugin.messages import Message, Part, Preview, Progress

Listener = Callable[["Job", Message], None]


@dataclass
class Job:
    """What is known of it, and what its `Client` still has to do for it.

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

    @property
    def open(self) -> bool:
        """Whether the daemon still has to do it."""
        return self.state in ("sending", "waiting", "running")

    @property
    def ended(self) -> bool:
        return self.state in ("fetched", "failed")
