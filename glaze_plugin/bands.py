"""A job's bytes on their way: the messages that submit it, band by band, and the chunks in which its result comes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Union

from glaze_plugin.errors import GlazeError
from glaze_plugin.messages import BAND, Chunk, Fetch, Frame, Message, Part, Submit, Upload
from glaze_plugin.raster import Raster, RasterFormat

AHEAD = 4 << 20
"""Bytes of a picture that are sent in one step, and of a result that may be under way; one band at least."""


@dataclass(frozen=True)
class Stream:
    """A picture that is read while it is sent. bands: starts anew at each call; each band holds whole rows."""

    format: RasterFormat
    bands: Callable[[], Iterator[bytes]]


Content = Union[bytes, Raster, Stream]
Sink = Callable[[Frame], None]


class Incoming:
    """A part on its way: asked for up to `asked`, come up to `come`, bytes."""

    def __init__(self, part: Part, sink: Sink | None, ahead: int, band: int) -> None:
        self.part = part
        self.step = part.raster.band_rows(band) * part.raster.row_bytes if part.raster else band
        self._ahead = max(ahead, self.step)
        self.asked = self.come = 0
        self.data = bytearray(0 if sink else part.size)
        self._sink = sink or self._keep

    def questions(self, job: str) -> Iterator[Fetch]:
        """What to ask for now."""
        while self.asked < self.part.size and self.asked < self.come + self._ahead:
            length = min(self.step, self.part.size - self.asked)
            yield Fetch(job=job, part=self.part.name, offset=self.asked, length=length)
            self.asked += length

    def take(self, chunk: Chunk) -> None:
        """The next chunk. Raises GlazeError where it is not the one that was asked for."""
        length = min(self.step, self.part.size - self.come)
        if chunk.part != self.part.name or chunk.offset != self.come or len(chunk.payload) != length:
            raise GlazeError("band_size", "The daemon sent another part of the result than it was asked for.")
        self._sink(chunk.payload)
        self.come += length

    def _keep(self, payload: Frame) -> None:
        self.data[self.come : self.come + len(payload)] = payload

    def restart(self) -> None:
        """What was asked of a daemon that has gone is asked again."""
        self.asked = self.come


def submission(
    job: str, kind: str, parts: Mapping[str, Content], settings: Mapping[str, Any], label: str, keep: bool | None
) -> Iterator[Message]:
    """All messages that submit a job, in order; a band is read when its message is asked for."""
    described: list[Part] = []
    bands: list[tuple[str, Iterator[bytes | memoryview]]] = []
    for name, content in parts.items():
        if isinstance(content, bytes):
            described.append(Part(name, len(content)))
            bands.append((name, _cut(content, BAND)))
            continue
        layout = content.format
        described.append(Part(name, layout.size, layout))
        if isinstance(content, Stream):
            bands.append((name, content.bands()))
            continue
        bands.append((name, _cut(content.pixels, layout.band_rows(BAND) * layout.row_bytes)))
        if content.profile:
            described.append(Part(f"{name}_profile", len(content.profile)))
            bands.append((f"{name}_profile", _cut(content.profile, BAND)))
    submit = Submit(job=job, kind=kind, parts=described, settings=dict(settings), label=label)
    yield replace(submit, keep=not submit.interactive if keep is None else keep)
    for name, pieces in bands:
        offset = 0
        for piece in pieces:
            yield Upload(job=job, part=name, offset=offset, payload=piece)
            offset += len(piece)


def _cut(data: bytes, step: int) -> Iterator[memoryview]:
    view = memoryview(data)
    return (view[offset : offset + step] for offset in range(0, len(view), step))
