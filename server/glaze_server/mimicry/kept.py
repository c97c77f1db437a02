"""What a study keeps on disk: whole files or none, so that it can be interrupted at any moment and goes on."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from glaze_plugin import places
from glaze_plugin.errors import BadInput, GlazeError
from glaze_server.engine import pixels
from glaze_server.engine.source import Input, Source

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
STUDY = "study.json"
DONE = "done"


class Kept:
    """A study's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def begin(self, study: dict[str, Any], needed: int) -> None:
        """Take the folder for a study. study: what it depends on. needed: bytes that it will take.

        Raises BadInput where the folder holds another study or cannot be written, GlazeError where the disk is full.
        """
        with _in_words(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            path = self.folder / STUDY
            if path.exists():
                if path.read_text(encoding="utf-8") != _text(study):
                    raise BadInput(
                        "other_study",
                        f"The folder {self.folder} holds a study of other pictures or settings.",
                        "Name another folder, or delete that one.",
                    )
                return
            if shutil.disk_usage(self.folder).free < needed:
                raise _full(self.folder)
            self.text(STUDY, _text(study))

    def text(self, name: str, content: str | bytes) -> Path:
        """Write a file, whole or not at all. Returns its path."""
        path = self.folder / name
        with _in_words(self.folder):
            path.parent.mkdir(parents=True, exist_ok=True)
            with places.whole(path) as beside:
                beside.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def pictures(self, name: str, found: Tensor) -> None:
        """Keep pictures (N, 3, H, W) in [0, 1] in a folder, which counts when all are there."""
        for number, picture in enumerate(found):
            self.text(f"{name}/{number:03}.png", pixels.png(picture[None]))
        self.text(f"{name}/{DONE}", str(len(found)))

    def has(self, name: str) -> bool:
        """Whether those pictures are all there."""
        return (self.folder / name / DONE).exists()

    def load(self, name: str) -> Tensor:
        """The pictures of a folder, (N, 3, H, W), 8 bits. Raises BadInput where one is gone or cannot be read."""
        with _in_words(self.folder):
            paths = sorted((self.folder / name).glob("*.png"))
            if str(len(paths)) != (self.folder / name / DONE).read_text(encoding="utf-8"):
                raise BadInput(
                    "lost_pictures",
                    f"Pictures of the study are missing in {self.folder / name}.",
                    "Delete that folder and give the same command again, which makes them anew.",
                )
            return torch.cat([Source.read(Input(path.read_bytes())).seen for path in paths])


def _text(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=1, sort_keys=True)


def _full(folder: Path) -> GlazeError:
    return GlazeError(
        "disk_full",
        f"The disk has no room for the study in {folder}.",
        "What was done is kept: make room and give the same command again.",
    )


@contextmanager
def _in_words(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise _full(folder) from error
        raise BadInput("unwritable", f"The folder {folder} cannot be used: {error.strerror}.") from error
