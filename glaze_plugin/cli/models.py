"""The commands about the weights of encoders. What they do, the server's `hub` does, in a process of its own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.table import Table

from glaze_plugin import places
from glaze_plugin.cli.output import console, errors, print_json
from glaze_plugin.errors import BadInput, GlazeError, rebuild
from glaze_plugin.launch import start_command
from glaze_plugin.models import size_words


def show(as_json: bool) -> None:
    """Every encoder that Glaze knows, and those that the artist added."""
    found = [line["model"] for line in _lines("list")]
    if as_json:
        print_json(found)
        return
    table = Table(box=None, pad_edge=False)
    for title in ("encoder", "here", "size", "licence", "stands for"):
        table.add_column(title, justify="right" if title == "size" else "left")
    for one in found:
        account = ", needs an account" * bool(one.get("gated"))
        table.add_row(
            one["name"],
            "yes" if one["path"] else "",
            size_words(one["size"] or one.get("about_size"), one["size"] is not None),
            f"{one['licence']}{account}",
            one["about"],
        )
    console.print(table)


def here() -> list[str]:
    """Names of the encoders that are on this computer."""
    found = [line["model"] for line in _lines("list")]
    return [one["name"] for one in found if one["path"] and one["family"]]


def pull(names: list[str], as_json: bool) -> None:
    """Download encoders, with progress where standard error is a terminal."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    shown = not as_json and errors.is_terminal
    with Progress(*columns, TimeRemainingColumn(), console=errors, transient=True, disable=not shown) as bar:
        task = bar.add_task("looking", total=None)
        for line in _lines("pull", *names):
            if "pulling" in line:
                bar.reset(task, description=line["pulling"], total=line["total"])
                if not as_json:
                    errors.print(f"{line['pulling']}: {size_words(line['total'])}, {line['licence']}")
            elif "done" in line:
                bar.update(task, completed=line["done"], total=line["total"])
            elif as_json:
                print_json(line)
            else:
                console.print(f"{line['pulled']} is in {line['path']}.", soft_wrap=True)


def verify(names: list[str], as_json: bool) -> int:
    """Compare files with what was published; 1 where one differs, else 0."""
    different = 0
    for line in _lines("verify", *names):
        different |= line["same"] is False
        if as_json:
            print_json(line)
        else:
            words = {True: "as published", False: "CHANGED", None: "no checksum is known"}[line["same"]]
            console.print(f"{line['verified']}: {words}, {line['path']}", soft_wrap=True)
    return int(different)


def remove(names: list[str]) -> None:
    """Delete what was downloaded."""
    for line in _lines("remove", *names):
        console.print(f"{line['removed']} was removed.")


def path(name: str | None) -> None:
    """Print where encoders lie, or where one of them does."""
    if name is None:
        print(places.models())
        return
    found = {line["model"]["name"]: line["model"]["path"] for line in _lines("list")}
    if not found.get(name):
        raise BadInput("missing_weights", f"The weights of the encoder {name!r} are not on this computer.")
    print(found[name])


def _lines(*arguments: str) -> Iterator[dict[str, Any]]:
    """What the server's process says, line by line. Raises the error that it ends with."""
    *command, module = start_command()
    words = [*command, f"{module}.hub", *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdout=pipe, stderr=pipe, encoding="utf-8", errors="replace") as child:
        assert child.stdout is not None and child.stderr is not None
        for text in child.stdout:
            line = json.loads(text)
            if "error" in line:
                raise rebuild(**line["error"])
            yield line
        last = child.stderr.read().strip().splitlines()
    if child.returncode not in (0, 1) or (child.returncode == 1 and last and arguments[0] != "verify"):
        raise GlazeError("models", f"`glaze models {arguments[0]}` stopped: {last[-1] if last else child.returncode}.")
