"""The commands that handle pictures. Files go to the daemon and come back as bytes: nothing is decoded here."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glaze_plugin.cli.output import complain, console, figures_table, print_json, progress_bar
from glaze_plugin.cli.service import connected
from glaze_plugin.errors import BadInput, Cancelled, DaemonUnavailable, GlazeError, described

SUFFIXES = {
    **{".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp", ".tif": "tiff", ".tiff": "tiff"},
    **{".jxl": "jxl", ".avif": "avif", ".exr": "exr"},
}
READ_ONLY = {
    ".heic": ".png",
    ".heif": ".png",
    ".hif": ".png",
    ".kra": ".png",
    ".ora": ".png",
    ".psd": ".tif",
    ".psb": ".tif",
    ".xcf": ".tif",
}
"""What is only read, of documents the merged picture → what the result's name ends in."""


@dataclass(frozen=True)
class Errand:
    """One picture to cloak: where it is, where the result goes, and in which format ("" for its own)."""

    source: Path
    result: Path
    format: str
    mask: Path | None
    target: Path | None


def read(path: Path) -> bytes:
    """A file's bytes. Raises BadInput with a sentence."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise BadInput("missing_file", f"There is no file {path}.") from None
    except IsADirectoryError:
        raise BadInput("folder", f"{path} is a folder; name the pictures in it.") from None
    except OSError as error:
        raise BadInput("unreadable", f"{path} cannot be read: {error.strerror}.") from None


@contextlib.contextmanager
def writable(path: Path) -> Iterator[Path]:
    """A file beside `path` to write to; it replaces `path` when all went well and vanishes otherwise.

    It may be read and written by those who could before. Raises BadInput where the folder cannot be written, before any
    work is done.
    """
    beside = path.with_name(f".glaze-{secrets.token_hex(8)}.part")  # the name itself may be as long as one can be
    try:
        beside.touch(0o600 if path.exists() else 0o666)
        yield beside
        if path.exists():
            shutil.copymode(path, beside)
        beside.replace(path)
    except OSError as error:
        raise BadInput("unwritable", f"{path} cannot be written: {error.strerror}.") from None
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)


def make(folder: Path) -> None:
    """Make a folder, unless it is there. Raises BadInput."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput("unwritable", f"The folder {folder} cannot be made: {error.strerror}.") from None


def format_of(path: Path) -> str:
    """The picture format that a file name asks for. Raises BadInput for another suffix."""
    try:
        return SUFFIXES[path.suffix.lower()]
    except KeyError:
        raise BadInput("format", f"The name {path.name} should end in {', '.join(SUFFIXES)}.") from None


def result_name(source: Path) -> tuple[str, str]:
    """The name that a result has by itself, and its format ("" for the source's own)."""
    suffix = READ_ONLY.get(source.suffix.lower(), "")
    return (source.name + suffix, SUFFIXES[suffix]) if suffix else (source.name, "")


def place(path: Path) -> str:
    """What two names of one file have in common, be it there or not; macOS and Windows do not tell A from a."""
    whole = str(path.resolve())
    return whole.casefold() if sys.platform in ("darwin", "win32") else whole


def _known_as(path: Path) -> set[object]:
    """The file's place, and its number where it is there: a mount shows one file in two places."""
    known: set[object] = {place(path)}
    with contextlib.suppress(OSError):
        found = path.stat()
        known.add((found.st_dev, found.st_ino))
    return known


def same(one: Path, other: Path) -> bool:
    """Whether both are one file or folder, by whichever ways they are reached."""
    return not _known_as(one).isdisjoint(_known_as(other))


def spare(sources: Iterable[Path], results: Iterable[Path], remedy: str = "Name another file.") -> None:
    """Raises BadInput where a result would overwrite what it is made from."""
    kept: set[object] = set().union(*map(_known_as, sources))
    if not all(kept.isdisjoint(_known_as(result)) for result in results):
        raise BadInput("overwrite", "A result would overwrite its source.", remedy)


def plan(files: list[Path], out: str | None, in_place: bool, mask: Path | None, target: Path | None) -> list[Errand]:
    """What to do with each file. out: a file, or a folder where it is one, ends in a slash, or several files go there.

    Raises BadInput where two results or a result and a source would collide.
    """
    if in_place and out:
        raise BadInput("options", "Say either --in-place or -o, not both.")
    if target and len(files) > 1:
        raise BadInput("options", "--save-target goes with one picture at a time.")
    if target:
        format_of(target)
    folder = Path(out) if out and (Path(out).is_dir() or len(files) > 1 or out.endswith(("/", os.sep))) else None
    errands = []
    for source in files:
        if in_place:
            result, format = source.resolve(), ""  # not a link to it
            if source.suffix.lower() in READ_ONLY:
                raise BadInput("format", f"{source.name} can be read, but not written; leave --in-place out.")
        elif out and not folder:
            result, format = Path(out), format_of(Path(out))
        else:
            name, format = result_name(source)
            result = folder / name if folder else source.with_name(name).with_stem(f"{Path(name).stem}-glazed")
        errands.append(Errand(source, result, format, mask, target))
    results = [errand.result for errand in errands]
    places = set(map(place, results))
    if len(places) < len(results):
        raise BadInput("collision", "Two of the pictures would be written to the same file.")
    masks, targets = [mask] if mask else [], [target] if target else []
    if not in_place:
        spare(files, [*results, *targets], "Say --in-place if that is meant.")
    spare(masks, [*results, *targets])
    if target and place(target) in places:
        raise BadInput("collision", "The target and the result would be written to the same file.")
    if folder:
        make(folder)
    return errands


def protect(errands: list[Errand], settings: dict[str, Any], json: bool) -> int:
    """Cloak each picture; one that fails does not stop the others, Ctrl-C does. Returns the exit code."""
    code = 0
    for errand in errands:
        error = attempt(errand, settings, json)
        if error:
            code = max(code, error.exit_code)
        if isinstance(error, Cancelled):
            break
    return code


def attempt(
    errand: Errand, settings: dict[str, Any], json: bool, keep: Callable[[bytearray], None] = lambda _: None
) -> GlazeError | None:
    """Cloak one picture and tell of it. keep: called with the result's bytes, before the file is there.

    Returns what kept it from that. Raises DaemonUnavailable.
    """
    try:
        report = _protect_one(errand, settings, json, keep)
    except DaemonUnavailable:
        raise
    except KeyboardInterrupt:
        return _failed(errand, Cancelled("cancelled", "Cancelled; nothing was written."), json)
    except GlazeError as error:
        return _failed(errand, error, json)
    if json:
        print_json(report)
        return None
    console.print(f"{errand.source} → {errand.result}", soft_wrap=True)
    growth = "" if report["growth"] is None else f", {report['growth']:.2f} times the file size"
    console.print(f"{_aim(report)}, {report['seconds']:.0f} s{growth}")
    if report["chosen"] == "first picture":
        console.print("That style is kept for all your pictures; `glaze style` changes it.")
    console.print(figures_table(report))
    console.print(report["statement"])
    for note in report["notes"]:
        console.print(note)
    return None


def _aim(report: dict[str, Any]) -> str:
    """The target's style, and who painted it where that was a model of the artist's."""
    by = "" if report["painter"] in ("embedded", "given") else f" painted by {report['painter']}"
    return f"style {report['style']}{by}"


def _failed(errand: Errand, error: GlazeError, json: bool) -> GlazeError:
    """Tell of one picture's failure."""
    if json:
        print_json({"source": str(errand.source), "error": described(error)})
    complain(error, str(errand.source))
    return error


def _protect_one(
    errand: Errand, settings: dict[str, Any], json: bool, keep: Callable[[bytearray], None]
) -> dict[str, Any]:
    parts = {"picture": read(errand.source)}
    if errand.mask:
        parts["mask"] = read(errand.mask)
    with contextlib.ExitStack() as stack:
        result = stack.enter_context(writable(errand.result))
        target = stack.enter_context(writable(errand.target)) if errand.target else None
        client = stack.enter_context(connected())
        update = stack.enter_context(progress_bar(errand.source.name, not json))
        outcome = client.run(
            "protect", parts, {**settings, "format": errand.format}, label=errand.source.name, on_progress=update
        )
        result.write_bytes(outcome.parts["result"])
        keep(outcome.parts["result"])
        if target:
            target.write_bytes(outcome.parts["target"])
    return {"source": str(errand.source), "output": str(errand.result), **outcome.report}


def _pair(clean: Path, cloaked: Path, target: Path | None) -> dict[str, bytes]:
    parts = {"clean": read(clean), "cloaked": read(cloaked)}
    return parts | {"target": read(target)} if target else parts


def measure(clean: Path, cloaked: Path, target: Path | None, settings: dict[str, Any], json: bool) -> None:
    """Print the figures of a pair of pictures."""
    parts = _pair(clean, cloaked, target)
    with connected() as client, progress_bar("measuring", not json) as update:
        report = client.run("measure", parts, settings, label=cloaked.name, on_progress=update).report
    if json:
        print_json(report)
    else:
        console.print(_aim(report))
        console.print(figures_table(report))
        console.print(report["statement"])


def review(clean: Path, cloaked: Path, target: Path | None, settings: dict[str, Any], out: Path) -> None:
    """Write the review of a pair of pictures."""
    suffix = out.suffix.lower()
    if suffix not in (".html", ".png"):
        raise BadInput("format", f"The review's name {out.name} should end in .html or .png.")
    spare([clean, cloaked, *([target] if target else [])], [out])
    parts = _pair(clean, cloaked, target)
    with writable(out) as file, connected() as client, progress_bar("reviewing") as update:
        outcome = client.run(
            "review", parts, {**settings, "format": suffix[1:]}, label=cloaked.name, on_progress=update
        )
        file.write_bytes(outcome.parts["sheet"])
