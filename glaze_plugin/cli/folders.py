"""`glaze protect FOLDER -o OUT`: every picture below a folder, done once; `--watch` waits for more.

What was done is kept in a file of OUT: a picture whose content, settings and result are those that it names is skipped.
"""

from __future__ import annotations

import hashlib
import json as json_
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from glaze_plugin import __version__
from glaze_plugin.cli.output import complain, console, print_json
from glaze_plugin.cli.pictures import READ_ONLY, SUFFIXES, Errand, attempt, read, result_name, same, spare, writable
from glaze_plugin.errors import BadInput, Cancelled, GlazeError, described

LEDGER = ".glaze-done.json"
WATCH_SECONDS = 2.0
"""s between two looks at a watched folder; a file that changed since the last look is still being written."""


@dataclass
class Tally:
    """What became of the pictures of a folder."""

    cloaked: int = 0
    skipped: int = 0
    failures: dict[str, GlazeError] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        return max((error.exit_code for error in self.failures.values()), default=0)

    def tell(self, json: bool) -> None:
        """The summary, with every failure again."""
        if json:
            failures = {source: described(error) for source, error in self.failures.items()}
            print_json({"cloaked": self.cloaked, "skipped": self.skipped, "failures": failures})
            return
        done = f"{self.cloaked} cloaked, {self.skipped} done before, {len(self.failures)} failed."
        console.print(done)
        for source, error in self.failures.items():
            complain(error, source)


class Ledger:
    """Which pictures were done: source → key of content and settings, and hash of the result."""

    def __init__(self, out: Path) -> None:
        self._path = out / LEDGER
        try:
            found = json_.loads(self._path.read_text(encoding="utf-8"))
            self._done: dict[str, Any] = found if isinstance(found, dict) else {}
        except (OSError, ValueError):
            self._done = {}

    def has(self, name: str, key: str, result: Path) -> bool:
        """Whether this content was done with these settings, and the result lies there still."""
        try:
            return self._done.get(name) == [key, _hash(result.read_bytes())]
        except OSError:
            return False

    def add(self, name: str, key: str, result: Path) -> None:
        """Note that it is done. Raises BadInput where that cannot be written."""
        self._done[name] = [key, _hash(read(result))]
        with writable(self._path) as beside:
            beside.write_text(json_.dumps(self._done, indent=1, sort_keys=True), encoding="utf-8")


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def check(folder: Path, out: str | None, in_place: bool, target: Path | None) -> Path:
    """The folder that results go to. Raises BadInput where that cannot be."""
    if in_place or target:
        raise BadInput("options", f"{folder} is a folder: --in-place and --save-target go with files alone.")
    if not out:
        raise BadInput("folder", f"{folder} is a folder; say with -o to which folder its cloaked pictures go.")
    there = Path(out)
    if same(there, folder):
        raise BadInput("overwrite", "The results would overwrite their sources.", "Name another folder.")
    try:
        there.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput("unwritable", f"The folder {there} cannot be made: {error.strerror}.") from None
    return there


def pictures(folder: Path, out: Path) -> Iterator[Path]:
    """Every picture below the folder in the order of its name; nothing hidden, and not the results."""
    for place, folders, files in os.walk(folder):
        here = Path(place)
        folders[:] = sorted(name for name in folders if not name.startswith(".") and not same(here / name, out))
        for name in sorted(files):
            if Path(name).suffix.lower() in SUFFIXES.keys() | READ_ONLY.keys() and not name.startswith("."):
                yield here / name


def protect(folder: Path, out: Path, mask: Path | None, settings: dict[str, Any], json: bool, watch: bool) -> int:
    """Cloak the folder's pictures, and with `watch` those that come, until Ctrl-C. Returns the exit code."""
    tally, ledger = Tally(), Ledger(out)
    seen: dict[Path, tuple[str, tuple[int, int]]] = {}
    try:
        while True:
            waiting = {path: _stamp(path) for path in pictures(folder, out)}
            for path, stamp in waiting.items():
                if stamp is None or seen.get(path) == ("done", stamp) or (watch and seen.get(path) != ("new", stamp)):
                    continue
                if not _one(path, folder, out, mask, settings, json, tally, ledger):
                    return _ended(tally, json, Cancelled.exit_code)
                seen[path] = ("done", stamp)
            if not watch:
                return _ended(tally, json, tally.exit_code)
            for path, stamp in waiting.items():
                if stamp and seen.get(path) != ("done", stamp):
                    seen[path] = ("new", stamp)
            time.sleep(WATCH_SECONDS)
    except KeyboardInterrupt:
        return _ended(tally, json, tally.exit_code if watch else Cancelled.exit_code)


def _ended(tally: Tally, json: bool, code: int) -> int:
    tally.tell(json)
    return code


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def _one(
    path: Path,
    folder: Path,
    out: Path,
    mask: Path | None,
    settings: dict[str, Any],
    json: bool,
    tally: Tally,
    ledger: Ledger,
) -> bool:
    """Cloak one picture, unless that was done. Returns whether to go on."""
    name = path.relative_to(folder).as_posix()
    own_name, format = result_name(path)
    result = out / path.relative_to(folder).with_name(own_name)
    try:
        spare([path, *([mask] if mask else [])], [result])
        if _among_sources(result, folder, out):
            raise BadInput("overwrite", f"{result} may be a source itself.", "Name another folder.")
        masked = read(mask) if mask else b""
        key = _hash(read(path) + masked + json_.dumps([__version__, settings], sort_keys=True).encode())
        if ledger.has(name, key, result):
            tally.skipped += 1
            return True
        result.parent.mkdir(parents=True, exist_ok=True)
    except BadInput as error:
        return _note(path, error, tally)
    except OSError as error:
        sentence = f"The folder {result.parent} cannot be made: {error.strerror}."
        return _note(path, BadInput("unwritable", sentence), tally)
    failed = attempt(Errand(path, result, format, mask, None), settings, json)
    if failed:
        tally.failures[str(path)] = failed
        return not isinstance(failed, Cancelled)
    tally.failures.pop(str(path), None)
    tally.cloaked += 1
    ledger.add(name, key, result)
    return True


def _among_sources(result: Path, folder: Path, out: Path) -> bool:
    """Whether it lies where sources lie too: results are told from those by their folder alone."""
    return _within(result.parent, folder) and not _within(out, folder)


def _within(path: Path, folder: Path) -> bool:
    whole = path.resolve()
    return any(same(one, folder) for one in (whole, *whole.parents))


def _note(path: Path, error: BadInput, tally: Tally) -> bool:
    complain(error, str(path))
    tally.failures[str(path)] = error
    return True
