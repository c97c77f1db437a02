"""The hand-written ZMTP client against the real libzmq, whose own authenticator checks the credentials."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import pytest
import zmq
from zmq.auth.thread import ThreadAuthenticator

from glaze_plugin.zmtp import AccessDenied, Body, Buffer, Dealer, ZmtpError

LIMIT = 1 << 22


class Wire:
    """A Dealer on a blocking TCP socket, for tests."""

    def __init__(self, port: int, password: bytes = b"secret", chunk: int = 1 << 16, limit: int = LIMIT) -> None:
        self.dealer = Dealer(b"client", password, limit)
        self.chunk = chunk
        self.socket = socket.create_connection(("127.0.0.1", port), 5)
        self.inbox: list[list[Body]] = []

    def flush(self) -> None:
        for buffer in self.dealer.take_output():
            self.socket.sendall(buffer)

    def turn(self) -> None:
        self.flush()
        data = self.socket.recv(self.chunk)
        if not data:
            raise ZmtpError("closed")
        self.inbox += self.dealer.receive(data)
        self.flush()

    def handshake(self) -> None:
        while not self.dealer.ready:
            self.turn()

    def send(self, *frames: Buffer) -> None:
        self.dealer.send(frames)
        self.flush()

    def receive(self) -> list[Body]:
        while not self.inbox:
            self.turn()
        return self.inbox.pop(0)


@pytest.fixture
def router() -> Iterator[zmq.Socket[bytes]]:
    context = zmq.Context()
    guard = ThreadAuthenticator(context)
    guard.start()
    guard.configure_plain(domain="*", passwords={"client": "secret"})
    one = context.socket(zmq.ROUTER)
    one.plain_server = True
    one.linger = 0
    one.rcvtimeo = 5000
    yield one
    one.close()
    guard.stop()
    context.term()


def bound(router: zmq.Socket[bytes]) -> int:
    return router.bind_to_random_port("tcp://127.0.0.1")


@pytest.mark.parametrize("chunk", [1, 7, 1 << 16], ids=["a byte at a time", "odd pieces", "large reads"])
def test_messages_travel_both_ways(router: zmq.Socket[bytes], chunk: int) -> None:
    wire = Wire(bound(router), chunk=chunk)
    wire.send(b"early", b"")  # before the handshake has ended
    wire.handshake()
    route, *frames = router.recv_multipart()
    assert frames == [b"early", b""]
    for size in (0, 1, 255, 256, 5000):
        wire.send(b"h" * size, b"p")
        assert router.recv_multipart()[1:] == [b"h" * size, b"p"]
        router.send_multipart([route, b"r" * size, b"", b"z"])
        assert wire.receive() == [b"r" * size, b"", b"z"]


def test_a_canvas_travels_unharmed(router: zmq.Socket[bytes]) -> None:
    wire = Wire(bound(router))
    wire.handshake()
    band = bytes(range(256)) * 4096
    for _ in range(16):
        wire.send(b"band", memoryview(band))
        route, head, body = router.recv_multipart()
        assert (head, body) == (b"band", band)
        router.send_multipart([route, body])
        assert wire.receive() == [band]


def test_heartbeats_are_answered_and_sent(router: zmq.Socket[bytes]) -> None:
    router.heartbeat_ivl = 50
    router.heartbeat_timeout = 500
    wire = Wire(bound(router))
    wire.handshake()
    wire.send(b"hello")
    route, _ = router.recv_multipart()
    wire.socket.settimeout(0.1)
    for _ in range(12):  # longer than the time-out: without pongs libzmq would have cut the line
        with contextlib.suppress(TimeoutError):
            wire.turn()
    wire.socket.settimeout(5)
    router.send_multipart([route, b"still here"])
    assert wire.receive() == [b"still here"]
    wire.dealer.ping()
    wire.flush()
    answer = wire.socket.recv(100)
    while b"PONG" not in answer:
        answer += wire.socket.recv(100)
    assert b"\x04PONG" in answer


def test_a_wrong_password_is_an_access_error(router: zmq.Socket[bytes]) -> None:
    wire = Wire(bound(router), password=b"guess")
    with pytest.raises(AccessDenied, match="400"):
        wire.handshake()


def test_a_frame_above_the_limit_is_refused_before_it_is_stored(router: zmq.Socket[bytes]) -> None:
    wire = Wire(bound(router), limit=1000)
    wire.handshake()
    wire.send(b"hello")
    route, _ = router.recv_multipart()
    router.send_multipart([route, bytes(1001)])
    with pytest.raises(ZmtpError, match="frame of 1001 bytes"):
        wire.receive()


@pytest.mark.parametrize("security", ["NULL", "CURVE"])
def test_a_peer_with_other_security_is_refused(security: str) -> None:
    dealer = Dealer(b"client", b"secret", LIMIT)
    greeting = b"\xff" + bytes(8) + b"\x7f\x03\x01" + security.encode().ljust(20, b"\0") + bytes(32)
    with pytest.raises(ZmtpError, match="PLAIN"):
        dealer.receive(greeting)


@pytest.mark.parametrize("greeting", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", b"\x00" * 64])
def test_a_foreign_program_is_noticed_at_its_first_bytes(greeting: bytes) -> None:
    dealer = Dealer(b"client", b"secret", LIMIT)
    with pytest.raises(ZmtpError, match="does not speak ZMTP"):
        dealer.receive(greeting)


GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x01" + b"PLAIN".ljust(20, b"\0") + bytes(32)
WELCOME, READY, PING = b"\x04\x08\x07WELCOME", b"\x04\x06\x05READY", b"\x04\x07\x04PING\x00\x00"


def test_endless_small_frames_are_cut_off() -> None:
    dealer = Dealer(b"client", b"secret", LIMIT)
    dealer.receive(GREETING + WELCOME + READY)
    assert dealer.ready
    with pytest.raises(ZmtpError, match="too many frames"):
        dealer.receive(b"\x01\x00" * 100)


def test_endless_pings_get_one_pong() -> None:
    dealer = Dealer(b"client", b"secret", LIMIT)
    dealer.receive(GREETING + WELCOME + READY)
    dealer.take_output()
    dealer.receive(PING * 1000 + b"\x04\x0a\x04PING\x00\x00abc")
    assert b"".join(dealer.take_output()) == b"\x04\x08\x04PONGabc"


@pytest.mark.parametrize("commands", [READY, WELCOME + WELCOME, WELCOME + PING, WELCOME + b"\x00\x00"])
def test_a_handshake_in_another_order_is_refused(commands: bytes) -> None:
    dealer = Dealer(b"client", b"secret", LIMIT)
    with pytest.raises(ZmtpError, match=r"broke the handshake|broken command"):
        dealer.receive(GREETING + commands)


@pytest.mark.parametrize("start", [GREETING, GREETING + WELCOME + READY])
def test_a_command_is_never_long(start: bytes) -> None:
    dealer = Dealer(b"client", b"secret", LIMIT)
    with pytest.raises(ZmtpError, match="frame of 1025 bytes"):
        dealer.receive(start + b"\x06" + (1025).to_bytes(8, "big"))
