"""What is fuzzed: functions that take any bytes whatsoever and raise only where the code under test is wrong.

A conversation is written as lines, so that seeds can be read and mutations stay close to messages: a header, and for
those that carry bytes a NUL and the payload.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import shutil
import socket
import struct
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast
from unittest import mock

from glaze_plugin import client as client_module
from glaze_plugin import link as link_module
from glaze_plugin import messages as m
from glaze_plugin.client import Client
from glaze_plugin.connection import CLIENT_USER, Connection
from glaze_plugin.errors import DaemonUnavailable, GlazeError
from glaze_plugin.frames import MAX_BYTES, MAX_HEADER, ProtocolError, from_frames, to_frames
from glaze_plugin.link import Link
from glaze_plugin.models import models, pull, size_words
from glaze_plugin.raster import Raster, RasterFormat
from glaze_plugin.zmtp import MAX_COMMAND, MAX_FRAMES, Body, Dealer, ZmtpError
from glaze_server import downloads as downloads_module
from glaze_server import jobs as jobs_module
from glaze_server.daemon import Daemon
from glaze_server.worker_messages import WORKER_USER

CORPUS = Path(__file__).parent / "corpus"
JOB = "0123456789abcdef" * 2
GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x01" + b"PLAIN".ljust(20, b"\0") + bytes(32)
HANDSHAKE = GREETING + b"\x04\x08\x07WELCOME" + b"\x04\x06\x05READY"
LIMIT = 1 << 12


# ---- frames ------------------------------------------------------------------------------------


def zmtp(data: bytes) -> None:
    """The client's end of ZMTP: the same in one piece as in pieces, and no more memory than was sent.

    The first byte is the size of a piece; from 128 on, the peer has done the handshake before.
    """
    if not data:
        return
    start = HANDSHAKE if data[0] & 128 else b""
    whole, pieces = Listener(), Listener()
    for listener in (whole, pieces):
        listener.hear(start)
    step = data[0] & 127 or 1
    whole.hear(data[1:])
    for offset in range(1, len(data), step):
        pieces.hear(data[offset : offset + step])
    assert whole.error == pieces.error
    assert whole.error or whole.messages == pieces.messages
    whole.dealer.ping()
    answered = sum(map(len, whole.dealer.take_output()))
    assert answered < 500, f"{answered} bytes to send"


class Listener:
    """A Dealer, what it has heard, and the sentence with which it gave up."""

    def __init__(self) -> None:
        self.dealer = Dealer(b"client", b"secret", LIMIT)
        self.messages: list[list[Body]] = []
        self.error = ""

    def hear(self, data: bytes) -> None:
        if self.error or not data:
            return
        try:
            self.messages += self.dealer.receive(data)
        except ZmtpError as error:
            self.error = str(error)
            return
        assert len(self.dealer._incoming) < 9 + (LIMIT if self.dealer.ready else MAX_COMMAND)
        assert len(self.dealer._frames) <= MAX_FRAMES


# ---- messages ----------------------------------------------------------------------------------


def messages(data: bytes) -> None:
    """Frames of either side, the worker's included: a message that comes back unchanged, or a ProtocolError."""
    with suppress(ProtocolError):
        check(from_frames(frames_of(data)))


def check(msg: m.Message) -> None:
    """Raise unless a message that was let in is harmless and can be sent on."""
    frames = to_frames(msg)
    assert len(frames[0]) <= MAX_HEADER
    assert from_frames(frames) == msg
    json.loads(bytes(frames[0]), parse_constant=never)
    show(msg)
    parts = getattr(msg, "parts", [])
    assert sum(part.size for part in parts) < MAX_BYTES
    for part in parts:
        assert not part.raster or part.raster.size == part.size
    for name in (*(part.name for part in parts), getattr(msg, "part", "a")):
        assert re.fullmatch("[a-z][a-z_]{0,31}", name)
        assert name not in ("aux", "con", "nul", "prn")
    assert re.fullmatch("[0-9a-f]{32}|", getattr(msg, "job", "")) or isinstance(msg, m.Refused)


def never(constant: str) -> None:
    raise AssertionError(f"{constant} was let in")


def frames_of(line: bytes) -> list[m.Frame]:
    header, *payload = line.split(b"\0", 1)
    return [header, *payload]


# ---- the daemon --------------------------------------------------------------------------------


def daemon(data: bytes) -> None:
    """The daemon's own dispatch: whatever clients and the worker say, it goes on.

    A line that begins with w comes from the worker, one with d from another client than the others.
    """
    one = a_daemon()
    router = cast(Router, one._router)
    without = mock.patch.object(downloads_module, "DownloadProcess", NoProcess)
    with mock.patch.object(jobs_module, "_sync"), without:
        for line in data.split(b"\n")[:20]:
            router.waiting = line
            one._receive()
            if one._worker_route:
                one._start_next()
            one._downloads.step()
    one._watch_clients()
    one._downloads.watch_clients()
    one._downloads.close()
    one._worker_route = one._ready = None
    one._stopping = False
    one._left()
    for job in one._jobs:
        if not job.end:
            one._cancel(job)
        one._jobs.forget(job.id)
    one._jobs._disk.submit(int).result()  # what was to be removed has been
    left = {path.name.split(".")[0] for path in one._jobs._folder.iterdir()}
    assert left == {"jobs"}, left


@dataclass
class Frame:
    """A libzmq frame as far as the daemon looks at it."""

    bytes: bytes
    user: str = ""

    @property
    def buffer(self) -> memoryview:
        return memoryview(self.bytes)

    def get(self, _: str) -> str:
        return self.user


class Router:
    """In the place of the daemon's socket: gives it one message and reads what it answers as a client would."""

    waiting = b""

    def recv_multipart(self, copy: bool) -> list[Frame]:
        assert not copy
        who = self.waiting[:1]
        worker = who == b"w"
        return [
            Frame(who, (WORKER_USER if worker else CLIENT_USER).decode()),
            *(Frame(bytes(frame)) for frame in frames_of(self.waiting[who in (b"w", b"d") :])),
        ]

    def send_multipart(self, frames: list[m.Frame], _: int) -> None:
        answer = from_frames(frames[1:])
        assert getattr(answer, "code", "") != "daemon_fault"


class NoProcess:
    """In the place of a download: nothing is started, and nothing comes."""

    def __init__(self, *_: object) -> None: ...

    def said(self) -> list[dict[str, Any] | None]:
        return []

    def end(self) -> None: ...


@cache
def a_daemon() -> Daemon:
    """A real one with a real store, but without its socket."""
    home = tempfile.mkdtemp(prefix="glaze-fuzz-")
    atexit.register(shutil.rmtree, home)
    with mock.patch.dict(os.environ, GLAZE_HOME=home), open(Path(home) / "lock", "w+", encoding="utf-8") as held:
        one = Daemon(Path(home) / "daemon.log", held)
    one._context.destroy(0)
    one._router = one._outbox._router = cast(Any, Router())
    one._jobs._records.execute("PRAGMA synchronous = OFF")
    return one


# ---- the client --------------------------------------------------------------------------------

LAYOUT = RasterFormat(4, 2, "RGBA", "u8")
TALKS: list[Callable[[Client], object]] = [
    lambda one: one.run("protect", {"picture": Raster(LAYOUT, bytes(32))}, {}, on_progress=show, on_preview=show),
    lambda one: one.run("review", {"clean": b"1", "cloaked": b"2"}, {}),
    lambda one: one.complete(one.watch(JOB)),
    lambda one: one.status(),
    lambda one: ["{job}{kind}{label}{state}{progress:.0%}{submitted:.0f}".format(**job) for job in one.jobs()],
    lambda one: one.cancel_job(JOB),
    lambda one: one.shutdown(),
    lambda one: [f"{model.name} {model.about} {model.licence} {size_words(model.size)}" for model in models(one)],
    lambda one: pull(one, "taesd3", show),
]


def client(data: bytes) -> None:
    """A client whose daemon is malicious or broken: it ends, with a GlazeError or with what was asked for.

    The first byte chooses what the client asks. A line that begins with ! is sent as it is, another one as a message.
    """
    if not data:
        return
    talk = TALKS[data[0] % len(TALKS)]
    said = [line[1:] if line[:1] == b"!" else framed(line) for line in data[1:].split(b"\n")]
    with suppress(GlazeError), hostile([HANDSHAKE, *said]) as link:
        talk(Client.over("fuzz", (link, m.Welcome(version="", pid=1))))


def framed(line: bytes) -> bytes:
    """A conversation's line as ZMTP frames."""
    frames = [bytes(frame) for frame in frames_of(line)]
    heads = [struct.pack(">BQ", 2 | (index < len(frames) - 1), len(frame)) for index, frame in enumerate(frames)]
    return b"".join(head + frame for head, frame in zip(heads, frames, strict=True))


def show(msg: m.Message) -> None:
    """What a host does with a message: its text goes into widgets, its pixels into a picture."""
    str(msg).encode()
    if isinstance(msg, m.Preview):
        assert len(msg.payload) == msg.raster.size
    if isinstance(msg, m.Progress) and msg.seconds_left is not None:
        time.localtime(round(msg.seconds_left))


class Nowhere:
    """In the place of the search for a daemon: none can be started after the one that was there."""

    words = ""

    def __init__(self, *_: object) -> None: ...

    def step(self) -> None:
        raise DaemonUnavailable("start_failed", "No daemon can be started.")

    def close(self) -> None: ...


class Heard(Link):
    """A link whose daemon says one piece after the other, the next one when the last has been received, and closes."""

    def __init__(self, connection: Connection, server: socket.socket, pieces: list[bytes]) -> None:
        super().__init__(connection)
        self._peer = server.accept()[0]
        self._peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # leaves no TIME_WAIT
        self._peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._pieces = iter(pieces)
        self._say_next()

    def receive(self) -> list[m.Message]:
        heard = super().receive()
        self._say_next()
        return heard

    def close(self) -> None:
        super().close()
        self._peer.close()

    def _say_next(self) -> None:
        piece = next((piece for piece in self._pieces if piece), None)
        if piece is None:
            with suppress(OSError):
                self._peer.shutdown(socket.SHUT_WR)
        else:
            self._peer.sendall(piece)


@contextmanager
def hostile(pieces: list[bytes]) -> Iterator[Link]:
    """A link to a daemon that says all that, whatever it is asked."""
    server = listening()
    host, port = server.getsockname()
    with (
        mock.patch.object(link_module, "READS", 1),
        mock.patch.object(client_module, "Search", Nowhere),
        mock.patch.object(client_module, "POLL_SECONDS", 0),
        mock.patch.object(uuid, "uuid4", return_value=uuid.UUID(JOB)),
        closing(Heard(Connection(host, port, "0" * 64, 1, "", 0.0), server, pieces)) as link,
    ):
        yield link


@cache
def listening() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


TARGETS: dict[str, Callable[[bytes], None]] = {one.__name__: one for one in (zmtp, messages, daemon, client)}
