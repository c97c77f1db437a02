"""The visible picture of a GIMP document (XCF); only read. It holds layers alone, which a GIMP 3 merges here.

GIMP runs without windows, in a profile of its own that vanishes with it, and writes a TIFF file there: with every
precision, alpha as it is, profile and metadata. Script-Fu asks for that, since it needs no Python that GIMP can use.
"""

from __future__ import annotations

import logging
import os
import re
import shlex
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil

from glaze_plugin.errors import BadInput, GlazeError
from glaze_server.engine.formats import tiff
from glaze_server.engine.formats.file import PictureFile, Wanted, check_claim, damaged
from glaze_server.engine.metadata import Metadata
from glaze_server.engine.picture import Picture

NAME = "xcf"
LEVELS = 1
MAGIC = b"gimp xcf"
LEAST_BYTES = 4
"""A px that GIMP merges takes at least so many; the TIFF reader knows how many they are."""

VARIABLE = "GLAZE_GIMP"
"""Names the command that starts GIMP, where it is not found by itself."""
NAMES = ("gimp-console-3.2", "gimp-console-3.0", "gimp-console")
FLATPAK = "org.gimp.GIMP"
OLDEST = 3
ASK_SECONDS = 30.0
MERGE_SECONDS = 300.0
"""s that GIMP may take, of which its start takes 5 to 15: it asks all of its plug-ins what they can."""

SETTINGS = """(config-version "3.0.0")
(language "C")
(swap-path "${gimp_dir}")
(temp-path "${gimp_dir}")
(save-document-history no)
(save-session-info no)
(check-updates no)
"""
"""Its messages are looked at, so they are English."""
OPTIONS = ("--no-interface", "--no-data", "--no-fonts", "--new-instance", "--quit")
SCRIPT = """(script-fu-use-v3)
(let* ((image (gimp-file-load RUN-NONINTERACTIVE (string-append gimp-directory "/picture.xcf"))))
  (if (= (gimp-image-get-base-type image) INDEXED) (gimp-image-convert-rgb image))
  (if (member (gimp-image-get-precision image) (list PRECISION-U32-LINEAR PRECISION-U32-NON-LINEAR))
      (gimp-image-convert-precision image PRECISION-FLOAT-NON-LINEAR))
  (let ((merged (gimp-layer-new-from-visible image image "merged")))
    (for-each (lambda (layer) (gimp-image-remove-layer image layer)) (vector->list (gimp-image-get-layers image)))
    (gimp-image-insert-layer image merged 0 0)
    (file-tiff-export #:run-mode RUN-NONINTERACTIVE #:image image
      #:file (string-append gimp-directory "/merged.tif") #:compression "none" #:save-transparent-pixels #t
      #:include-color-profile #t #:include-exif #t #:include-iptc #t #:include-xmp #t #:include-comment #t
      #:include-thumbnail #f)))"""
"""32 bits of integers become floats: no reader here takes them. BigTIFF would lose the metadata."""
REMEDY = "Export it from GIMP as PNG, or use Glaze inside GIMP."

log = logging.getLogger("glaze.xcf")


def holds(data: bytes) -> bool:
    return data.startswith(MAGIC)


def decode(data: bytes) -> PictureFile:
    """Raises BadInput for a damaged file or where there is no GIMP 3, GlazeError where GIMP fails or takes too long."""
    width, height = struct.unpack_from(">II", data, 14)
    check_claim(width, height, LEAST_BYTES, NAME)
    try:
        with tempfile.TemporaryDirectory(prefix="glaze-xcf-", ignore_cleanup_errors=True) as folder:
            merged = _merged(data, Path(folder))
    except OSError as error:
        raise GlazeError("disk", f"This XCF document cannot be handed to GIMP: {error.strerror}.") from error
    file = tiff.decode(merged)
    return replace(file, format=NAME, own=None, pages=(_opaque(file.pages[0]),))


def check(file: PictureFile) -> None:
    raise BadInput("format", "XCF documents are only read; choose TIFF or PNG.")


def encode(pages: Sequence[Picture], about: Metadata, file: PictureFile, wanted: Wanted) -> bytes:
    check(file)
    return b""


def _merged(data: bytes, profile: Path) -> bytes:
    """The TIFF file that GIMP makes of the document. profile: an empty folder. Raises as `decode`, and OSError."""
    (profile / "gimprc").write_text(SETTINGS, encoding="utf-8")
    command = _gimp(profile)
    (profile / "picture.xcf").write_bytes(data)
    batch = ["--batch-interpreter=plug-in-script-fu-eval", "--batch", SCRIPT]
    try:
        code, said = _run([*command, *OPTIONS, *batch], profile, MERGE_SECONDS)
    except subprocess.TimeoutExpired:
        sentence = f"GIMP did not merge the layers of this XCF document within {MERGE_SECONDS:.0f} s."
        raise GlazeError("gimp_slow", sentence, REMEDY) from None
    if "unsupported XCF" in said:
        raise BadInput("newer_xcf", "This XCF document is of a newer GIMP than the one on this computer.", REMEDY)
    if "file is corrupt" in said or "gimp-file-load failed" in said:
        raise damaged(NAME)
    merged = profile / "merged.tif"
    if code or not merged.exists():
        log.warning("GIMP ended with exit code %d: %s", code, said)
        raise GlazeError("gimp_failed", "GIMP could not merge the layers of this XCF document.", REMEDY)
    return merged.read_bytes()


def _opaque(picture: Picture) -> Picture:
    """Without its alpha, which GIMP's merged layers always have, where that hides nothing."""
    if not picture.has_alpha or (picture.samples[:, :, -1] != picture.top).any():
        return picture
    return replace(picture, samples=np.ascontiguousarray(picture.samples[:, :, :-1]), channels=picture.model)


# ---- GIMP ----------------------------------------------------------------------------------------


def _gimp(profile: Path) -> list[str]:
    """The command of a GIMP 3. Raises BadInput where there is none."""
    named = os.environ.get(VARIABLE, "")
    older = False
    for command in [_command(named)] if named else _candidates(profile):
        try:
            said = _run([*command, "--version"], profile, ASK_SECONDS)[1]
        except (OSError, subprocess.TimeoutExpired):
            continue
        version = re.search(r"(\d+)\.\d+\.\d+", said)
        if version and int(version[1]) >= OLDEST:
            return command
        older = older or bool(version)
    found = (
        f"{VARIABLE} names none"
        if named
        else f"only one older than {OLDEST}.0 was found"
        if older
        else "none was found"
    )
    sentence = f"An XCF document holds no merged picture; a GIMP {OLDEST} could merge its layers, but {found}."
    raise BadInput(
        "not_merged", sentence, f"Install GIMP {OLDEST}, export it from GIMP as PNG, or use Glaze inside GIMP."
    )


def _command(named: str) -> list[str]:
    return [named] if shutil.which(named) else shlex.split(named)


def _candidates(profile: Path) -> Iterator[list[str]]:
    """Commands that may start a GIMP without windows, the likeliest first."""
    for name in NAMES:
        if program := shutil.which(name):
            yield [program]
    if sys.platform == "win32":
        local = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "Programs"
        folders = [Path(os.environ.get("PROGRAMFILES") or "C:/Program Files"), local]
        programs = [one for folder in folders for one in sorted(folder.glob("GIMP 3/bin/gimp-console*.exe"))]
    else:
        applications = [Path("/Applications"), Path.home() / "Applications"] * (sys.platform == "darwin")
        programs = [
            one for folder in applications for one in sorted(folder.glob("GIMP*.app/Contents/MacOS/gimp-console*"))
        ]
    yield from ([str(program)] for program in programs)
    if flatpak := shutil.which("flatpak"):
        seen = (f"--filesystem={profile}", f"--env=GIMP3_DIRECTORY={profile}")
        yield [flatpak, "run", *seen, "--command=gimp-console", FLATPAK]


def _run(command: list[str], profile: Path, seconds: float) -> tuple[int, str]:
    """Exit code and words of a GIMP that has that folder as its profile.

    Raises TimeoutExpired where it ran longer and was ended, OSError where it cannot be started.
    """
    words = profile / "words.txt"
    with open(words, "wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, "GIMP3_DIRECTORY": str(profile)},
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        try:
            code = process.wait(seconds)
        finally:
            _end(process)
    return code, words.read_text(encoding="utf-8", errors="replace")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End it, if it still runs, with what it has started."""
    if process.poll() is None:
        for child in psutil.Process(process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                child.kill()
        process.kill()
        process.wait()
