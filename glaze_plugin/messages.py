"""Every message between a front end and the daemon, as a dataclass. docs/protocol.md says what each means and when it
comes, `frames` how it travels.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar, Union

from glaze_plugin.raster import RasterFormat

Frame = Union[bytes, bytearray, memoryview]
"""Pixels travel as views, so that a canvas is not copied to be sent."""

BAND = 1 << 20
"""Bytes that a sender puts into one payload frame, or one row where a row is longer."""


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
    """Base of every message; `payload` is the second frame of those that carry bytes.

    listed: the fields of an entry and their annotations, for those that hold a list of objects.
    """

    type: ClassVar[str] = ""
    has_payload: ClassVar[bool] = False
    listed: ClassVar[dict[str, str]] = {}


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
    keep: bool = False

    @property
    def interactive(self) -> bool:
        """Whether somebody is looking at a screen for it, so that it goes first."""
        return self.kind != "protect" or self.settings.get("quality") == "preview"


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
class AskModels(Message):
    type = "ask_models"


@message
@dataclass(frozen=True)
class Pull(Message):
    """Download an encoder. name: as `Models` lists it."""

    type = "pull"
    job: str
    name: str


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
    listed: ClassVar[dict[str, str]] = {
        "job": "str",
        "kind": "str",
        "label": "str",
        "state": "str",
        "progress": "float",
        "submitted": "float",
    }
    jobs: list[dict[str, Any]]


@message
@dataclass(frozen=True)
class Models(Message):
    """Every encoder that is known. size: bytes to download, None where unknown, about if not exact."""

    type = "models"
    listed: ClassVar[dict[str, str]] = {
        "name": "str",
        "about": "str",
        "licence": "str",
        "size": "int | None",
        "exact": "bool",
        "here": "bool",
        "on_hub": "bool",
        "gated": "bool",
    }
    models: list[dict[str, Any]]


@message
@dataclass(frozen=True)
class Status(Message):
    """style, chosen: the target style that is kept for the artist and how it was chosen, "" where none is."""

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
    style: str = ""
    chosen: str = ""


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
