"""What the command line prints: errors, JSON, tables, a progress bar."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.table import Table
from rich.text import Text

from glaze_plugin import messages
from glaze_plugin.errors import GlazeError

console = Console(highlight=False, markup=False, emoji=False)
errors = Console(stderr=True, highlight=False, markup=False, emoji=False)


def complain(error: GlazeError, about: str = "") -> None:
    """One error on standard error; never a traceback."""
    print(f"{about}: {error}" if about else str(error), file=sys.stderr)


def print_json(value: Any) -> None:
    """One JSON value on one line, in ASCII: whatever the console's letters are, it can be read back."""
    print(json.dumps(value), flush=True)


class TimeLeft(ProgressColumn):
    """The daemon's own estimate, which knows what the steps cost."""

    def render(self, task: Task) -> Text:
        left = task.fields.get("left")
        return Text("" if left is None else f"{_duration(left)} left")


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


@contextmanager
def progress_bar(title: str, shown: bool = True) -> Iterator[Callable[[messages.Progress], None]]:
    """A progress bar on standard error where that is a terminal; yields what to call with each progress message."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[stage]}", markup=False),
        TimeLeft(),
    )
    with Progress(*columns, console=errors, transient=True, disable=not shown or not errors.is_terminal) as bar:
        task = bar.add_task(title, total=None, stage="", left=None)

        def update(msg: messages.Progress) -> None:
            bar.update(task, completed=msg.step, total=msg.steps or None, stage=msg.stage, left=msg.seconds_left)

        yield update


def figures_table(report: dict[str, Any]) -> Table:
    """The figures of a report as a short table."""
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    table.add_column("cloaked", justify="right")
    table.add_column("random noise", justify="right")
    if "targeted_shift" in report:
        control = report["noise_control"]
        for name, shift in report["targeted_shift"].items():
            table.add_row(f"shift, {name}", f"{shift:.3f}", f"{control['targeted_shift'][name]:.3f}")
            for transform, values in report["survival"].items():
                noise = control["survival"][transform][name]
                table.add_row(f"  after {transform}", f"{values[name]:.3f}", f"{noise:.3f}")
    table.add_row("LPIPS AlexNet / VGG", f"{report['lpips']['alex']:.3f} / {report['lpips']['vgg']:.3f}")
    table.add_row("JOD, of 10", f"{report['jod']:.2f}")
    table.add_row("largest change", f"{report['max_change'] * 255:.0f} / 255")
    table.add_row("noise in flat areas", f"{report['flat_rms'] * 255:.1f} / 255")
    return table
