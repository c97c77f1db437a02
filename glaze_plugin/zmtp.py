"""ZMTP 3.1 in plain Python: the DEALER end of a connection with PLAIN security, as bytes in and bytes out.

No socket lives here, so the same code serves a blocking command line, a Qt notifier and a GLib watch, and can be
tested and fuzzed without a network. Specification: ZeroMQ RFC 37 (ZMTP 3.1) and RFC 24 (PLAIN).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Union

Body = Union[bytes, bytearray]
"""A frame that has come; a long one in the buffer into which it was read."""
Buffer = Union[bytes, bytearray, memoryview]

GREETING = b"\xff" + bytes(8) + b"\x7f" + b"\x03\x01" + b"PLAIN".ljust(20, b"\0") + b"\0" + bytes(31)
LIBZMQ_ERROR = b"^RROR"
"""How libzmq 4.3 spells the PLAIN server's ERROR command: its source says "\\x5ERROR", which C reads as "^RROR"."""
MORE, LONG, COMMAND = 1, 2, 4
SPACE = 1 << 16
"""Bytes that are read at once; a longer frame is read into its own buffer."""
MAX_FRAMES = 8
"""Frames in one message; a peer that sends more is cut off."""
MAX_COMMAND = 1024
"""Bytes of a command frame, and of any frame before the handshake has ended."""


class ZmtpError(OSError):
    """The peer does not speak ZMTP 3 with PLAIN, refused the credentials, or broke the framing."""


class AccessDenied(ZmtpError):
    """The peer speaks ZMTP but refused the credentials."""


class Dealer:
    """One connection's state. Feed received bytes to `receive`; send what `take_output` returns.

    username, password: at most 255 bytes each. max_frame: a larger frame is refused before it is stored, bytes.
    """

    def __init__(self, username: bytes, password: bytes, max_frame: int) -> None:
        self.max_frame = max_frame
        self.ready = False
        self._incoming = bytearray()
        self._space = memoryview(bytearray(SPACE))
        self._long: tuple[int, bytearray] | None = None
        self._missing = memoryview(b"")
        self._frames: list[Body] = []
        self._outgoing: list[Buffer] = [GREETING]
        self._held: list[Buffer] = []
        self._pong: list[Buffer] = []
        self._awaited = b"WELCOME"
        self._step: Callable[[list[list[Body]]], bool] = self._greeting
        hello = bytes([len(username)]) + username + bytes([len(password)]) + password
        self._hello = b"\x05HELLO" + hello

    # ---- output ----

    def send(self, frames: Sequence[Buffer]) -> None:
        """Queue one message. Before the handshake ends it is held back."""
        queue = self._outgoing if self.ready else self._held
        for index, frame in enumerate(frames):
            flags = MORE if index < len(frames) - 1 else 0
            queue.extend(_framed(flags, frame))

    def ping(self) -> None:
        """Queue a heartbeat; the peer answers with a pong, which `receive` swallows."""
        if self.ready:
            self._outgoing.extend(_framed(COMMAND, b"\x04PING\x00\x00"))

    @property
    def queued(self) -> int:
        """Bytes of output that have not been taken."""
        return sum(len(buffer) for buffer in self._outgoing) + sum(len(buffer) for buffer in self._held)

    def take_output(self) -> list[Buffer]:
        """Bytes to write to the socket now, in order; each buffer once."""
        output, self._outgoing, self._pong = self._outgoing + self._pong, [], []
        return output

    # ---- input ----

    def receive(self, data: Buffer) -> list[list[Body]]:
        """Take bytes from the socket and return the messages that they complete, each a list of frames.

        Raises ZmtpError when the peer breaks the protocol; the connection is then of no further use.
        """
        messages: list[list[Body]] = []
        view = memoryview(data)
        while view:
            room = self.room()[: len(view)]
            room[:] = view[: len(room)]
            view = view[len(room) :]
            messages += self.took(len(room))
        return messages

    def room(self) -> memoryview:
        """Where the next bytes belong: who reads a socket into it and then calls `took` saves copies of long frames."""
        return self._missing or self._space

    def took(self, count: int) -> list[list[Body]]:
        """The same as `receive`, for the first `count` bytes of `room()`."""
        if self._missing:
            self._missing = self._missing[count:]
        else:
            self._incoming += self._space[:count]
        messages: list[list[Body]] = []
        while self._step(messages):
            pass
        return messages

    def _greeting(self, messages: list[list[Body]]) -> bool:
        start = bytes(self._incoming[:10])
        if start and (start[0] != 0xFF or (len(start) == 10 and start[9] != 0x7F)):
            raise ZmtpError("The peer does not speak ZMTP.")
        if len(self._incoming) < 64:
            return False
        major, mechanism = self._incoming[10], bytes(self._incoming[12:32]).rstrip(b"\0")
        if major < 3 or mechanism != b"PLAIN":
            raise ZmtpError("The peer does not speak ZMTP 3 with PLAIN security.")
        del self._incoming[:64]
        self._outgoing.extend(_framed(COMMAND, self._hello))
        self._step = self._handshake
        return True

    def _handshake(self, messages: list[list[Body]]) -> bool:
        frame = self._next_frame()
        if frame is None:
            return False
        flags, body = frame
        if body.startswith(LIBZMQ_ERROR):
            body = b"\x05ERROR" + body[len(LIBZMQ_ERROR) :]
        name, rest = _command(flags, body)
        if name == b"ERROR":
            raise AccessDenied("The peer refused the credentials: " + rest[1:].decode("ascii", "replace"))
        if name != self._awaited:
            raise ZmtpError("The peer broke the handshake.")
        if name == b"WELCOME":
            metadata = b"".join(_property(*pair) for pair in ((b"Socket-Type", b"DEALER"), (b"Identity", b"")))
            self._outgoing.extend(_framed(COMMAND, b"\x08INITIATE" + metadata))
            self._awaited = b"READY"
        else:
            self.ready = True
            self._outgoing.extend(self._held)
            self._held = []
            self._step = self._traffic
        return True

    def _traffic(self, messages: list[list[Body]]) -> bool:
        frame = self._next_frame()
        if frame is None:
            return False
        flags, body = frame
        if flags & COMMAND:
            name, rest = _command(flags, body)
            if name == b"PING":
                self._pong = _framed(COMMAND, b"\x04PONG" + rest[2:18])  # the last one answers all before it
            return True
        self._frames.append(body)
        if len(self._frames) > MAX_FRAMES:
            raise ZmtpError("The peer sent a message of too many frames.")
        if not flags & MORE:
            messages.append(self._frames)
            self._frames = []
        return True

    def _next_frame(self) -> tuple[int, Body] | None:
        """The next whole frame as (flags, body), or None until more bytes come."""
        if self._missing:
            return None
        if self._long:
            frame, self._long = self._long, None
            return frame
        buffer = self._incoming
        if not buffer:
            return None
        flags = buffer[0]
        if flags & ~(MORE | LONG | COMMAND) or (flags & COMMAND and flags & MORE):
            raise ZmtpError("The peer sent a frame with unknown flags.")
        head = 9 if flags & LONG else 2
        if len(buffer) < head:
            return None
        size = struct.unpack_from(">Q", buffer, 1)[0] if flags & LONG else buffer[1]
        if size > (self.max_frame if self.ready and not flags & COMMAND else MAX_COMMAND):
            raise ZmtpError(f"The peer announced a frame of {size} bytes.")
        here = len(buffer) - head
        if here >= size:
            body = bytes(buffer[head : head + size])
            del buffer[: head + size]
            return flags, body
        if size > SPACE:
            long = bytearray(size)
            long[:here] = buffer[head:]
            self._long, self._missing = (flags, long), memoryview(long)[here:]
            buffer.clear()
        return None


def _framed(flags: int, body: Buffer) -> list[Buffer]:
    """A frame as [header, body]; the body is not copied."""
    size = len(body)
    head = bytes([flags, size]) if size < 256 else struct.pack(">BQ", flags | LONG, size)
    return [head, body] if size else [head]


def _command(flags: int, body: Body) -> tuple[Body, Body]:
    if not flags & COMMAND or not body or len(body) < 1 + body[0]:
        raise ZmtpError("The peer sent a broken command.")
    end = 1 + body[0]
    return body[1:end], body[end:]


def _property(name: bytes, value: bytes) -> bytes:
    return bytes([len(name)]) + name + struct.pack(">I", len(value)) + value
