"""`glaze evaluate`: a study of mimicry. The server's `mimicry` does it, in a process of its own."""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from glaze_plugin.cli.output import console, print_json, progress_bar
from glaze_plugin.cli.style import found
from glaze_plugin.errors import BadInput, Cancelled, GlazeError, rebuild
from glaze_plugin.launch import start_command
from glaze_plugin.messages import Progress

PATIENCE_SECONDS = 10
"""s that an interrupted study has to end."""


def evaluate(folder: Path, others: Path | None, order: dict[str, Any], as_json: bool) -> None:
    """Run a study and print what it found. Arguments and errors: as those of `study`."""
    with progress_bar("evaluating", not as_json) as update:
        report = study(folder, others, order, update)
    if as_json:
        print_json(report["report"])
        return
    for sentence in report["verdict"]:
        console.print(sentence, soft_wrap=True)
    console.print(report["report"]["statement"], soft_wrap=True)
    for note in report["report"]["notes"]:
        console.print(note, soft_wrap=True)
    console.print(f"The report is {report['page']}.", soft_wrap=True)


def study(folder: Path, others: Path | None, order: dict[str, Any], tell: Callable[[Progress], None]) -> dict[str, Any]:
    """Run a study, or the rest of one. Returns the last line of the server's process: report, page and verdict.

    folder: of one artist's pictures. others: of other artists', a subfolder each. order: what `glaze_server.mimicry`
    takes, without the pictures. tell: called with each news of progress. Raises BadInput where there is no picture, the
    error that the study ends with, Cancelled on Ctrl-C.
    """
    return _followed(order | {"pictures": _paths(folder), "others": _artists(others) if others else {}}, tell)


def _artists(folder: Path) -> dict[str, list[str]]:
    """Artist → pictures: each subfolder is one artist; where there is none, the folder itself is.

    Raises BadInput where one has no picture.
    """
    if not folder.is_dir():
        raise BadInput("missing_file", f"There is no folder {folder}.")
    places = sorted(place for place in folder.iterdir() if place.is_dir()) or [folder.resolve()]
    return {f"by {place.name}": _paths(place) for place in places}


def _paths(folder: Path) -> list[str]:
    return [str(path.resolve()) for path in found([folder])]


def _followed(order: dict[str, Any], tell: Callable[[Progress], None]) -> dict[str, Any]:
    """The last line of the server's process, whose progress is told. The order is too long for its command line."""
    *command, module = start_command()
    last: dict[str, Any] = {}
    with tempfile.TemporaryFile() as orders, tempfile.TemporaryFile() as complaints, contextlib.ExitStack() as stack:
        orders.write(json.dumps(order).encode())
        orders.seek(0)
        words = [*command, f"{module}.mimicry"]
        child = stack.enter_context(
            subprocess.Popen(
                words, stdin=orders, stdout=subprocess.PIPE, stderr=complaints, text=True, encoding="utf-8"
            )
        )
        assert child.stdout is not None
        try:
            for text in child.stdout:
                last = json.loads(text)
                if "stage" in last:
                    tell(Progress("", last["stage"], last["step"], last["steps"]))
            child.wait()
            complaints.seek(0)
            said = complaints.read().decode(errors="replace").strip().splitlines()
        except KeyboardInterrupt:
            try:
                child.wait(PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
            raise Cancelled("cancelled", "Stopped; the same command goes on where it was.") from None
    if "error" in last:
        raise rebuild(**last["error"])
    if "report" not in last:
        raise GlazeError("evaluate", f"The study stopped: {said[-1] if said else child.returncode}.")
    return last
