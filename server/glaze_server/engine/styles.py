"""The target styles that there are. No torch here."""

from __future__ import annotations

import csv
import difflib
from dataclasses import dataclass
from pathlib import Path

from glaze_plugin.errors import BadInput


@dataclass(frozen=True)
class Style:
    """A target style. network: its index in the embedded network. prompt: what it looks like, for a diffusion model."""

    network: int
    name: str
    prompt: str


def _read(path: Path) -> tuple[Style, ...]:
    with path.open(encoding="utf-8", newline="") as lines:
        rows = csv.DictReader(lines, delimiter="\t")
        return tuple(Style(int(row["network"]), row["name"], row["prompt"]) for row in rows)


CATALOGUE = _read(Path(__file__).with_suffix(".tsv"))
STYLES = tuple(style.name for style in CATALOGUE)
"""Names of the styles, in the order of the network's indices; each says what its pictures look like."""


def index(name: str) -> int:
    """The network's index of a style. Raises BadInput for an unknown name."""
    return find(name).network


def find(name: str) -> Style:
    """The style of that name. Raises BadInput for an unknown one, with the names that are like it."""
    for style in CATALOGUE:
        if style.name == name:
            return style
    like = difflib.get_close_matches(name, STYLES, 3, 0.5)
    hint = f"Did you mean {' or '.join(like)}? " if like else ""
    raise BadInput("unknown_style", f"There is no style {name!r}.", f"{hint}Known styles: {', '.join(STYLES)}.")
