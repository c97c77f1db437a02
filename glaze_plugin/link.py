"""An authenticated connection to the daemon that carries messages, and notices when the daemon is gone or hangs."""

from __future__ import annotations

import errno
import select
import socket
import sys
import time

from glaze_plugin.connection import CLIENT_USER, Connection
from glaze_plugin.errors import DaemonUnavailable
from glaze_plugin.frames import MAX_HEADER, MAX_PAYLOAD, WrongVersion, from_frames, to_frames
from glaze_plugin.messages import Message
from glaze_plugin.zmtp import AccessDenied, Buffer, Dealer, ZmtpError

PING_SECONDS = 1.5
SILENCE_SECONDS = 5.0
"""s without a byte from the daemon after which it counts as hanging."""
READS = 8
"""Reads of at most 1 MiB."""
SILENTLY = getattr(socket, "MSG_NOSIGNAL", 0)
"""Krita's Python leaves SIGPIPE as the system has it, so to write to a daemon that has just died would end Krita."""
SO_NOSIGPIPE = 0x1022
"""The same for a macOS socket, whose <sys/socket.h> has it; Python has no name for it."""
UNDER_WAY = (0, errno.EINPROGRESS, errno.EWOULDBLOCK, getattr(errno, "WSAEWOULDBLOCK", 0))


class Link:
    """One TCP connection. Never blocks but in `wait`. Every trouble is a DaemonUnavailable, which ends its use.

    Its codes: `daemon_gone` (closed, or never there), `daemon_silent` (SILENCE_SECONDS without a byte), `not_ours`
    (another program, or another daemon's token), `wrong_version`.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._dealer = Dealer(CLIENT_USER, connection.token.encode(), max(MAX_HEADER, MAX_PAYLOAD))
        self._unsent: list[Buffer] = []
        self._last_heard = self._last_ping = time.monotonic()
        try:
            family, kind, proto, _, address = socket.getaddrinfo(
                connection.host, connection.port, type=socket.SOCK_STREAM
            )[0]
            self._socket = socket.socket(family, kind, proto)
        except (OSError, ValueError, OverflowError) as error:
            raise _gone() from error
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if sys.platform == "darwin":
            self._socket.setsockopt(socket.SOL_SOCKET, SO_NOSIGPIPE, 1)
        self._connected = False
        if self._socket.connect_ex(address) not in UNDER_WAY:
            self.close()
            raise _gone()

    def fileno(self) -> int:
        """For QSocketNotifier, GLib watches and select. Readable means: call `receive`."""
        return self._socket.fileno()

    @property
    def wants_write(self) -> bool:
        """True while something waits for the socket; call `flush` when it is writable."""
        return not self._connected or bool(self._unsent)

    @property
    def unsent(self) -> int:
        """Bytes that wait for the socket."""
        return sum(len(buffer) for buffer in self._unsent) + self._dealer.queued

    def send(self, msg: Message) -> None:
        self._dealer.send(to_frames(msg))
        self.flush()

    def flush(self) -> None:
        """Write what the socket takes now."""
        if not self._reached():
            return
        while True:
            if not self._unsent:
                self._unsent = self._dealer.take_output()
            if not self._unsent:
                return
            sent = 0
            try:
                for buffer in self._unsent:
                    count = self._socket.send(buffer, SILENTLY)
                    if count < len(buffer):
                        self._unsent[sent] = memoryview(buffer)[count:]
                        return
                    sent += 1
            except BlockingIOError:
                return
            except OSError as error:
                raise _gone() from error
            finally:
                del self._unsent[:sent]

    def receive(self) -> list[Message]:
        """Messages that have come, without waiting; at most READS at a time, so that no flood holds the caller."""
        messages: list[Message] = []
        for _ in range(READS):
            if not self._reached():
                break
            try:
                count = self._socket.recv_into(self._dealer.room())
            except BlockingIOError:
                break
            except OSError as error:
                raise _gone() from error
            if not count:
                if messages:
                    return messages  # the next call says that it has gone
                raise _gone()
            self._last_heard = time.monotonic()
            messages.extend(self._parse(count))
        self._heartbeat()
        self.flush()
        return messages

    def wait(self, seconds: float) -> list[Message]:
        """Messages that come within `seconds`; returns at the first ones."""
        deadline = time.monotonic() + seconds
        while True:
            self.flush()
            left = max(0.0, deadline - time.monotonic())
            writing = [self._socket] if self.wants_write else []
            select.select([self._socket], writing, writing, min(left, PING_SECONDS))
            messages = self.receive()
            if messages or time.monotonic() >= deadline:
                return messages

    def close(self) -> None:
        self._socket.close()

    def _reached(self) -> bool:
        """Whether the connection stands; it is made without waiting."""
        if not self._connected:
            _, writable, broken = select.select([], [self._socket], [self._socket], 0)
            if broken or (writable and self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)):
                raise _gone()
            self._connected = bool(writable)
        return self._connected

    def _parse(self, count: int) -> list[Message]:
        try:
            return [from_frames(frames) for frames in self._dealer.took(count)]
        except AccessDenied as error:
            raise DaemonUnavailable("not_ours", "The daemon on that port has another token.") from error
        except ZmtpError as error:
            raise DaemonUnavailable("not_ours", "Another program answers on the Glaze daemon's port.") from error
        except WrongVersion as error:
            raise DaemonUnavailable(error.code, error.sentence, error.remedy) from error

    def _heartbeat(self) -> None:
        now = time.monotonic()
        if now - self._last_ping >= PING_SECONDS:
            if now - self._last_ping > SILENCE_SECONDS:
                self._last_heard = now  # this process itself was asleep; the daemon gets its time again
            self._last_ping = now
            self._dealer.ping()
        if now - self._last_heard > SILENCE_SECONDS:
            raise silent()


def _gone() -> DaemonUnavailable:
    return DaemonUnavailable(
        "daemon_gone", "The Glaze daemon has stopped.", "Start the job again; the daemon restarts by itself."
    )


def silent() -> DaemonUnavailable:
    """What to say of a daemon that lives but does not answer."""
    return DaemonUnavailable(
        "daemon_silent",
        f"The Glaze daemon has not answered for {SILENCE_SECONDS:.0f} seconds.",
        "Wait if the machine is busy, or restart it with `glaze daemon restart`; no job is lost.",
    )
