"""Authentication of everything that connects to the daemon: a ZAP 1.0 handler (ZeroMQ RFC 27) for PLAIN."""

from __future__ import annotations

import hmac

import zmq

ENDPOINT = "inproc://zeromq.zap.01"
DOMAIN = b"glaze"


class Gatekeeper:
    """Answers libzmq's question whether a user may connect. Bind it before the guarded socket.

    tokens: user name → token. An allowed peer's messages carry its user name as their User-Id.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], tokens: dict[bytes, bytes]) -> None:
        self.socket = context.socket(zmq.REP)
        self.socket.bind(ENDPOINT)
        self._tokens = tokens

    def answer(self) -> None:
        """Answer one waiting request."""
        version, request, domain, _address, _identity, mechanism, *credentials = self.socket.recv_multipart()
        username, password = (*credentials, b"", b"")[:2]
        expected = self._tokens.get(username, b"")
        good = domain == DOMAIN and mechanism == b"PLAIN" and bool(expected) and hmac.compare_digest(expected, password)
        code, text = (b"200", b"OK") if good else (b"400", b"wrong token")
        self.socket.send_multipart([version, request, code, text, username if good else b"", b""])
