"""What installing is in any painting program: files that are put in place whole, taken away whole, and looked at."""

from __future__ import annotations

import ast
import contextlib
import os
import re
import shutil
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from glaze_plugin import __version__
from glaze_plugin.errors import BadInput, GlazeError

CLIENT = Path(__file__).parent.parent
"""The light client. An add-on carries it along, since the programs' own Python has no pip."""
SOURCES = CLIENT.parent
"""The add-ons lie beside the client, in the checkout and in an installed distribution alike."""
OLDEST_PYTHON = (3, 10)
SYSTEM_FLATPAKS = Path("/var/lib/flatpak")
PERMISSION = "xdg-run/glaze"
"""What lets a Flatpak's sandbox see the connection file: its own permissions leave $XDG_RUNTIME_DIR out."""

Files = dict[str, bytes]
"""Paths below the folder where add-ons go, with slashes, and what is in the files."""


@dataclass(frozen=True)
class App(ABC):
    """One painting program of this user's. folder: where its add-ons go. sandboxed: a Flatpak."""

    TARGETS: ClassVar[tuple[str, ...]]
    """All that is installed: files and folders below `folder`."""
    CARRIED: ClassVar[str]
    """Where the client is in it."""
    PROGRAM: ClassVar[str] = ""
    """The file that the program itself has to start, if there is one."""

    name: str
    folder: Path
    sandboxed: bool = field(default=False, kw_only=True)

    def put(self, files: Files) -> None:
        """Write the add-on in the place of whatever version is there, and switch it on.

        Raises BadInput where that cannot be written; what was there before then still is.
        """
        new = {target: beside(self.folder / target, "new") for target in self.TARGETS}
        try:
            for target, place in new.items():
                clear(place)
                for name, content in files.items():
                    if name == target or name.startswith(f"{target}/"):
                        path = Path(f"{place}{name[len(target) :]}")
                        path.parent.mkdir(parents=True, exist_ok=True)
                        path.write_bytes(content)
                        if name == self.PROGRAM:
                            path.chmod(path.stat().st_mode | 0o111)
            self.switch(True)
            for target, place in new.items():
                _put_in_place(place, self.folder / target)
        except OSError as error:
            raise self._unwritable(error) from error
        finally:
            for place in new.values():
                with contextlib.suppress(OSError):
                    clear(place)

    def take_away(self) -> bool:
        """Switch the add-on off and remove all of it; False where nothing of it was there.

        Raises BadInput where that cannot be done.
        """
        try:
            self.switch(False)
            targets = [self.folder / target for target in self.TARGETS]
            left = [beside(target, which) for target in targets for which in ("new", "old")]
            return sum(map(clear, (*targets, *left))) > 0
        except OSError as error:
            raise self._unwritable(error) from error

    def faults(self, files: Files) -> list[str]:
        """What is wrong with the add-on as it is installed, a sentence each; to `put` it mends that."""
        if not any((self.folder / target).exists() for target in self.TARGETS):
            return ["The add-on is not installed.", *self.misplaced()]
        return [*self._other_version(files), *self._no_python(), *self.unusable()]

    def obstacle(self) -> str:
        """What else keeps the program from loading it, with what to do; "" where nothing does."""
        return ""

    def switch(self, on: bool) -> None:
        """Have the program load the add-on, or not any more. One that loads what is in its folders needs nothing."""
        return

    def misplaced(self) -> Iterator[str]:
        """Add-ons of ours where the program does not look for them."""
        return iter(())

    @abstractmethod
    def unusable(self) -> Iterator[str]:
        """What else is wrong with it as it is installed, for this program."""

    def _other_version(self, files: Files) -> Iterator[str]:
        found = re.search(rb'__version__ = "(.*?)"', read(self.folder / self.CARRIED / "__init__.py"))
        version = found[1].decode("utf-8", "replace") if found else "unknown"
        differing = [name for name, content in files.items() if read(self.folder / name) != content]
        if version != __version__:
            yield f"It is of version {version}; this is {__version__}."
        elif differing:
            yield f"{len(differing)} of its files are missing or changed: {differing[0]} for one."

    def _no_python(self) -> Iterator[str]:
        for path in sorted(path for target in self.TARGETS for path in (self.folder / target).rglob("*.py")):
            try:
                ast.parse(read(path), feature_version=OLDEST_PYTHON)
            except (SyntaxError, ValueError):
                yield f"{path.relative_to(self.folder).as_posix()} is no Python."

    def _unwritable(self, error: OSError) -> BadInput:
        return BadInput("unwritable", f"{error.filename or self.folder} cannot be written: {error.strerror}.")


@dataclass(frozen=True)
class Host:
    """A kind of painting program. command: as in `glaze install COMMAND`. flatpak: its id there.

    find: those of this user's. addon: what is installed in them. absent: what to say where there is none.
    process: a pattern of its processes' names.
    """

    name: str
    command: str
    flatpak: str
    find: Callable[[], Sequence[App]]
    addon: Callable[[], Files]
    absent: Callable[[], BadInput]
    process: str

    def runs(self) -> bool | None:
        """Whether one of this user's runs; None where the system does not tell."""
        if sys.platform != "linux":
            return None
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # it may just have ended
                name = (process / "comm").read_text(errors="replace").rstrip("\n")
                if re.fullmatch(self.process, name) and process.stat().st_uid == os.getuid():
                    return True
        return False

    def is_a_flatpak(self) -> bool:
        """Whether it is installed as a Flatpak."""
        return sys.platform == "linux" and any(folder.exists() for folder in flatpak_programs(self.flatpak))

    def is_shut_in(self) -> bool:
        """Whether its sandbox as a Flatpak keeps the daemon's connection file from it."""
        rules = (folder / "overrides" / name for folder in _flatpak_folders() for name in (self.flatpak, "global"))
        words = (word for path in rules for word in re.split(r"[=;\s]+", read(path).decode("utf-8", "replace")))
        return not any(word.split(":")[0] == PERMISSION for word in words)


def contents(parts: dict[str, Path], carried: str, host: str) -> Files:
    """The files of an add-on, with the client below `carried`. Raises GlazeError where this installation lacks one."""
    parts = {**parts, **{f"{carried}/{path.name}": path for path in CLIENT.glob("*.py")}}
    try:
        return {name: parts[name].read_bytes() for name in sorted(parts)}
    except OSError as error:
        raise GlazeError(
            "no_addon", f"Glaze lacks a part of its {host} add-on: {error}.", "Install it again."
        ) from error


def folder(variable: str, default: str) -> Path:
    """One that an environment variable names, else one below the home folder."""
    return Path(os.environ.get(variable) or Path.home() / default)


def flatpak_programs(flatpak: str) -> list[Path]:
    """Where a Flatpak would be installed."""
    return [one / "app" / flatpak for one in _flatpak_folders()]


def _flatpak_folders() -> list[Path]:
    return [folder("XDG_DATA_HOME", ".local/share") / "flatpak", SYSTEM_FLATPAKS]


def beside(path: Path, which: str) -> Path:
    return path.with_name(f".{path.name}.{which}")


def _put_in_place(new: Path, target: Path) -> None:
    """`new` becomes `target`; what was there, a link say, is moved away before and removed afterwards."""
    old = beside(target, "old")
    clear(old)
    with contextlib.suppress(FileNotFoundError):
        target.rename(old)
    try:
        new.rename(target)
    except OSError:
        with contextlib.suppress(FileNotFoundError):
            old.rename(target)
        raise
    with contextlib.suppress(OSError):  # a file of it may be in use; the next time removes it
        clear(old)


def clear(path: Path) -> bool:
    """Remove a file, a link or a whole folder; False where there is none."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
        return True
    try:
        path.unlink()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def read(path: Path) -> bytes:
    """A file's bytes, none where there is no such file. Raises BadInput."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return b""
    except OSError as error:
        raise BadInput("unreadable", f"{path} cannot be read: {error.strerror}.") from error
