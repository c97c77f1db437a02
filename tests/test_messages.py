"""Messages become frames and come back; anything else is refused with a sentence."""

from __future__ import annotations

import json
from typing import Any

import pytest

from glaze_plugin import messages as m
from glaze_plugin.frames import MAX_HEADER, MAX_TEXT, PROTOCOL, ProtocolError, WrongVersion, from_frames, to_frames
from glaze_plugin.raster import RasterFormat

JOB = "0123456789abcdef" * 2
LAYOUT = RasterFormat(4, 2, "RGBA", "u16")
LISTED = {"job": JOB, "kind": "protect", "label": "ä.png", "state": "running", "progress": 0.5, "submitted": 1.8e9}
MODEL = {
    "name": "sd15",
    "about": "encoder of Stable Diffusion",
    "licence": "MIT",
    "size": None,
    "exact": False,
    "here": False,
    "on_hub": True,
    "gated": False,
}

EXAMPLES: list[m.Message] = [
    m.Hello(client="krita", version="1"),
    m.Submit(
        job=JOB,
        kind="protect",
        parts=[m.Part("picture", 64, LAYOUT), m.Part("mask", 3)],
        settings={"seed": 1},
        keep=True,
    ),
    m.Upload(job=JOB, part="picture", offset=32, payload=b"x" * 32),
    m.Cancel(job=JOB),
    m.Fetch(job=JOB, part="result", offset=0, length=10),
    m.Forget(job=JOB),
    m.Watch(job=JOB),
    m.ListJobs(),
    m.AskStatus(),
    m.AskModels(),
    m.Pull(job=JOB, name="sd15"),
    m.Shutdown(),
    m.Welcome(version="1", pid=7),
    m.Accepted(job=JOB, ahead=2),
    m.Progress(job=JOB, stage="cloaking", step=3, steps=9, seconds_left=1.5),
    m.Progress(job=JOB, stage="cloaking", step=0, steps=9),
    m.Preview(job=JOB, raster=LAYOUT, payload=b"p" * 64),
    m.Done(job=JOB, parts=[m.Part("result", 5)], report={"style": "weave", "größe": [1, 2]}),
    m.Failed(job=JOB, kind="bad_input", code="too_small", sentence="Too small.", remedy="Enlarge."),
    m.Chunk(job=JOB, part="result", offset=0, payload=b"abc"),
    m.Jobs(jobs=[LISTED]),
    m.Models(models=[MODEL, {**MODEL, "size": 5}]),
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
        style="weave",
        chosen="set",
    ),
    m.Refused(code="x", sentence="No.", job=JOB),
    m.Tick(),
    m.Goodbye(),
]


def header(**changes: Any) -> bytes:
    return json.dumps({"v": PROTOCOL, "type": "cancel", "job": JOB, **changes}).encode()


def raster_job(size: int, side: int, channels: str) -> bytes:
    """The header of a job with one square raster that claims to take `size` bytes."""
    layout = {"width": side, "height": side, "channels": channels, "depth": "u8"}
    return header(type="submit", kind="protect", parts=[{"name": "a", "size": size, "raster": layout}])


def report(text: str) -> bytes:
    """The header of a `done` message with this report, which need not be JSON."""
    return header(type="done", parts=[], report=0).replace(b'"report": 0', f'"report": {text}'.encode())


@pytest.mark.parametrize("msg", EXAMPLES, ids=lambda msg: msg.type)
def test_every_message_survives_the_wire(msg: m.Message) -> None:
    assert from_frames(to_frames(msg)) == msg


def test_the_examples_are_all_messages_of_the_protocol() -> None:
    assert {msg.type for msg in EXAMPLES} == {
        name for name, cls in m.REGISTRY.items() if cls.__module__ == "glaze_plugin.messages"
    }


def test_unknown_fields_are_ignored() -> None:
    assert from_frames([header(colour="blue")]) == m.Cancel(job=JOB)


def test_what_is_too_long_to_read_is_cut_and_what_is_no_text_is_replaced() -> None:
    msg = from_frames(to_frames(m.Hello(client="\udcff.png", version="x" * 5000)))
    assert msg == m.Hello(client="?.png", version="x" * MAX_TEXT)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_is_not_finite_is_not_sent(number: float) -> None:
    with pytest.raises(ProtocolError, match="not finite"):
        to_frames(m.Done(job=JOB, parts=[], report={"psnr": number}))


def test_a_header_that_is_too_long_is_not_sent() -> None:
    with pytest.raises(ProtocolError, match="too long"):
        to_frames(m.Submit(job=JOB, kind="protect", parts=[], settings={"style": "x" * MAX_HEADER}))


def test_a_message_that_cannot_be_used_still_says_which_job_it_is_about() -> None:
    with pytest.raises(ProtocolError) as caught:
        from_frames([header(type="submit")])
    assert caught.value.job == JOB


def test_a_list_of_jobs_holds_their_known_fields_only() -> None:
    assert from_frames([header(type="jobs", jobs=[{**LISTED, "colour": "blue"}])]) == m.Jobs(jobs=[LISTED])


def test_a_list_of_models_holds_their_known_fields_only() -> None:
    assert from_frames([header(type="models", models=[{**MODEL, "colour": "blue"}])]) == m.Models(models=[MODEL])


def test_another_version_is_refused_by_name() -> None:
    with pytest.raises(WrongVersion, match=r"version 1 .* version 2"):
        from_frames([header(v=1)])


@pytest.mark.parametrize(
    ("frames", "sentence"),
    [
        ([], "missing"),
        ([b"\xff\xfe"], "not JSON"),
        ([b"[" * 100_000], "not JSON"),
        ([b"[1]"], "not a JSON object"),
        ([header(v=True)], "no version"),
        ([header(v=[[[]]])], "no version"),
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
        ([header(type="submit", kind="protect", parts=[{"name": "nul", "size": 1}])], "no usable name"),
        ([header(type="submit", kind="protect", parts=[{"name": "a", "size": 1}] * 17)], "short list"),
        ([header(type="submit", kind="protect", parts=[{"name": "a", "size": (1 << 40) - 1}] * 2)], "too large"),
        ([raster_job(4 * 10**12, 10**6, "RGBA")], "no usable size"),
        ([raster_job(9, 10**6, "RGBA")], "not supported"),
        ([raster_job(9, 2, "RGB")], "claims 9 bytes"),
        ([report("NaN")], "usable numbers"),
        ([report("[1e999]")], "usable numbers"),
        ([report("7" * 1_000_000)], "usable numbers"),
        ([report('{"a": "\\ud800"}')], "no text"),
        ([report('{"\\udc00": 1}')], "no text"),
        ([report('{"a":' * 16 + "1" + "}" * 16)], "nested too deep"),
        ([report('{"a": [' + "1e9," * 10_000 + "1]}")], "'report'"),
        ([header(type="failed", kind="k", code="c", sentence="x" * 5000)], "'sentence'"),
        ([header(type="progress", stage="s", step=1, steps=2, seconds_left=1e300)], "'seconds_left'"),
        ([header(type="progress", stage="s", step=1, steps=2, seconds_left=-1)], "'seconds_left'"),
        ([header(type="jobs", jobs=[{"job": JOB}])], "'kind'"),
        ([header(type="jobs", jobs=[LISTED] * 5000)], "'jobs'"),
        ([header(type="models", models=[{**MODEL, "size": -1}])], "'size'"),
        ([header(type="models", models=[{**MODEL, "here": 1}])], "'here'"),
        ([header(type="models", models=[MODEL] * 5000)], "'models'"),
        ([header(type="preview", raster=vars(LAYOUT)), bytes(63)], "needs 64 bytes of pixels but 63"),
    ],
)
def test_what_is_no_message_is_refused_with_a_sentence(frames: list[bytes], sentence: str) -> None:
    with pytest.raises(ProtocolError, match=sentence):
        from_frames(frames)
