"""What is kept of the artist: the target style towards which all works are drawn, since mixed targets average out.

One file, which only this user can read.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from glaze_plugin import places
from glaze_plugin.errors import GlazeError
from glaze_server.engine.styles import STYLES

LEARNED, SET, FIRST = "learned", "set", "first picture"
"""How a target style was chosen: by the artist's pictures, by name, or by the first picture that was cloaked."""


@dataclass(frozen=True)
class Artist:
    """style: the target's name. chosen: LEARNED, SET or FIRST.

    pictures: how many were looked at. distances: style → mean distance from those pictures' own style, {} where none
    were looked at.
    """

    style: str
    chosen: str
    pictures: int = 0
    distances: dict[str, float] = field(default_factory=dict)

    def describe(self) -> dict[str, Any]:
        """For a report."""
        return asdict(self)


def known() -> Artist | None:
    """What is kept, or None where that is nothing which this version can use."""
    try:
        content = json.loads(places.artist().read_text(encoding="utf-8"))
        one = Artist(
            str(content["style"]),
            str(content["chosen"]),
            int(content["pictures"]),
            {str(name): float(distance) for name, distance in content["distances"].items()},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return one if one.style in STYLES else None


def keep(one: Artist) -> None:
    """Keep it from now on. Raises GlazeError where it cannot be written; then what was kept before stays."""
    path = places.artist()
    try:
        places.write_json(places.private(path.parent) / path.name, one.describe())
    except OSError as error:
        raise GlazeError("disk", f"The target style cannot be kept in {path}: {error.strerror}.") from error


def forget() -> None:
    """Keep nothing. Raises GlazeError where the file cannot be removed."""
    try:
        places.artist().unlink(missing_ok=True)
    except OSError as error:
        raise GlazeError("disk", f"The file {places.artist()} cannot be removed: {error.strerror}.") from error
