"""Messages to and from frames, and what is refused on the way.

On the wire a message is one JSON header frame and, for the types that carry bytes, one payload frame.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import MISSING, asdict, fields
from typing import Any

from glaze_plugin.errors import GlazeError
from glaze_plugin.messages import REGISTRY, Frame, Message, Part, Preview, Refused
from glaze_plugin.raster import RasterFormat

PROTOCOL = 2
MAX_HEADER = 1 << 20
"""Bytes of a header frame."""
MAX_PAYLOAD = 4 << 20
"""Bytes of a payload frame."""

MAX_DEPTH = 16
"""Objects and lists inside each other in a header."""
MAX_TEXT = 4096
"""Characters of a text field. A sender cuts a longer one: it is for people."""
MAX_FIELD = 1 << 16
"""Bytes of any other field as JSON in ASCII, so that a message which came in can be sent on and stored."""
MAX_LIST = 1 << 19
"""The same for the lists of jobs and of models."""
MAX_DIGITS = 32
"""Characters of a number."""
MAX_WHOLE = 1 << 53
"""What whole numbers stay below, so that a double holds them exactly."""
MAX_REAL = float(1 << 34)
"""What other numbers stay below: as Unix time, s, the year 2514, which every calendar knows."""
MAX_PARTS = 16
MAX_BYTES = 1 << 40
"""What all parts of a job together stay below."""

IDENTIFIER = re.compile(r"[0-9a-f]{32}")
PART_NAME = re.compile(r"(?!(?:aux|con|nul|prn)\Z)[a-z][a-z_]{0,31}")
"""The daemon names files so; on Windows the excluded ones are devices in every folder."""
SURROGATE = re.compile("[\ud800-\udfff]")


class ProtocolError(GlazeError):
    """A frame that is not a message of this protocol. job: the job that it names, or ""."""

    kind = "protocol"
    job = ""

    def __init__(self, sentence: str, code: str = "protocol", remedy: str = "") -> None:
        super().__init__(code, sentence, remedy)


class WrongVersion(ProtocolError):
    """The peer speaks another version of the protocol."""

    def __init__(self, version: object) -> None:
        super().__init__(
            f"The other side speaks version {version!r} of the Glaze protocol and this side version {PROTOCOL}.",
            "wrong_version",
            "After an update restart the daemon with `glaze daemon restart`; finished results are kept.",
        )


def to_frames(msg: Message) -> list[Frame]:
    """The frames of a message: [header] or [header, payload].

    Raises ProtocolError for what no receiver would take: a number that is not finite, a header that is too long.
    """
    header: dict[str, Any] = {"v": PROTOCOL, "type": msg.type}
    for name, value in vars(msg).items():
        if name != "payload":
            header[name] = value[:MAX_TEXT] if isinstance(value, str) else value
    try:
        text = json.dumps(header, default=asdict, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except ValueError:
        raise ProtocolError(f"A {msg.type} message holds a number that is not finite.") from None
    frame = text.encode(errors="replace")  # file names may hold what is no text
    if len(frame) > MAX_HEADER:
        raise ProtocolError(f"A {msg.type} message is too long.")
    return [frame, vars(msg)["payload"]] if msg.has_payload else [frame]


def from_frames(frames: Sequence[Frame]) -> Message:
    """The message in `frames`. Unknown fields are ignored. `to_frames` makes the same message of it again.

    Raises WrongVersion for another protocol version and ProtocolError for anything else that is not a message.
    """
    header = _header(frames)
    try:
        return _message(header, frames)
    except ProtocolError as error:
        job = header.get("job")
        error.job = job if isinstance(job, str) and IDENTIFIER.fullmatch(job) else ""
        raise


def _message(header: dict[str, Any], frames: Sequence[Frame]) -> Message:
    version, name = header.get("v"), header.get("type")
    if type(version) is not int:
        raise ProtocolError("The header names no version.")
    if version != PROTOCOL:
        raise WrongVersion(version)
    cls = REGISTRY.get(name) if isinstance(name, str) else None
    if cls is None:
        raise ProtocolError(f"There is no message of the type {str(name)[:40]!r}.")
    if len(frames) != (2 if cls.has_payload else 1):
        raise ProtocolError(f"A {cls.type} message came with {len(frames)} frames.")
    values: dict[str, Any] = {}
    for item in fields(cls):
        if item.name == "payload":
            values["payload"] = frames[1]
            if len(frames[1]) > MAX_PAYLOAD:
                raise ProtocolError("The payload frame is too long.")
        elif item.name in header:
            values[item.name] = _typed(cls, item.name, str(item.type), header[item.name])
        elif item.default is MISSING and item.default_factory is MISSING:
            raise ProtocolError(f"The {cls.type} message lacks its field {item.name!r}.")
    msg = cls(**values)
    if isinstance(msg, Preview) and len(msg.payload) != msg.raster.size:
        raise ProtocolError(f"A preview needs {msg.raster.size} bytes of pixels but {len(msg.payload)} came.")
    return msg


def _header(frames: Sequence[Frame]) -> dict[str, Any]:
    """The header frame's object: finite numbers, well-formed text, no deeper than MAX_DEPTH."""
    if not frames or len(frames[0]) > MAX_HEADER:
        raise ProtocolError("The header frame is missing or too long.")
    try:
        header = DECODER.decode(bytes(frames[0]).decode())
    except (ValueError, RecursionError):
        raise ProtocolError("The header frame is not JSON, or not with usable numbers.") from None
    if not isinstance(header, dict):
        raise ProtocolError("The header frame is not a JSON object.")
    if not _plain(header, MAX_DEPTH):
        raise ProtocolError("The header frame is nested too deep, or holds what is no text.")
    return header


def _number(text: str) -> int | float:
    """A finite number. Bounded first: Python 3.10 takes time that grows with the square of a whole number's digits."""
    if len(text) > MAX_DIGITS:
        raise ValueError(text)
    value = float(text) if "." in text or "e" in text.lower() else int(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _refuse(text: str) -> Any:
    raise ValueError(text)


DECODER = json.JSONDecoder(parse_float=_number, parse_int=_number, parse_constant=_refuse)
"""JSON as its standard has it: Python itself would also take NaN, Infinity and numbers that overflow to it."""


def _plain(value: Any, depth: int) -> bool:
    """Whether a value is nested at most `depth` deep and all text can be encoded: JSON can escape half a pair."""
    if isinstance(value, str):
        return not SURROGATE.search(value)
    if isinstance(value, dict):
        return depth > 0 and all(_plain(key, 0) and _plain(one, depth - 1) for key, one in value.items())
    if isinstance(value, list):
        return depth > 0 and all(_plain(one, depth - 1) for one in value)
    return True


def _typed(cls: type[Message], name: str, annotation: str, value: Any) -> Any:
    """`value` as the annotation says, or ProtocolError. Only the annotations used above are known."""
    good: bool
    if annotation == "str":
        good = isinstance(value, str) and len(value) <= MAX_TEXT
        if good and name == "job" and cls is not Refused:
            good = IDENTIFIER.fullmatch(value) is not None
        if good and name == "part":
            good = PART_NAME.fullmatch(value) is not None
    elif annotation == "bool":
        good = type(value) is bool
    elif annotation in ("int", "int | None"):
        good = (value is None and annotation != "int") or (type(value) is int and 0 <= value < MAX_WHOLE)
    elif annotation in ("float", "float | None"):
        good = (value is None and annotation != "float") or (type(value) in (int, float) and 0 <= value < MAX_REAL)
    elif annotation == "dict[str, Any]":
        good = isinstance(value, dict) and len(json.dumps(value)) <= MAX_FIELD
    elif annotation == "list[dict[str, Any]]":
        good = isinstance(value, list) and all(isinstance(one, dict) for one in value)
        value = [_listed(cls, one) for one in value] if good else None
        good = good and len(json.dumps(value)) <= MAX_LIST
    elif annotation == "list[str]":
        good = isinstance(value, list) and all(isinstance(one, str) for one in value)
        good = good and len(json.dumps(value)) <= MAX_FIELD
    elif annotation == "RasterFormat":
        return _raster_format(value)
    elif annotation == "list[Part]":
        if not isinstance(value, list) or len(value) > MAX_PARTS:
            raise ProtocolError("The parts of a job are not a short list.")
        parts = [_part(one) for one in value]
        if sum(part.size for part in parts) >= MAX_BYTES:
            raise ProtocolError("The parts of a job are too large.")
        return parts
    else:
        raise AssertionError(f"no rule for the annotation {annotation!r}")
    if not good:
        raise ProtocolError(f"The field {name!r} of a {cls.type} message is not usable.")
    return value


def _listed(cls: type[Message], value: dict[str, Any]) -> dict[str, Any]:
    return {name: _typed(cls, name, annotation, value.get(name)) for name, annotation in cls.listed.items()}


def _part(value: Any) -> Part:
    if not isinstance(value, dict):
        raise ProtocolError("A part is not an object.")
    name, size, raster = value.get("name"), value.get("size"), value.get("raster")
    if not isinstance(name, str) or not PART_NAME.fullmatch(name):
        raise ProtocolError("A part has no usable name.")
    if type(size) is not int or not 0 <= size < MAX_BYTES:
        raise ProtocolError(f"The part {name!r} has no usable size.")
    layout = None if raster is None else _raster_format(raster)
    if layout is not None and layout.size != size:
        raise ProtocolError(f"The part {name!r} claims {size} bytes, but its pixels need {layout.size}.")
    return Part(name, size, layout)


def _raster_format(value: Any) -> RasterFormat:
    if not isinstance(value, dict):
        raise ProtocolError("A raster format is not an object.")
    width, height = value.get("width"), value.get("height")
    channels, depth = value.get("channels"), value.get("depth")
    if type(width) is not int or type(height) is not int or type(channels) is not str or type(depth) is not str:
        raise ProtocolError("A raster format lacks a field.")
    layout = RasterFormat(width, height, channels, depth)
    try:
        layout.check()
    except GlazeError as error:
        raise ProtocolError(error.sentence, error.code) from None
    return layout
