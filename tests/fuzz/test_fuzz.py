"""Whatever bytes come: the parsers of both sides, the daemon and its client neither crash nor hang, in bounded memory.

`GLAZE_FUZZ=100 .venv/bin/python -m pytest tests/fuzz -s` takes a hundred times as many inputs, other ones each time.

What atheris finds is kept in the corpus as `crash-…` or `timeout-…`: mend the kind, then name it by what it was.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import asdict, fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from glaze_plugin import messages as m
from glaze_plugin.frames import MAX_REAL, MAX_WHOLE, PROTOCOL
from glaze_plugin.raster import CHANNEL_ORDERS, SAMPLE_BYTES, RasterFormat
from tests.conftest import ROOT
from tests.fuzz.targets import CORPUS, JOB, TALKS, TARGETS, check

TIMES = int(os.environ.get("GLAZE_FUZZ", "1"))
RUNS = {"zmtp": 20_000, "messages": 200_000, "daemon": 10_000, "client": 10_000}
"""Inputs that atheris tries."""
VALUES = ("NaN", "-Infinity", "1e999", "-1", "1.5", "true", "null", "[[", "{}", "\\ud800", "\\u0000", "../x", "nul")
"""What it puts in, beside the words of the protocol."""
LIMITS = ("-max_len=4096", "-timeout=10", "-rss_limit_mb=1024")
"""Bytes of an input, s that it may take, MB that the whole process may take."""

some = settings(
    max_examples=1000 * TIMES,
    deadline=None,
    database=None,
    derandomize=TIMES == 1,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.mark.parametrize("target", TARGETS)
def test_atheris_finds_nothing(target: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if find_spec("atheris") is None:
        pytest.skip("atheris is not there; it has no wheel for this Python or system")
    words = {name for cls in m.REGISTRY.values() for name in (cls.type, *(item.name for item in fields(cls)))}
    entries = [*(json.dumps(word) for word in sorted(words | {JOB})), *VALUES]
    (tmp_path / "words").write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    (tmp_path / "found").mkdir()
    done = subprocess.run(
        [
            *("sh", "-c", '"$@"; exit $?', "sh"),  # else libFuzzer counts this process's own peak of memory as its own
            *(sys.executable, "-m", "tests.fuzz.fuzzer", target),
            *(f"-runs={RUNS[target] * TIMES}", f"-seed={int(TIMES == 1)}", f"-dict={tmp_path / 'words'}", *LIMITS),
            *(f"-artifact_prefix={CORPUS / target}/", tmp_path / "found", CORPUS / target),
        ],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    found = re.search(r"Done (\d+) runs in (\d+) second", done.stderr)
    assert found, done.stderr[-3000:]
    with capsys.disabled():
        print(f"\natheris: {found[1]} inputs to {target} in {found[2]} s, no crash, no hang", flush=True)


# ---- hypothesis: inputs that are nearly right ---------------------------------------------------

names = st.sampled_from(["picture", "mask", "result", "sheet", "a_b"])
sides = st.integers(1, 9)
layouts = st.builds(RasterFormat, sides, sides, st.sampled_from(CHANNEL_ORDERS), st.sampled_from([*SAMPLE_BYTES]))
parts = st.builds(m.Part, names, st.integers(0, 9)) | st.builds(
    lambda name, layout: m.Part(name, layout.size, layout), names, layouts
)
whole = st.integers(0, 9) | st.integers(0, MAX_WHOLE - 1)
real = st.floats(0, MAX_REAL, exclude_max=True)
plain = st.recursive(
    st.none() | st.booleans() | whole | real | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=9,
)
anything = st.recursive(
    plain | st.floats() | st.integers() | st.text(st.characters(), max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=9,
)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "str": st.text(max_size=9),
    "bool": st.booleans(),
    "int": whole,
    "int | None": st.none() | whole,
    "float": real,
    "float | None": st.none() | real,
    "dict[str, Any]": st.dictionaries(st.text(max_size=5), plain, max_size=3),
    "list[str]": st.lists(st.text(max_size=9), max_size=3),
    "Frame": st.binary(max_size=9),
    "RasterFormat": layouts,
    "list[Part]": st.lists(parts, max_size=3),
}
SPECIAL: dict[str, st.SearchStrategy[Any]] = {
    "job": st.just(JOB),
    "part": names,
    "name": st.sampled_from(["taesd3", "nothing"]),
}


def right(cls: type[m.Message]) -> st.SearchStrategy[m.Message]:
    """Messages of a type, all about one job."""
    if cls is m.Preview:
        return layouts.map(lambda layout: m.Preview(JOB, layout, bytes(layout.size)))
    return st.builds(cls, **{one.name: value(cls, one.name, str(one.type)) for one in fields(cls)})


def value(cls: type[m.Message], name: str, annotation: str) -> st.SearchStrategy[Any]:
    if annotation == "list[dict[str, Any]]":
        entry = {name: value(cls, name, annotation) for name, annotation in cls.listed.items()}
        return st.lists(st.fixed_dictionaries(entry), max_size=3)
    return SPECIAL.get(name, FIELDS[annotation])


right_messages = st.sampled_from([*m.REGISTRY.values()]).flatmap(right)


def line(msg: m.Message, **changes: Any) -> bytes:
    """A message as the targets read it; what is changed need not be of its type, nor JSON as it should be."""
    header = {"v": PROTOCOL, "type": msg.type, **vars(msg), **changes}
    payload = header.pop("payload", None)
    text = json.dumps(header, default=asdict).encode()
    return text if payload is None else text + b"\0" + payload


@st.composite
def spoilt(draw: st.DrawFn) -> bytes:
    """A message's line, of which one field or a few bytes have become something else."""
    msg = draw(right_messages)
    if draw(st.booleans()):
        name = draw(st.sampled_from(["v", "type", *(name for name in vars(msg) if name != "payload")]))
        return line(msg, **{name: draw(anything)})
    data = line(msg)
    start = draw(st.integers(0, len(data)))
    return data[:start] + draw(st.binary(max_size=4)) + data[start + draw(st.integers(0, 4)) :]


lines = st.lists(right_messages.map(line) | spoilt(), max_size=6).map(b"\n".join)


@some
@given(right_messages)
def test_every_right_message_survives_the_wire(msg: m.Message) -> None:
    check(msg)


@some
@given(spoilt())
def test_a_spoilt_message_is_refused_or_harmless(data: bytes) -> None:
    TARGETS["messages"](data)


@some
@given(st.binary(max_size=400))
def test_the_size_of_the_reads_does_not_matter(data: bytes) -> None:
    TARGETS["zmtp"](data)


@some
@given(st.lists(st.sampled_from([b"", b"w", b"d"]), min_size=6, max_size=6), lines)
def test_the_daemon_goes_on_whatever_is_said(speakers: list[bytes], data: bytes) -> None:
    said = zip(speakers, data.split(b"\n"), strict=False)
    TARGETS["daemon"](b"\n".join(who + one for who, one in said))


@some
@given(st.integers(0, len(TALKS) - 1), lines, st.sampled_from([b"", b"\n!\xff"]))
def test_a_client_outlives_a_hostile_daemon(talk: int, data: bytes, end: bytes) -> None:
    TARGETS["client"](bytes([talk]) + data + end)
