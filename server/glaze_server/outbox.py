"""What goes out to clients and the worker: now, or later where one is slow to read."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable

import zmq

from glaze_plugin.errors import GlazeError
from glaze_plugin.frames import to_frames
from glaze_plugin.messages import Chunk, Fetch, Message, Preview, Progress, Refused, Tick

log = logging.getLogger("glaze.daemon")

MAX_LATE = 1000
"""Messages that wait here for one client, at most."""


class Outbox:
    """A Fetch stands for its chunk, whose bytes are read when they can go out: so little memory waits here."""

    def __init__(self, router: zmq.Socket[bytes], read: Callable[[Fetch], bytes]) -> None:
        """read: the bytes that a Fetch asks for; raises GlazeError where they are not there."""
        self._router = router
        self._read = read
        self._late: dict[bytes, deque[Message]] = {}

    @property
    def late(self) -> bool:
        """Whether something waits."""
        return bool(self._late)

    def send(self, peer: bytes | None, msg: Message) -> bool:
        """Send to one peer, later where it is slow to read; whether it is still there."""
        if peer is None:
            return False
        trouble = zmq.EAGAIN if peer in self._late else self._send_now(peer, msg)
        if trouble == zmq.EAGAIN and not isinstance(msg, (Progress, Preview, Tick)):
            late = self._late.setdefault(peer, deque())
            if len(late) < MAX_LATE:
                late.append(msg)
        return trouble != zmq.EHOSTUNREACH

    def send_late(self) -> None:
        """Try again what was too much for the peers that it is for; what is no longer there is refused."""
        for peer, late in list(self._late.items()):
            while late:
                try:
                    if self._send_now(peer, late[0]) == zmq.EAGAIN:
                        break
                except GlazeError as error:
                    log.info("a chunk is no longer there: %s", error)
                    late[0] = Refused(error.code, error.sentence, error.remedy, getattr(late[0], "job", ""))
                    continue
                late.popleft()
            else:
                del self._late[peer]

    def _send_now(self, peer: bytes, msg: Message) -> int:
        """0, zmq.EAGAIN for a peer that is slow to read, or zmq.EHOSTUNREACH for one that has gone."""
        if isinstance(msg, Fetch):
            msg = Chunk(job=msg.job, part=msg.part, offset=msg.offset, payload=self._read(msg))
        try:
            self._router.send_multipart([peer, *to_frames(msg)], zmq.NOBLOCK)
        except zmq.ZMQError as error:
            if error.errno not in (zmq.EHOSTUNREACH, zmq.EAGAIN):
                raise
            return error.errno
        return 0
