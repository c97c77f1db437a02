"""The merged picture of a Krita document (KRA) or an OpenRaster file (ORA): a PNG inside a ZIP; only read."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import replace

from glaze_plugin.errors import BadInput
from glaze_server.engine.formats import png
from glaze_server.engine.formats.file import COPIES, PictureFile, Wanted, check_memory, damaged
from glaze_server.engine.metadata import Metadata
from glaze_server.engine.picture import Picture

NAME = "kra"
LEVELS = 1
MERGED = "mergedimage.png"
MIMETYPES = (b"application/x-krita", b"image/openraster")


def holds(data: bytes) -> bool:
    """By the file that both formats put first, uncompressed."""
    return data.startswith(b"PK\3\4") and any(mimetype in data[:128] for mimetype in MIMETYPES)


def decode(data: bytes) -> PictureFile:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if MERGED not in archive.namelist():
                sentence = (
                    "This document holds no merged picture; export it as PNG, or use Glaze inside the painting program."
                )
                raise BadInput("not_merged", sentence)
            size = archive.getinfo(MERGED).file_size
            check_memory("Reading this document", COPIES * size)
            with archive.open(MERGED) as member:
                merged = member.read(size)
    except (zipfile.BadZipFile, OSError, EOFError, RuntimeError, NotImplementedError) as error:
        raise damaged(NAME) from error
    return replace(png.decode(merged), format=NAME, own=None)


def check(file: PictureFile) -> None:
    raise BadInput("format", "KRA and ORA documents are only read; choose PNG.")


def encode(pages: Sequence[Picture], about: Metadata, file: PictureFile, wanted: Wanted) -> bytes:
    check(file)
    return b""
