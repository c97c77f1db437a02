"""`glaze doctor`: looks at everything between an artist and the engine, starts nothing, and says what to do."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

from glaze_plugin import __version__, lock, places
from glaze_plugin.cli import models
from glaze_plugin.cli.output import console, print_json
from glaze_plugin.cli.service import NAME
from glaze_plugin.client import Client
from glaze_plugin.connection import connection_file, read_connection
from glaze_plugin.errors import DaemonUnavailable, GlazeError
from glaze_plugin.install import gimp, krita
from glaze_plugin.install.common import App, Host
from glaze_plugin.launch import find_daemon, last_words, start_command

TIGHT = 2 << 30
"""Bytes of free disk below which large pictures may find no room."""
LOG_TAIL = 64 << 10


@dataclass(frozen=True)
class Finding:
    """level: "ok", "note" or "problem". remedy: what to do, or ""."""

    level: str
    about: str
    sentence: str
    remedy: str = ""


def examine(json: bool) -> int:
    """Print the findings; 1 where one of them is a problem, else 0."""
    findings = [*_folders(), *_installation(), *_encoders(), *_daemon(), *_addons(), *_log()]
    if json:
        print_json([vars(finding) for finding in findings])
    else:
        for finding in findings:
            console.print(f"{finding.level:8}{finding.about:10}{finding.sentence}", soft_wrap=True)
            if finding.remedy:
                console.print(f"{'':18}{finding.remedy}", soft_wrap=True)
    return int(any(finding.level == "problem" for finding in findings))


def _folders() -> Iterator[Finding]:
    for folder in (places.runtime(), places.state(), places.cache()):
        trial = folder / ".doctor"
        try:
            places.private(folder)
            trial.write_bytes(b"trial")
            trial.unlink()
        except GlazeError as error:
            yield Finding("problem", "folder", error.sentence, error.remedy)
            return
        except OSError as error:
            remedy = "Make it writable, or set GLAZE_HOME to a folder of yours."
            yield Finding("problem", "folder", f"Glaze cannot write into {folder}: {error.strerror}.", remedy)
            return
    free = shutil.disk_usage(places.state()).free
    told = f"{free / 1e9:.1f} GB are free where jobs and results are kept, {places.state()}."
    if free < TIGHT:
        yield Finding("note", "disk", told, "Free some space, or set GLAZE_HOME to a folder on another disk.")
    else:
        yield Finding("ok", "disk", told)


def _installation() -> Iterator[Finding]:
    yield Finding("ok", "version", f"Glaze {__version__} on Python {sys.version.split()[0]}, {sys.executable}.")
    try:
        yield Finding("ok", "daemon", f"It is started by: {' '.join(start_command())}")
    except DaemonUnavailable as error:
        yield Finding("problem", "daemon", error.sentence, error.remedy)


def _encoders() -> Iterator[Finding]:
    try:
        told = f"On this computer: {', '.join(models.here())}."
        yield Finding("ok", "encoders", told, "`glaze models list` shows which others there are.")
    except DaemonUnavailable:
        pass  # the server is not installed, which was said before
    except GlazeError as error:
        yield Finding("problem", "encoders", error.sentence, error.remedy)


def _daemon() -> Iterator[Finding]:
    connection = read_connection()
    before = time.monotonic()
    try:
        found = find_daemon(NAME)
    except DaemonUnavailable as error:
        holder = lock.holder()
        who = f" It is process {holder}." if holder else ""
        yield Finding("problem", "daemon", error.sentence + who, error.remedy)
        return
    if found is None:
        yield Finding("ok", "daemon", "None is running; the first picture starts one.")
        if connection:
            told = f"{connection_file()} is left over from an earlier daemon (port {connection.port})."
            yield Finding("ok", "daemon", told + " The next daemon replaces it.")
        return
    link, welcome = found
    with Client.over(NAME, found) as client:
        took = 1000 * (time.monotonic() - before)
        told = f"Process {welcome.pid}, version {welcome.version}, answers after {took:.0f} ms."
        if welcome.version == __version__:
            yield Finding("ok", "daemon", told)
        else:
            yield Finding("note", "daemon", told, "It is of another version: `glaze daemon restart`. No job is lost.")
        if link.connection.exposed:
            told = f"It listens on {link.connection.host}: other machines can reach it, unencrypted."
            yield Finding("note", "daemon", told, "An SSH tunnel is safer; docs/troubleshooting.md shows it.")
        state = client.status()
    if state.worker == "failing":
        output = places.state() / "worker.out"
        told = f"It does not start: {last_words(output)}"
        yield Finding("problem", "engine", told, f"Install Glaze again; {output} has the details.")
    elif state.worker == "ready" and not state.encoders:
        yield Finding("problem", "engine", "No encoder's weights are installed.", "Install Glaze again.")
    else:
        words = {
            "ready": f"Ready on {state.device}, encoders {', '.join(state.encoders)}.",
            "starting": "It is starting.",
            "resting": "It rests and has given its memory back; the next picture wakes it.",
        }
        yield Finding("ok", "engine", words.get(state.worker, state.worker))
    told = f"{state.jobs_running} running, {state.jobs_waiting} waiting; {state.disk / 1e6:.0f} MB on the disk."
    yield Finding("ok", "jobs", told)


def _addons() -> Iterator[Finding]:
    for host in (krita.HOST, gimp.HOST):
        for one in host.find():
            try:
                yield from _addon(host, one)
            except GlazeError as error:
                yield Finding("problem", host.command, f"{one.name}: {error.sentence}", error.remedy)


def _addon(host: Host, one: App) -> Iterator[Finding]:
    faults, obstacle = " ".join(one.faults(host.addon())), one.obstacle()
    remedy = f"`glaze install {host.command}`" if faults else ""
    if faults or not obstacle:
        told = f"{one.name}: {faults or 'it will load Glaze.'}"
        yield Finding("note" if faults else "ok", host.command, told, remedy)
    if obstacle:
        yield Finding("note", host.command, f"{one.name}: {obstacle}")


def _log() -> Iterator[Finding]:
    log = places.state() / "daemon.log"
    try:
        with open(log, "rb") as file:
            file.seek(max(0, log.stat().st_size - LOG_TAIL))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        yield Finding("ok", "log", f"There is none yet; it will be {log}.")
        return
    errors = [line for line in lines if " ERROR " in line]
    if errors:
        yield Finding("note", "log", f"The last error in {log}: {errors[-1]}")
    else:
        yield Finding("ok", "log", f"No error in {log}.")
