"""Messages become frames and come back; anything else is refused with a sentence."""

from __future__ import annotations

import json
from typing import Any

import pytest

from glaze_plugin import messages as m
from glaze_plugin.raster import RasterFormat

JOB = "0123456789abcdef" * 2
LAYOUT = RasterFormat(4, 2, "RGBA", "u16")

EXAMPLES: list[m.Message] = [
    m.Hello(client="krita", version="1"),
    m.Submit(job=JOB, kind="protect", parts=[m.Part("picture", 64, LAYOUT), m.Part("mask", 3)], settings={"seed": 1}),
    m.Upload(job=JOB, part="picture", offset=32, payload=b"x" * 32),
    m.Cancel(job=JOB),
    m.Fetch(job=JOB, part="result", offset=0, length=10),
    m.Forget(job=JOB),
    m.Watch(job=JOB),
    m.ListJobs(),
    m.AskStatus(),
    m.Shutdown(),
    m.Welcome(version="1", pid=7),
    m.Accepted(job=JOB, ahead=2),
    m.Progress(job=JOB, stage="cloaking", step=3, steps=9, seconds_left=1.5),
    m.Progress(job=JOB, stage="cloaking", step=0, steps=9),
    m.Preview(job=JOB, raster=LAYOUT, payload=b"p" * 64),
    m.Done(job=JOB, parts=[m.Part("result", 5)], report={"style": "weave", "größe": [1, 2]}),
    m.Failed(job=JOB, kind="bad_input", code="too_small", sentence="Too small.", remedy="Enlarge."),
    m.Chunk(job=JOB, part="result", offset=0, payload=b"abc"),
    m.Jobs(jobs=[{"job": JOB}]),
    m.Status(
        version="1",
        pid=1,
        uptime=2.0,
        worker="ready",
        device="cpu",
        encoders=["embedded"],
        styles=["weave"],
        jobs_waiting=0,
        jobs_running=1,
        disk=5,
        log="log",
    ),
    m.Refused(code="x", sentence="No.", job=JOB),
    m.Tick(),
    m.Goodbye(),
]


def header(**changes: Any) -> bytes:
    return json.dumps({"v": m.PROTOCOL, "type": "cancel", "job": JOB, **changes}).encode()


def raster_job(size: int, side: int, channels: str) -> bytes:
    """The header of a job with one square raster that claims to take `size` bytes."""
    layout = {"width": side, "height": side, "channels": channels, "depth": "u8"}
    return header(type="submit", kind="protect", parts=[{"name": "a", "size": size, "raster": layout}])


@pytest.mark.parametrize("msg", EXAMPLES, ids=lambda msg: msg.type)
def test_every_message_survives_the_wire(msg: m.Message) -> None:
    assert m.from_frames(m.to_frames(msg)) == msg


def test_the_examples_are_all_messages_of_the_protocol() -> None:
    assert {msg.type for msg in EXAMPLES} == {
        name for name, cls in m.REGISTRY.items() if cls.__module__ == "glaze_plugin.messages"
    }


def test_unknown_fields_are_ignored() -> None:
    assert m.from_frames([header(colour="blue")]) == m.Cancel(job=JOB)


def test_another_version_is_refused_by_name() -> None:
    with pytest.raises(m.WrongVersion, match=r"version 2 .* version 1"):
        m.from_frames([header(v=2)])


@pytest.mark.parametrize(
    ("frames", "sentence"),
    [
        ([], "missing"),
        ([b"\xff\xfe"], "not JSON"),
        ([b"[" * 100_000], "not JSON"),
        ([b"[1]"], "not a JSON object"),
        ([header(type="explode")], "no message of the type 'explode'"),
        ([header(type=["cancel"])], "no message"),
        ([header(job="../../etc")], "'job'"),
        ([header(job=7)], "'job'"),
        ([header(), b"extra"], "with 2 frames"),
        ([header(type="fetch", part="../x", offset=0, length=1)], "'part'"),
        ([header(type="fetch", part="x", offset=-1, length=1)], "'offset'"),
        ([header(type="fetch", part="x", offset=True, length=1)], "'offset'"),
        ([header(type="upload", part="x", offset=0)], "with 1 frames"),
        ([header(type="submit", kind="protect")], "lacks its field 'parts'"),
        ([header(type="submit", kind="protect", parts=[{"name": "A", "size": 1}])], "no usable name"),
        ([header(type="submit", kind="protect", parts=[{"name": "a", "size": -1}])], "no usable size"),
        ([raster_job(4 * 10**12, 10**6, "RGBA")], "no usable size"),
        ([raster_job(9, 10**6, "RGBA")], "not supported"),
        ([raster_job(9, 2, "RGB")], "claims 9 bytes"),
    ],
)
def test_what_is_no_message_is_refused_with_a_sentence(frames: list[bytes], sentence: str) -> None:
    with pytest.raises(m.ProtocolError, match=sentence):
        m.from_frames(frames)
