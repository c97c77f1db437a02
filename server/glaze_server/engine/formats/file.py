"""What every format's module is given and gives, and the checks that all of them make."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import psutil

from glaze_plugin.errors import BadInput
from glaze_plugin.raster import MAX_PIXELS, MAX_SIDE
from glaze_server.engine.metadata import SAFE, Metadata
from glaze_server.engine.picture import Picture

MAX_PAGES = 1000
COPIES = 3
"""How often the samples lie in memory while a file is read: packed, unpacked, put in order."""


@dataclass(frozen=True)
class PictureFile:
    """A decoded file. pages: its pictures; all formats but TIFF have one. data: its bytes as they came.

    lossy: whether its compression changes samples. narrow: whether its samples have too few levels for a cloak, as with
    a palette or 1 to 4 bits, so that `pages` hold more than the file. own: what its format's module must know of it.
    """

    format: str
    pages: tuple[Picture, ...]
    about: Metadata
    data: bytes
    lossy: bool = False
    narrow: bool = False
    own: Any = None

    def stays(self, format: str) -> bool:
        """Whether it is written in the format in which it came; "" means that."""
        return format in ("", self.format)


@dataclass(frozen=True)
class Wanted:
    """How a file is written. level: 0 for the file's own compression, more for finer (`Codec.LEVELS`).

    metadata: one of `metadata.MODES`. no_mining: whether data mining is declared prohibited.
    """

    level: int = 0
    metadata: str = SAFE
    no_mining: bool = False


class Codec(Protocol):
    """One format's module."""

    NAME: str
    LEVELS: int
    """Finenesses of lossy compression."""

    def holds(self, data: bytes) -> bool:
        """Whether a file begins as this format does."""

    def decode(self, data: bytes) -> PictureFile:
        """Raises BadInput, or whatever its library raises for a damaged file."""

    def check(self, file: PictureFile) -> None:
        """Raise BadInput where the format cannot hold such pictures with such colours."""

    def encode(self, pages: Sequence[Picture], about: Metadata, file: PictureFile, wanted: Wanted) -> bytes:
        """The bytes of a file. about: what is told of it. file: where it came from, perhaps of another format."""


def damaged(format: str) -> BadInput:
    return BadInput("damaged", f"This {format.upper()} file is damaged or cut short.")


def check_claim(width: int, height: int, bytes_per_pixel: float, format: str) -> None:
    """Refuse a size that a file's header claims, before memory is taken."""
    check_claims([(width, height, bytes_per_pixel)], format)


def check_claims(pages: Sequence[tuple[int, int, float]], format: str) -> None:
    """The same for all pages together, which are read one after the other and then all lie in memory.

    pages: width, height and bytes per pixel of each.
    """
    what = f"these {len(pages)} pages"
    for width, height, _ in pages:
        if width < 1 or height < 1:
            raise damaged(format)
        size = f"{width}×{height} px"
        if width > MAX_SIDE or height > MAX_SIDE or width * height > MAX_PIXELS:
            raise BadInput("too_large", f"This picture is {size}, which is too large to cloak.")
        what = f"this picture of {size}" if len(pages) == 1 else what
    sizes = [width * height * depth for width, height, depth in pages]
    check_memory(f"Reading {what}", sum(sizes) + (COPIES - 1) * max(sizes))


def check_memory(what: str, need: float) -> None:
    """Refuse what takes more bytes than are free, before the system ends the process. what: begins the sentence."""
    free = free_memory()
    if need > free:
        raise BadInput("too_large", f"{what} takes {_gb(need)} of memory, and {_gb(free)} are free.")


def _gb(size: float) -> str:
    return f"{size / 1e9:.1f} GB"


def free_memory() -> float:
    """Bytes that this process may still take."""
    free = float(psutil.virtual_memory().available)
    with suppress(ImportError, OSError):
        import resource  # not on Windows

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit != resource.RLIM_INFINITY:
            free = min(free, float(limit - psutil.Process().memory_info().vms))
    return free


def coarsest(levels: int, packed: Callable[[int], bytes], file: PictureFile) -> int:
    """The first of so many finenesses at which the file's own picture becomes no smaller than it came.

    Files that do not say with which fineness they were made are packed again with this one, or a finer one.
    """
    told = file.about
    size = len(file.data) - len(told.profile) - len(told.exif) - len(told.xmp)
    low, high = 0, levels - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if len(packed(middle)) >= size else (middle + 1, high)
    return low


def same(pages: Sequence[Picture], file: PictureFile) -> bool:
    """Whether the file's samples are wanted back as they were."""
    return len(pages) == len(file.pages) and all(map(unchanged, pages, file.pages))


def unchanged(new: Picture, old: Picture) -> bool:
    """Whether two pictures have the same samples, to the bit."""
    return new is old or np.array_equal(
        new.samples.view(f"V{new.samples.itemsize}"), old.samples.view(f"V{old.samples.itemsize}")
    )
