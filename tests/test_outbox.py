"""What goes out to a peer that is slow to read, over a real ROUTER."""

from __future__ import annotations

import time

import zmq

from glaze_plugin.errors import BadInput
from glaze_plugin.frames import from_frames
from glaze_plugin.messages import Chunk, Fetch, Goodbye, Refused
from glaze_server.outbox import Outbox

JOB = "7" * 32
LARGE = 4 << 20


def test_a_chunk_that_is_gone_before_it_goes_out_is_refused() -> None:
    """Or who asked for it would wait for ever."""
    there = True

    def read(fetch: Fetch) -> bytes:
        if not there:
            raise BadInput("unknown_job", f"There is no job {fetch.job}.")
        return bytes(LARGE)

    with zmq.Context() as context, context.socket(zmq.ROUTER) as router, context.socket(zmq.DEALER) as dealer:
        router.sndhwm = dealer.rcvhwm = 1
        dealer.rcvtimeo = 100
        router.linger = dealer.linger = 0
        router.router_mandatory = 1  # as the daemon's: or what is too much would be dropped
        dealer.connect(f"tcp://127.0.0.1:{router.bind_to_random_port('tcp://127.0.0.1')}")
        dealer.send(b"")
        peer = router.recv_multipart()[0]
        outbox = Outbox(router, read)
        sent = 0
        while not outbox.late:
            outbox.send(peer, Fetch(JOB, "result", sent * LARGE, LARGE))
            sent += 1
        outbox.send(peer, Goodbye())
        there = False
        deadline = time.monotonic() + 30
        answers: list[object] = []
        while not (answers and isinstance(answers[-1], Goodbye)):
            assert time.monotonic() < deadline
            outbox.send_late()
            try:
                answers.append(from_frames(dealer.recv_multipart()))
            except zmq.Again:
                continue
    assert [type(answer) for answer in answers] == [Chunk] * (sent - 1) + [Refused, Goodbye]
    assert answers[-2] == Refused("unknown_job", f"There is no job {JOB}.", "", JOB)
