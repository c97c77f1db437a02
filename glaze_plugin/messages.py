"""Every message between a front end and the daemon, as a dataclass.

docs/protocol.md says what each means and when it comes.

On the wire a message is one JSON header frame and, for the types that carry bytes, one payload frame.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any, ClassVar, TypeVar, Union

from glaze_plugin.errors import GlazeError
from glaze_plugin.raster import RasterFormat

Frame = Union[bytes, memoryview]
"""Pixels travel as views, so that a canvas is not copied to be sent."""

PROTOCOL = 1
MAX_HEADER = 1 << 20
"""Bytes of a header frame."""
MAX_PAYLOAD = 4 << 20
"""Bytes of a payload frame."""
BAND = 1 << 20
"""Bytes that a sender puts into one payload frame, or one row where a row is longer."""

IDENTIFIER = re.compile(r"[0-9a-f]{32}")
PART_NAME = re.compile(r"[a-z][a-z_]{0,31}")


class ProtocolError(GlazeError):
    """A frame that is not a message of this protocol."""

    kind = "protocol"

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


@dataclass(frozen=True)
class Part:
    """One named run of bytes that belongs to a job: ``picture``, ``mask``, ``result`` …

    size: bytes. raster: the layout where the bytes are raw pixels, None where they are a file.
    """

    name: str
    size: int
    raster: RasterFormat | None = None


@dataclass(frozen=True)
class Message:
    """Base of every message; `payload` is the second frame of those that carry bytes."""

    type: ClassVar[str] = ""
    has_payload: ClassVar[bool] = False


REGISTRY: dict[str, type[Message]] = {}
M = TypeVar("M", bound=type[Message])


def message(cls: M) -> M:
    """Register a message class under its `type`."""
    REGISTRY[cls.type] = cls
    return cls


# ---- from a client -----------------------------------------------------------------------------


@message
@dataclass(frozen=True)
class Hello(Message):
    type = "hello"
    client: str = ""
    version: str = ""


@message
@dataclass(frozen=True)
class Submit(Message):
    type = "submit"
    job: str
    kind: str
    parts: list[Part]
    settings: dict[str, Any] = field(default_factory=dict)
    label: str = ""


@message
@dataclass(frozen=True)
class Upload(Message):
    type = "upload"
    has_payload = True
    job: str
    part: str
    offset: int
    payload: Frame = b""


@message
@dataclass(frozen=True)
class Cancel(Message):
    type = "cancel"
    job: str


@message
@dataclass(frozen=True)
class Fetch(Message):
    type = "fetch"
    job: str
    part: str
    offset: int
    length: int


@message
@dataclass(frozen=True)
class Forget(Message):
    type = "forget"
    job: str


@message
@dataclass(frozen=True)
class Watch(Message):
    type = "watch"
    job: str


@message
@dataclass(frozen=True)
class ListJobs(Message):
    type = "list_jobs"


@message
@dataclass(frozen=True)
class AskStatus(Message):
    type = "ask_status"


@message
@dataclass(frozen=True)
class Shutdown(Message):
    type = "shutdown"


# ---- from the daemon ---------------------------------------------------------------------------


@message
@dataclass(frozen=True)
class Welcome(Message):
    type = "welcome"
    version: str
    pid: int


@message
@dataclass(frozen=True)
class Accepted(Message):
    type = "accepted"
    job: str
    ahead: int


@message
@dataclass(frozen=True)
class Progress(Message):
    type = "progress"
    job: str
    stage: str
    step: int
    steps: int
    seconds_left: float | None = None


@message
@dataclass(frozen=True)
class Preview(Message):
    type = "preview"
    has_payload = True
    job: str
    raster: RasterFormat
    payload: Frame = b""


@message
@dataclass(frozen=True)
class Done(Message):
    type = "done"
    job: str
    parts: list[Part]
    report: dict[str, Any] = field(default_factory=dict)


@message
@dataclass(frozen=True)
class Failed(Message):
    type = "failed"
    job: str
    kind: str
    code: str
    sentence: str
    remedy: str = ""


@message
@dataclass(frozen=True)
class Chunk(Message):
    type = "chunk"
    has_payload = True
    job: str
    part: str
    offset: int
    payload: Frame = b""


@message
@dataclass(frozen=True)
class Jobs(Message):
    type = "jobs"
    jobs: list[dict[str, Any]]


@message
@dataclass(frozen=True)
class Status(Message):
    type = "status"
    version: str
    pid: int
    uptime: float
    worker: str
    device: str
    encoders: list[str]
    styles: list[str]
    jobs_waiting: int
    jobs_running: int
    disk: int
    log: str


@message
@dataclass(frozen=True)
class Refused(Message):
    type = "refused"
    code: str
    sentence: str
    remedy: str = ""
    job: str = ""


@message
@dataclass(frozen=True)
class Tick(Message):
    type = "tick"


@message
@dataclass(frozen=True)
class Goodbye(Message):
    type = "goodbye"


# ---- to and from frames ------------------------------------------------------------------------


def to_frames(msg: Message) -> list[Frame]:
    """The frames of a message: [header] or [header, payload]."""
    values = {name: value for name, value in vars(msg).items() if name != "payload"}
    header = {"v": PROTOCOL, "type": msg.type, **values}
    frames: list[Frame] = [json.dumps(header, default=asdict, ensure_ascii=False, separators=(",", ":")).encode()]
    return [*frames, vars(msg)["payload"]] if msg.has_payload else frames


def from_frames(frames: Sequence[Frame]) -> Message:
    """The message in `frames`. Unknown fields are ignored.

    Raises WrongVersion for another protocol version and ProtocolError for anything else that is not a message.
    """
    if not frames or len(frames[0]) > MAX_HEADER:
        raise ProtocolError("The header frame is missing or too long.")
    try:
        header = json.loads(bytes(frames[0]).decode())
    except (ValueError, RecursionError):
        raise ProtocolError("The header frame is not JSON.") from None
    if not isinstance(header, dict):
        raise ProtocolError("The header frame is not a JSON object.")
    if header.get("v") != PROTOCOL:
        raise WrongVersion(header.get("v"))
    name = header.get("type")
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
    return cls(**values)


def _typed(cls: type[Message], name: str, annotation: str, value: Any) -> Any:
    """`value` as the annotation says, or ProtocolError. Only the annotations used above are known."""
    good: bool
    if annotation == "str":
        good = isinstance(value, str)
        if good and name == "job" and cls is not Refused:
            good = IDENTIFIER.fullmatch(value) is not None
        if good and name == "part":
            good = PART_NAME.fullmatch(value) is not None
    elif annotation == "int":
        good = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 53
    elif annotation in ("float", "float | None"):
        good = (value is None and annotation != "float") or (
            isinstance(value, (int, float)) and not isinstance(value, bool)
        )
    elif annotation == "dict[str, Any]":
        good = isinstance(value, dict)
    elif annotation == "list[dict[str, Any]]":
        good = isinstance(value, list) and all(isinstance(one, dict) for one in value)
    elif annotation == "list[str]":
        good = isinstance(value, list) and all(isinstance(one, str) for one in value)
    elif annotation == "RasterFormat":
        return _raster_format(value)
    elif annotation == "list[Part]":
        if not isinstance(value, list) or len(value) > 16:
            raise ProtocolError("The parts of a job are not a short list.")
        return [_part(one) for one in value]
    else:
        raise AssertionError(f"no rule for the annotation {annotation!r}")
    if not good:
        raise ProtocolError(f"The field {name!r} of a {cls.type} message is not usable.")
    return value


def _part(value: Any) -> Part:
    if not isinstance(value, dict):
        raise ProtocolError("A part is not an object.")
    name, size, raster = value.get("name"), value.get("size"), value.get("raster")
    if not isinstance(name, str) or not PART_NAME.fullmatch(name):
        raise ProtocolError("A part has no usable name.")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size < 1 << 40:
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
