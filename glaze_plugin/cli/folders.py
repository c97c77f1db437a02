"""`glaze protect FOLDER -o OUT`: every picture below a folder, done once; `--watch` waits for more.

What was done is kept in a file of OUT: a picture whose content, settings and result are those that it names is skipped.
"""

from __future__ import annotations

import hashlib
import json as json_
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from glaze_plugin import __version__
from glaze_plugin.cli import pictures
from glaze_plugin.cli.output import complain, console, print_json
from glaze_plugin.cli.pictures import READ_ONLY, SUFFIXES, Errand, read, same, spare, writable
from glaze_plugin.errors import BadInput, Cancelled, GlazeError, described

LEDGER = ".glaze-done.json"
WATCH_SECONDS = 2.0
"""s between two looks at a watched folder; a file that changed since the last look is still being written."""
READ = tuple(SUFFIXES | READ_ONLY)
"""What the names of pictures end in."""


@dataclass
class Found:
    """What lies below a folder, hidden files and folders aside.

    pictures: in the order of their names. others: how many files are none. closed: folders that cannot be read → why.
    """

    pictures: list[Path] = field(default_factory=list)
    others: int = 0
    closed: dict[str, GlazeError] = field(default_factory=dict)


def look(folder: Path, out: Path | None = None) -> Found:
    """Look for pictures below `folder`, but not in `out`."""
    found = Found()

    def closed(error: OSError) -> None:
        sentence = f"The folder {error.filename} cannot be read: {error.strerror}."
        found.closed[str(error.filename)] = BadInput("unreadable", sentence)

    for place, folders, files in os.walk(folder, onerror=closed):
        here = Path(place)
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and not (out and same(here / name, out))
        )
        for name in sorted(files):
            if name.startswith("."):
                continue
            if Path(name).suffix.lower() in READ:
                found.pictures.append(here / name)
            else:
                found.others += 1
    return found


def no_pictures(where: str) -> BadInput:
    """What to say where there is none."""
    return BadInput("no_pictures", f"There is no picture in {where}.", f"Glaze reads {', '.join(READ)}.")


@dataclass
class Tally:
    """What became of the pictures of a folder. passed_over: files that are no pictures, by the last look."""

    cloaked: int = 0
    skipped: int = 0
    passed_over: int = 0
    failures: dict[str, GlazeError] = field(default_factory=dict)
    closed: dict[str, GlazeError] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        return max((error.exit_code for error in self._all().values()), default=0)

    def looked(self, found: Found) -> None:
        """Tell of folders that cannot be read, of each once."""
        for place, error in found.closed.items():
            if place not in self.closed:
                complain(error)
        self.closed, self.passed_over = found.closed, found.others

    def note(self, path: Path, error: GlazeError) -> None:
        """Tell of a picture's failure."""
        complain(error, str(path))
        self.failures[str(path)] = error

    def tell(self, json: bool) -> None:
        """The summary, with every failure again."""
        failures = self._all()
        if json:
            failed = {source: described(error) for source, error in failures.items()}
            counts = {"cloaked": self.cloaked, "skipped": self.skipped, "passed_over": self.passed_over}
            print_json({**counts, "failures": failed})
            return
        done = f"{self.cloaked} cloaked, {self.skipped} done before, {len(failures)} failed"
        console.print(f"{done}, {self.passed_over} passed over as no pictures.")
        for source, error in failures.items():
            complain(error, source)

    def _all(self) -> dict[str, GlazeError]:
        return self.closed | self.failures


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

    def add(self, name: str, key: str, result: bytearray) -> None:
        """Note that it is done. Raises BadInput where that cannot be written."""
        self._done[name] = [key, _hash(result)]
        with writable(self._path) as beside:
            beside.write_text(json_.dumps(self._done, indent=1, sort_keys=True), encoding="utf-8")


def _hash(data: bytes | bytearray) -> str:
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
    pictures.make(there)
    return there


def protect(folder: Path, out: Path, mask: Path | None, settings: dict[str, Any], json: bool, watch: bool) -> int:
    """Cloak the folder's pictures, and with `watch` those that come, until Ctrl-C. Returns the exit code.

    Raises BadInput where there is none, unless some may come.
    """
    tally = Tally()
    work = _Work(folder, out, mask, settings, json, tally, Ledger(out))
    seen: dict[Path, tuple[str, tuple[int, int] | None]] = {}
    try:
        while True:
            found = look(folder, out)
            if not (found.pictures or found.closed or watch):
                raise no_pictures(str(folder))
            tally.looked(found)
            work.forget_all_but(found.pictures)
            waiting = {path: _stamp(path) for path in found.pictures}
            for path, stamp in waiting.items():
                if watch and (stamp is None or seen.get(path) != ("new", stamp)):
                    continue
                if not work.one(path):
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


@dataclass
class _Work:
    """The pictures of a folder, one by one."""

    folder: Path
    out: Path
    mask: Path | None
    settings: dict[str, Any]
    json: bool
    tally: Tally
    ledger: Ledger
    taken: dict[str, Path] = field(default_factory=dict)
    """Where results are → the pictures that they are of: hero.kra and hero.kra.png would have one."""

    def forget_all_but(self, sources: list[Path]) -> None:
        """Results of pictures that are gone may become those of others."""
        there = set(sources)
        self.taken = {place: source for place, source in self.taken.items() if source in there}

    def one(self, path: Path) -> bool:
        """Cloak one picture, unless that was done. Returns whether to go on."""
        name = path.relative_to(self.folder).as_posix()
        own_name, format = pictures.result_name(path)
        result = self.out / path.relative_to(self.folder).with_name(own_name)
        done: list[bytearray] = []
        try:
            key = self._key(path, result)
            if self.ledger.has(name, key, result):
                self.tally.skipped += 1
                return True
            pictures.make(result.parent)
            errand = Errand(path, result, format, self.mask, None)
            if failed := pictures.attempt(errand, self.settings, self.json, done.append):
                self.tally.failures[str(path)] = failed
                return not isinstance(failed, Cancelled)
            self.tally.failures.pop(str(path), None)
            self.tally.cloaked += 1
            self.ledger.add(name, key, done[0])  # not of the file, which something may have moved away by now
        except BadInput as error:
            self.tally.note(path, error)
        return True

    def _key(self, path: Path, result: Path) -> str:
        """Of the content and the settings. Raises BadInput where the result cannot lie there."""
        spare([path, *([self.mask] if self.mask else [])], [result])
        if _among_sources(result, self.folder, self.out):
            raise BadInput("overwrite", f"{result} may be a source itself.", "Name another folder.")
        if (other := self.taken.setdefault(pictures.place(result), path)) != path:
            raise BadInput("collision", f"It would be written to the same file as {other}.", "Rename one of them.")
        masked = read(self.mask) if self.mask else b""
        return _hash(read(path) + masked + json_.dumps([__version__, self.settings], sort_keys=True).encode())


def _among_sources(result: Path, folder: Path, out: Path) -> bool:
    """Whether it lies where sources lie too: results are told from those by their folder alone."""
    return _within(result.parent, folder) and not _within(out, folder)


def _within(path: Path, folder: Path) -> bool:
    whole = path.resolve()
    return any(same(one, folder) for one in (whole, *whole.parents))
