"""Krita: where each keeps its add-ons, and the switch in its settings.

The folders are those of docs.krita.org (FAQ, Resource Management). A Krita that runs leaves alone what is written into
its settings meanwhile, and sees the add-on when it starts again (measured with Krita 5.1.5).
"""

from __future__ import annotations

import configparser
import os
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from glaze_plugin.errors import BadInput
from glaze_plugin.install import common
from glaze_plugin.install.common import App, Files, Host, beside, flatpak_programs, folder, read

ADDON = "glaze_krita"
MODULE = f"pykrita/{ADDON}"
DESKTOP = f"pykrita/{ADDON}.desktop"
ACTION = f"actions/{ADDON}.action"
FLATPAK = "org.kde.krita"

_GROUP = re.compile(rb"(?m)^(?=[ \t]*\[)")
_ENTRY = re.compile(rb"(?m)^[ \t]*enable_%b[ \t]*=([^\r\n]*)" % ADDON.encode())
_OFF = (b"", b"false", b"no", b"off", b"0")


@dataclass(frozen=True)
class Krita(App):
    """folder: its resource folder. settings: its kritarc."""

    TARGETS = (MODULE, DESKTOP, ACTION)
    CARRIED = f"{MODULE}/lib/glaze_plugin"

    settings: Path

    def switch(self, on: bool) -> None:
        before = read(self.settings)
        after = switched(before, on)
        if after == before:
            return
        path = self.settings.resolve()  # it may be a link to where the artist keeps such files
        path.parent.mkdir(parents=True, exist_ok=True)
        new = beside(path, "new")
        try:
            new.write_bytes(after)
            if path.exists():
                shutil.copymode(path, new)
            new.replace(path)
        finally:
            new.unlink(missing_ok=True)

    def unusable(self) -> Iterator[str]:
        desktop = configparser.ConfigParser(interpolation=None)
        try:
            desktop.read_string(read(self.folder / DESKTOP).decode("utf-8"))
            entry = desktop["Desktop Entry"]
            if (entry["ServiceTypes"], entry["X-KDE-Library"]) != ("Krita/PythonPlugin", ADDON) or not entry["Name"]:
                yield f"{DESKTOP} is of something else."
        except (configparser.Error, KeyError, UnicodeDecodeError):
            yield f"{DESKTOP} cannot be understood."
        if not is_on(read(self.settings)):
            yield "It is switched off in Krita's settings."


def addon() -> Files:
    """The add-on of this version. Raises GlazeError where this installation of Glaze lacks a part of it."""
    source = common.SOURCES / "krita_addon"
    module = source / ADDON
    parts = {DESKTOP: source / f"{ADDON}.desktop", ACTION: module / f"{ADDON}.action"}
    for path in (module / "__init__.py", *module.rglob("*")):
        if path.suffix not in (".action", ".pyc") and not path.is_dir():
            parts[f"{MODULE}/{path.relative_to(module).as_posix()}"] = path
    return common.contents(parts, Krita.CARRIED, "Krita")


# ---- where ---------------------------------------------------------------------------------------


def kritas() -> list[Krita]:
    """Every Krita of this user's: of each, the program, the settings or the resources are there."""
    return [
        replace(krita, folder=_chosen(krita.settings) or krita.folder)
        for krita, programs in _possible()
        if any(path.exists() for path in (krita.folder, krita.settings, *programs))
    ]


def _possible() -> Iterator[tuple[Krita, list[Path]]]:
    """The Kritas that there may be, and where their programs would be."""
    if sys.platform == "win32":
        roaming, local = folder("APPDATA", "AppData/Roaming"), folder("LOCALAPPDATA", "AppData/Local")
        program = Path(os.environ.get("PROGRAMFILES") or "C:/Program Files") / "Krita (x64)"
        yield Krita("Krita", roaming / "krita", local / "kritarc"), [program]
        for store in sorted(local.glob("Packages/49800Krita_*/LocalCache")):
            yield Krita("Krita (Microsoft Store)", store / "Roaming" / "krita", store / "Local" / "kritarc"), [store]
    elif sys.platform == "darwin":
        library = Path.home() / "Library"
        krita = Krita("Krita", library / "Application Support" / "krita", library / "Preferences" / "kritarc")
        yield krita, [Path("/Applications/krita.app")]
    else:  # the system's and the AppImage share their folders
        data, config = folder("XDG_DATA_HOME", ".local/share"), folder("XDG_CONFIG_HOME", ".config")
        program = shutil.which("krita")
        yield Krita("Krita", data / "krita", config / "kritarc"), [Path(program)] if program else []
        inside = Path.home() / ".var" / "app" / FLATPAK
        krita = Krita("Krita (Flatpak)", inside / "data" / "krita", inside / "config" / "kritarc", sandboxed=True)
        yield krita, flatpak_programs(FLATPAK)


def _chosen(settings: Path) -> Path | None:
    """The resource folder that the artist has set in Krita's settings, None for the usual one.

    Of settings that cannot be read it is told where they are needed: they keep no other Krita from being found.
    """
    try:
        general = _GROUP.split(read(settings))[0]
    except BadInput:
        return None
    found = re.search(rb"(?m)^ResourceDirectory=([^\r\n]+)", general)
    return Path(os.fsdecode(found[1].replace(rb"\\", b"\\"))) if found else None


def absent() -> BadInput:
    """What to say where there is none."""
    return BadInput("no_krita", "No Krita was found on this computer.", "Start Krita once and try this again.")


HOST = Host("Krita", "krita", FLATPAK, kritas, addon, absent, "krita")


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
