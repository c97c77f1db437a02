"""Picture files in and out: the only place where a file format is decoded or encoded. One module for each format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import ModuleType
from typing import cast

from glaze_plugin.errors import BadInput, GlazeError
from glaze_server.engine import cicp
from glaze_server.engine.formats import avif, exr, heic, jpeg, jxl, painting, photoshop, png, tiff, webp, xcf
from glaze_server.engine.formats.file import Codec, PictureFile, Wanted, damaged, same
from glaze_server.engine.metadata import exif
from glaze_server.engine.picture import Picture

__all__ = ["WRITTEN", "Codec", "PictureFile", "Wanted", "check_format", "decode", "encode", "levels", "lossy"]

MODULES: tuple[ModuleType, ...] = (png, jpeg, webp, tiff, jxl, avif, heic, exr, photoshop, painting, xcf)
CODECS = {module.NAME: cast(Codec, module) for module in MODULES}
WRITTEN = ("png", "jpeg", "webp", "tiff", "jxl", "avif", "exr")
"""Formats that can be asked for."""
TURNED = ("jxl", "avif")
"""Formats that viewers do not turn as EXIF says."""
ASSOCIATED = ("tiff", "exr")
"""Formats that can hold colours that are multiplied by alpha."""
COLOURED = ("webp", "avif")
"""Formats that hold gray as RGB."""
NUMBERED = ("png", "jxl", "avif")
"""Formats that state colours by numbers, if they have no profile."""
RECORDED = ("png", "jpeg", "tiff")
"""Formats that can hold IPTC's records."""
READ_ONLY = tuple(name for name in CODECS if name not in WRITTEN)


def decode(data: bytes) -> PictureFile:
    """Decode a picture file's bytes. Raises BadInput, in one sentence, for whatever cannot be cloaked as it is."""
    if not data:
        raise BadInput("empty", "The file is empty.")
    codec = next((codec for codec in CODECS.values() if codec.holds(data)), None)
    if codec is None:
        raise BadInput(
            "not_a_picture",
            "This is no picture of a kind that Glaze reads: "
            "PNG, JPEG, WebP, TIFF, JPEG XL, AVIF, HEIC, OpenEXR, PSD, KRA, ORA or XCF.",
        )
    try:
        return codec.decode(data)
    except GlazeError:
        raise
    except MemoryError as error:
        raise BadInput("memory", "There is not enough memory to read this picture.") from error
    except Exception as error:  # whatever a damaged file makes a library raise
        raise damaged(codec.NAME) from error


def check_format(file: PictureFile, format: str) -> str:
    """The format to write, "" meaning the file's own. Raises BadInput where it cannot hold the cloaked pictures."""
    format = _written(file, format)
    if format != file.format or format == avif.NAME or (format == jxl.NAME and not file.lossy):
        CODECS[format].check(file)
    return format


def _written(file: PictureFile, format: str) -> str:
    format = format or file.format
    if format in READ_ONLY:
        raise BadInput(
            "format", f"Glaze reads {format.upper()} files but does not write them; name a PNG or TIFF file."
        )
    if format not in WRITTEN:
        sentence = f"Glaze writes PNG, JPEG, WebP, TIFF, JPEG XL, AVIF and OpenEXR files, not {format!r}."
        raise BadInput("format", sentence)
    if len(file.pages) > 1 and format != "tiff":
        raise BadInput("format", f"{format.upper()} holds one picture, and this file holds {len(file.pages)}.")
    return format


def lossy(file: PictureFile, format: str) -> bool:
    """Whether a file of that format ("" for its own) changes samples when it is written."""
    return file.lossy if file.stays(format) else format in (jpeg.NAME, avif.NAME)


def levels(file: PictureFile, format: str) -> int:
    """How many finenesses there are of the file's own lossy compression; 1 where there is nothing to choose."""
    return CODECS[file.format].LEVELS if file.lossy and file.stays(format) else 1


def encode(file: PictureFile, pages: Sequence[Picture], format: str = "", wanted: Wanted | None = None) -> bytes:
    """The bytes of `pages`, which are `file`'s with other samples, in a format that `check_format` allows."""
    wanted, format = wanted or Wanted(), _written(file, format)
    if format != file.format or not same(pages, file):
        check_format(file, format)
    about = file.about.kept(wanted.metadata, wanted.no_mining)
    if format in TURNED and file.format != format:
        pages, about = [page.turned(exif.orientation(about.exif)) for page in pages], about.upright
    if format not in RECORDED:
        about = about.without_iptc
    if format not in ASSOCIATED:
        pages = [page.straight for page in pages]
    if format not in NUMBERED:
        about = about.with_profile(pages[0].model == "G" and format not in COLOURED)
    if pages[0].model == "G" and format in COLOURED:
        about = replace(about, profile=cicp.coloured(about.profile))
    try:
        return CODECS[format].encode(pages, about, file, wanted)
    except (GlazeError, MemoryError):
        raise
    except Exception as error:  # whatever a strange file makes a library raise
        raise BadInput("format", f"This picture cannot be written as {format.upper()}.") from error
