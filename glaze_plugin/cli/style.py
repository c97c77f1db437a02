"""The commands about the artist's own style, and the target towards which all works are drawn.

Pictures go to the daemon one by one; what is kept, it keeps.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

from rich.table import Table

from glaze_plugin.cli.folders import READ, Found, look, no_pictures
from glaze_plugin.cli.output import complain, console, print_json, progress_bar
from glaze_plugin.cli.pictures import read
from glaze_plugin.cli.service import connected
from glaze_plugin.errors import BadInput, Cancelled, DaemonUnavailable, GlazeError, described

MOST = 100
"""Pictures that are looked at; of more, so many are taken evenly."""

HOW = {
    "learned": "learned from {pictures} of your pictures",
    "set": "set by you",
    "first picture": "by your first picture",
}


def _ask(**settings: Any) -> dict[str, Any]:
    """What is kept of the artist, after the change that the settings ask for."""
    with connected() as client:
        return client.run("style", {}, settings, label="style").report


def _say(report: dict[str, Any], json: bool) -> None:
    artist = report["artist"]
    if json:
        print_json(artist)
    elif artist is None:
        console.print("No target style is kept; the next picture that you cloak chooses one.")
    else:
        how = HOW.get(artist["chosen"], artist["chosen"]).format(**artist)
        console.print(f"Your pictures are drawn towards {artist['style']}, {how}.", soft_wrap=True)


def show(json: bool) -> None:
    """Print which target style is kept."""
    _say(_ask(), json)


def choose(name: str, json: bool) -> None:
    """Keep the style of that name. Raises BadInput where there is none."""
    if name == "auto":
        raise BadInput("unknown_style", "There is no style 'auto'.", "`glaze style reset` leaves the choice to Glaze.")
    _say(_ask(change=True, style=name), json)


def reset(json: bool) -> None:
    """Keep none."""
    _say(_ask(change=True), json)


def list_all(json: bool) -> None:
    """Print all target styles, the kept one marked, with their distances from the artist's own style where known."""
    report = _ask()
    if json:
        print_json(report)
        return
    kept = report["artist"] or {"style": "", "distances": {}}
    table = Table("", "style", "from yours", "looks like", box=None, pad_edge=False)
    for name, prompt in report["styles"].items():
        distance = f"{kept['distances'][name]:.2f}" if name in kept["distances"] else ""
        table.add_row("*" if name == kept["style"] else "", name, distance, prompt)
    console.print(table)
    console.print(f"Painters: {', '.join(report['painters'])}", soft_wrap=True)


def found(places: list[Path]) -> list[Path]:
    """The pictures in those folders, at any depth, and those named themselves; MOST of them, evenly taken.

    Folders that cannot be read are told of. Raises BadInput where there is none, or no such place.
    """
    pictures: list[Path] = []
    for place in places:
        if not place.exists():
            raise BadInput("missing_file", f"There is no folder {place}.")
        inside = look(place) if place.is_dir() else Found([place] * (place.suffix.lower() in READ))
        pictures += sorted(inside.pictures)
        for error in inside.closed.values():
            complain(error)
    if not pictures:
        raise no_pictures(", ".join(map(str, places)))
    count = min(len(pictures), MOST)
    return [pictures[number * len(pictures) // count] for number in range(count)]


def learn(places: list[Path], seed: int | None, json: bool) -> None:
    """Measure the artist's style over the pictures and keep a target drawn by it; what cannot be used is told of.

    seed: of the draw; None is another one each time. Raises BadInput where no picture can be used, Cancelled on
    Ctrl-C; then nothing is changed.
    """
    pictures = found(places)
    seen: list[dict[str, float]] = []
    failed = []
    try:
        for number, picture in enumerate(pictures, 1):
            try:
                seen.append(_distances(picture, f"{number} of {len(pictures)}", json))
            except DaemonUnavailable:
                raise
            except GlazeError as error:
                failed.append({"source": str(picture), "error": described(error)})
                complain(error, str(picture))
        if not seen:
            raise BadInput("no_pictures", "None of these pictures can be used.")
        mean = {name: sum(one[name] for one in seen) / len(seen) for name in seen[0]}
        draw = secrets.randbelow(2**31) if seed is None else seed
        report = _ask(change=True, distances=mean, pictures=len(seen), seed=draw)
    except KeyboardInterrupt:
        raise Cancelled("cancelled", "Cancelled; the target style is as it was.") from None
    if json:
        print_json({**report["artist"], "failed": failed})
    else:
        _say(report, json)


def _distances(picture: Path, title: str, json: bool) -> dict[str, float]:
    parts = {"picture": read(picture)}
    with connected() as client, progress_bar(title, not json) as update:
        report = client.run("learn", parts, {}, label=picture.name, on_progress=update).report
    return {str(name): float(distance) for name, distance in report["distances"].items()}
