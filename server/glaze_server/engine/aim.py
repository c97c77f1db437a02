"""Towards what a picture is drawn: the target style, how it was chosen, and who paints the target."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from glaze_plugin.errors import BadInput, GlazeError
from glaze_server.engine import artist, choice, diffusion, painters, styles
from glaze_server.engine.artist import FIRST, LEARNED, SET, Artist
from glaze_server.engine.checkpoint import Checkpoint
from glaze_server.engine.device import Compute
from glaze_server.engine.painters import EMBEDDED, Painter
from glaze_server.engine.progress import Steps
from glaze_server.engine.settings import Settings
from glaze_server.engine.transfer import transfer

NAMED = "named"
"""How a style was chosen that the job itself asked for; other ways are in `artist`."""
LOOKS = len(styles.STYLES) // 4
"""Steps of `first`."""


@dataclass(frozen=True)
class Aim:
    """What a picture is drawn towards. target: (1, 3, H, W) in [0, 1]. chosen: how the style was."""

    target: Tensor
    style: str
    chosen: str
    painter: str


def settle(
    settings: Settings, painter: Painter | None, seen: Tensor, steps: Steps, compute: Compute, checkpoint: Checkpoint
) -> Aim:
    """The aim of a job's picture, (1, 3, H, W) in [0, 1].

    Of a job that was begun before it is the same as then, whatever has been changed since, for the cloak is half made;
    and what a model painted for it is not painted again.
    """
    tensors, facts = checkpoint.load() or ({}, {})
    style, chosen = (facts["style"], facts["chosen"]) if facts else style_of(settings)
    if not style:
        steps.begin("choosing a style")
        style, chosen = first(seen, settings.seed, steps.advance, compute)
    steps.begin("painting the target")
    if "target" in tensors:
        compute.notes[:] = facts["notes"]
        return Aim(tensors["target"], style, chosen, facts["painter"])
    target, by = paint(None if facts else painter, seen, style, settings.seed, steps.advance, compute)
    facts = {"style": style, "chosen": chosen, "painter": by, "notes": compute.notes}
    checkpoint.save({"target": target} if painter else {}, facts)
    return Aim(target, style, chosen, by)


def style_of(settings: Settings) -> tuple[str, str]:
    """The target style and how it was chosen, ("", "") where the picture is to choose it.

    Raises BadInput for an unknown name.
    """
    if settings.style != "auto":
        return styles.find(settings.style).name, NAMED
    kept = artist.known()
    return (kept.style, kept.chosen) if kept else ("", "")


def first(seen: Tensor, seed: int, tick: Callable[[], None], compute: Compute) -> tuple[str, str]:
    """The same, drawn by an artist's first picture, (1, 3, H, W) in [0, 1], and kept for all that follow.

    tick: called LOOKS times.
    """
    style = choice.choose(choice.distances(seen, _every(4, tick)), seed)
    try:
        artist.keep(Artist(style, FIRST))
    except GlazeError as error:
        compute.notes.append(error.sentence)
    return style, FIRST


def strokes(painter: Painter | None) -> int:
    """How often `paint` calls its tick, at most."""
    return painter.painting.taken + 1 if painter else 1


def paint(
    painter: Painter | None, seen: Tensor, style: str, seed: int, tick: Callable[[], None], compute: Compute
) -> tuple[Tensor, str]:
    """Ω(seen, style), shaped like seen (1, 3, H, W), and who painted it: EMBEDDED where the painter could not."""
    if painter:
        target = diffusion.paint(painter, seen, styles.find(style).prompt, seed, tick, compute)
        if target is not None:
            return target, painter.name
    target = transfer(seen, styles.index(style))
    tick()
    return target, EMBEDDED


def change(settings: Settings) -> None:
    """Keep a style from now on: the named one; for "auto" one drawn by the distances, or without them none.

    Raises BadInput for an unknown name or unusable distances, GlazeError where nothing can be kept.
    """
    if settings.style != "auto":
        style = styles.find(settings.style).name
        artist.keep(replace(artist.known() or Artist(style, SET), style=style, chosen=SET))
    elif settings.distances:
        if set(settings.distances) != set(styles.STYLES):
            raise BadInput("settings", "The distances must be those from every style, as the job `learn` gives them.")
        far = {name: settings.distances[name] for name in styles.STYLES}
        style = choice.choose(list(far.values()), settings.seed)
        artist.keep(Artist(style, LEARNED, settings.pictures, far))
    else:
        artist.forget()


def known() -> dict[str, Any]:
    """For a report: every style with its prompt, who can paint, and what is kept of the artist."""
    kept = artist.known()
    return {
        "styles": {style.name: style.prompt for style in styles.CATALOGUE},
        "painters": [EMBEDDED, *painters.painters()],
        "artist": kept.describe() if kept else None,
    }


def _every(count: int, action: Callable[[], None]) -> Callable[[], None]:
    """A tick that calls `action` at every `count`-th call."""
    calls = 0

    def tick() -> None:
        nonlocal calls
        calls += 1
        if calls % count == 0:
            action()

    return tick
