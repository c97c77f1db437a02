"""The Krita add-on: what belongs to it, where each Krita keeps such things, putting it there and taking it away.

The folders are those of docs.krita.org (FAQ, Resource Management). A Krita that runs leaves alone what is written into
its settings meanwhile, and sees the add-on when it starts again (measured with Krita 5.1.5).
"""

from __future__ import annotations

import ast
import configparser
import contextlib
import os
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from glaze_plugin import __version__
from glaze_plugin.errors import BadInput, GlazeError

ADDON = "glaze_krita"
MODULE = f"pykrita/{ADDON}"
DESKTOP = f"pykrita/{ADDON}.desktop"
ACTION = f"actions/{ADDON}.action"
TARGETS = (MODULE, DESKTOP, ACTION)
"""All that is installed, below Krita's resource folder."""
CLIENT = f"{MODULE}/lib/glaze_plugin"
"""The add-on carries the light client along, since Krita's Python has no pip."""
SOURCE = Path(__file__).parent.parent / "krita_addon"
"""Lies beside the client in the checkout and in an installed distribution alike."""
OLDEST_PYTHON = (3, 10)
FLATPAK = "org.kde.krita"
SYSTEM_FLATPAKS = Path("/var/lib/flatpak")
PERMISSION = "xdg-run/glaze"
"""What lets the Flatpak's sandbox see the connection file: its own permissions leave $XDG_RUNTIME_DIR out."""

_GROUP = re.compile(rb"(?m)^(?=[ \t]*\[)")
_ENTRY = re.compile(rb"(?m)^[ \t]*enable_%b[ \t]*=([^\r\n]*)" % ADDON.encode())
_OFF = (b"", b"false", b"no", b"off", b"0")

Files = dict[str, bytes]
"""Paths below Krita's resource folder, with slashes, and what is in the files."""


@dataclass(frozen=True)
class Krita:
    """One Krita of this user's. resources: its resource folder. settings: its kritarc."""

    name: str
    resources: Path
    settings: Path
    sandboxed: bool = False


def addon() -> Files:
    """The add-on of this version. Raises GlazeError where this installation of Glaze lacks a part of it."""
    module = SOURCE / ADDON
    parts = {DESKTOP: SOURCE / f"{ADDON}.desktop", ACTION: module / f"{ADDON}.action"}
    for path in (module / "__init__.py", *module.rglob("*")):
        if path.suffix not in (".action", ".pyc") and not path.is_dir():
            parts[f"{MODULE}/{path.relative_to(module).as_posix()}"] = path
    for path in Path(__file__).parent.glob("*.py"):
        if path != Path(__file__):
            parts[f"{CLIENT}/{path.name}"] = path
    try:
        return {name: parts[name].read_bytes() for name in sorted(parts)}
    except OSError as error:
        raise GlazeError(
            "no_addon", f"Glaze lacks a part of its Krita add-on: {error}.", "Install it again."
        ) from error


# ---- where ---------------------------------------------------------------------------------------


def kritas() -> list[Krita]:
    """Every Krita of this user's: of each, the program, the settings or the resources are there."""
    return [
        replace(krita, resources=_chosen(krita.settings) or krita.resources)
        for krita, programs in _possible()
        if any(path.exists() for path in (krita.resources, krita.settings, *programs))
    ]


def _possible() -> Iterator[tuple[Krita, list[Path]]]:
    """The Kritas that there may be, and where their programs would be."""
    if sys.platform == "win32":
        roaming, local = _folder("APPDATA", "AppData/Roaming"), _folder("LOCALAPPDATA", "AppData/Local")
        program = Path(os.environ.get("PROGRAMFILES") or "C:/Program Files") / "Krita (x64)"
        yield Krita("Krita", roaming / "krita", local / "kritarc"), [program]
        for store in sorted(local.glob("Packages/49800Krita_*/LocalCache")):
            yield Krita("Krita (Microsoft Store)", store / "Roaming" / "krita", store / "Local" / "kritarc"), [store]
    elif sys.platform == "darwin":
        library = Path.home() / "Library"
        krita = Krita("Krita", library / "Application Support" / "krita", library / "Preferences" / "kritarc")
        yield krita, [Path("/Applications/krita.app")]
    else:  # the system's and the AppImage share their folders
        data, config = _folder("XDG_DATA_HOME", ".local/share"), _folder("XDG_CONFIG_HOME", ".config")
        program = shutil.which("krita")
        yield Krita("Krita", data / "krita", config / "kritarc"), [Path(program)] if program else []
        inside = Path.home() / ".var" / "app" / FLATPAK
        krita = Krita("Krita (Flatpak)", inside / "data" / "krita", inside / "config" / "kritarc", sandboxed=True)
        yield krita, [folder / "app" / FLATPAK for folder in _flatpak_folders()]


def _folder(variable: str, default: str) -> Path:
    return Path(os.environ.get(variable) or Path.home() / default)


def _flatpak_folders() -> list[Path]:
    return [_folder("XDG_DATA_HOME", ".local/share") / "flatpak", SYSTEM_FLATPAKS]


def _chosen(settings: Path) -> Path | None:
    """The resource folder that the artist has set in Krita's settings, None for the usual one."""
    general = _GROUP.split(_read(settings))[0]
    found = re.search(rb"(?m)^ResourceDirectory=([^\r\n]+)", general)
    return Path(os.fsdecode(found[1].replace(rb"\\", b"\\"))) if found else None


def runs() -> bool | None:
    """Whether a Krita of this user's runs; None where the system does not tell."""
    if sys.platform != "linux":
        return None
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it may just have ended
            if (process / "comm").read_bytes() == b"krita\n" and process.stat().st_uid == os.getuid():
                return True
    return False


def shut_in(krita: Krita) -> bool:
    """Whether this Krita's sandbox keeps the daemon's connection file from it."""
    rules = (folder / "overrides" / name for folder in _flatpak_folders() for name in (FLATPAK, "global"))
    words = (word for path in rules for word in re.split(r"[=;\s]+", _read(path).decode("utf-8", "replace")))
    return krita.sandboxed and not any(word.split(":")[0] == PERMISSION for word in words)


# ---- putting and taking --------------------------------------------------------------------------


def put(krita: Krita, files: Files) -> None:
    """Write the add-on into a Krita in the place of whatever version is there, and switch it on.

    Raises BadInput where that cannot be written; what was there before then still is.
    """
    new = {target: _beside(krita.resources / target, "new") for target in TARGETS}
    try:
        for target, beside in new.items():
            _clear(beside)
            for name, content in files.items():
                if name == target or name.startswith(f"{target}/"):
                    path = Path(f"{beside}{name[len(target) :]}")
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(content)
        _switch(krita, True)
        for target, beside in new.items():
            _put_in_place(beside, krita.resources / target)
    except OSError as error:
        raise _unwritable(krita, error) from error
    finally:
        for beside in new.values():
            with contextlib.suppress(OSError):
                _clear(beside)


def take_away(krita: Krita) -> bool:
    """Switch the add-on off and remove all of it; False where nothing of it was there.

    Raises BadInput where that cannot be done.
    """
    try:
        _switch(krita, False)
        targets = [krita.resources / target for target in TARGETS]
        left = [_beside(target, which) for target in targets for which in ("new", "old")]
        return sum(map(_clear, (*targets, *left))) > 0
    except OSError as error:
        raise _unwritable(krita, error) from error


def _beside(path: Path, which: str) -> Path:
    return path.with_name(f".{path.name}.{which}")


def _put_in_place(new: Path, target: Path) -> None:
    """`new` becomes `target`; what was there, a link say, is moved away before and removed afterwards."""
    old = _beside(target, "old")
    _clear(old)
    with contextlib.suppress(FileNotFoundError):
        target.rename(old)
    try:
        new.rename(target)
    except OSError:
        with contextlib.suppress(FileNotFoundError):
            old.rename(target)
        raise
    with contextlib.suppress(OSError):  # a file of it may be in use; the next time removes it
        _clear(old)


def _clear(path: Path) -> bool:
    """Remove a file, a link or a whole folder; False where there is none."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
        return True
    try:
        path.unlink()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _unwritable(krita: Krita, error: OSError) -> BadInput:
    return BadInput("unwritable", f"{error.filename or krita.resources} cannot be written: {error.strerror}.")


# ---- Krita's settings ----------------------------------------------------------------------------


def switched(settings: bytes, on: bool) -> bytes:
    """The content of a kritarc with the add-on switched on or off: one line of it; every other byte stays."""
    if is_on(settings) == on:
        return settings
    end = b"\r\n" if b"\r\n" in settings else b"\n"
    entry = b"enable_%b=%b" % (ADDON.encode(), b"true" if on else b"false")
    groups = _GROUP.split(settings)
    ours = [number for number, group in enumerate(groups) if _is_ours(group)]
    if any(_ENTRY.search(groups[number]) for number in ours):
        for number in ours:
            groups[number] = _ENTRY.sub(entry, groups[number])
    elif ours:
        header, _, rest = groups[ours[0]].partition(b"\n")
        groups[ours[0]] = header.rstrip(b"\r") + end + entry + end + rest
    else:
        gap = end * (2 - settings.endswith(b"\n")) if settings else b""
        groups.append(gap + b"[python]" + end + entry + end)
    return b"".join(groups)


def is_on(settings: bytes) -> bool:
    """Whether Krita loads the add-on by these settings."""
    entries = [entry for group in _GROUP.split(settings) if _is_ours(group) for entry in _ENTRY.findall(group)]
    return bool(entries) and entries[-1].strip().lower() not in _OFF


def _is_ours(group: bytes) -> bool:
    return group.partition(b"\n")[0].strip() == b"[python]"


def _switch(krita: Krita, on: bool) -> None:
    before = _read(krita.settings)
    after = switched(before, on)
    if after == before:
        return
    path = krita.settings.resolve()  # it may be a link to where the artist keeps such files
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = _beside(path, "new")
    try:
        beside.write_bytes(after)
        if path.exists():
            shutil.copymode(path, beside)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _read(path: Path) -> bytes:
    """A file's bytes, none where there is no such file. Raises BadInput."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return b""
    except OSError as error:
        raise BadInput("unreadable", f"{path} cannot be read: {error.strerror}.") from error


# ---- looking -------------------------------------------------------------------------------------


def faults(krita: Krita, files: Files) -> list[str]:
    """What keeps this Krita from loading this version of the add-on, a sentence each; none where it will."""
    if not any((krita.resources / target).exists() for target in TARGETS):
        return ["The add-on is not installed."]
    return [*_other_version(krita, files), *_unusable(krita), *_switched_off(krita)]


def _other_version(krita: Krita, files: Files) -> Iterator[str]:
    found = re.search(rb'__version__ = "(.*?)"', _read(krita.resources / CLIENT / "__init__.py"))
    version = found[1].decode("utf-8", "replace") if found else "unknown"
    differing = [name for name, content in files.items() if _read(krita.resources / name) != content]
    if version != __version__:
        yield f"It is of version {version}; this is {__version__}."
    elif differing:
        yield f"{len(differing)} of its files are missing or changed: {differing[0]} for one."


def _unusable(krita: Krita) -> Iterator[str]:
    desktop = configparser.ConfigParser(interpolation=None)
    try:
        desktop.read_string(_read(krita.resources / DESKTOP).decode("utf-8"))
        entry = desktop["Desktop Entry"]
        if (entry["ServiceTypes"], entry["X-KDE-Library"]) != ("Krita/PythonPlugin", ADDON) or not entry["Name"]:
            yield f"{DESKTOP} is of something else."
    except (configparser.Error, KeyError, UnicodeDecodeError):
        yield f"{DESKTOP} cannot be understood."
    for path in sorted((krita.resources / MODULE).rglob("*.py")):
        try:
            ast.parse(_read(path), feature_version=OLDEST_PYTHON)
        except (SyntaxError, ValueError):
            yield f"{path.relative_to(krita.resources).as_posix()} is no Python."


def _switched_off(krita: Krita) -> Iterator[str]:
    if not is_on(_read(krita.settings)):
        yield "It is switched off in Krita's settings."
