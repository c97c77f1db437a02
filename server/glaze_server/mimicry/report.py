"""A study's report: JSON, and one HTML page that opens from the disk and needs nothing else."""

from __future__ import annotations

import base64
import html
import io
import json
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import matplotlib
import torch
from matplotlib.figure import Figure
from torch import Tensor

from glaze_plugin import __version__
from glaze_server.engine import pixels
from glaze_server.engine.survival import resize
from glaze_server.mimicry.arms import CLOAK, Arm
from glaze_server.mimicry.study import FIGURES, Study

TITLES = {
    "accuracy": "taken for the artist's",
    "fewer_alike": "fewer than after clean pictures treated alike",
    "distance": "distance to the artist's style",
    "closer": "closer to the artist than the clean-trained model's",
    "closer_alike": "closer than clean pictures treated alike",
    "kid": "KID to the artist's pictures",
    "genre_shift": "CLIP genre shift",
    "csd": "CSD likeness to the artist's pictures",
}
SEEN = ("cloaked", "noise", "blend", "cloaked against the embedded encoder alone")
"""What `study.KINDS` are called."""
SHOWN = 6
"""Pictures of an arm that the page shows."""
THUMB = 192
"""px of a picture on the page, at most."""
MOSTLY = 3
"""Styles that an arm's pictures are said to be taken for, at most."""
LIBRARIES = ("torch", "diffusers", "transformers", "peft", "numpy")


def write(study: Study, results: dict[str, Any]) -> dict[str, Any]:
    """report.json and report.html in the study's folder. Returns what the JSON holds. Raises GlazeError."""
    whole = results | {"versions": _versions(), "device": str(study.compute.device)}
    study.kept.text("report.json", json.dumps(whole, indent=1, allow_nan=False) + "\n")
    study.kept.text("report.html", page(study, whole))
    return whole


def verdict(results: dict[str, Any]) -> list[str]:
    """Whether the cloak kept the mimic from the style, as the figures have it.

    One sentence for each way, and one for each countermeasure in it. results: as `Study.run` returns them.
    """
    said = []
    for way, found in results["ways"].items():
        falls = found["falls"]
        clean = found["arms"]["clean"]["accuracy"]["mean"]
        mine = found["arms"]["cloak-100"]["accuracy"]["mean"]
        held = all(fall["significant"] for fall in falls.values())
        words = (
            "significantly fewer than of clean pictures and of both controls"
            if held
            else "not significantly fewer than of clean pictures and of both controls"
        )
        said.append(
            f"{way}: of the pictures of a mimic that learned from cloaked ones, {mine:.0%} are taken for the artist's, "
            f"of one that learned from clean ones {clean:.0%}; that is {words}."
        )
        counters = results["depends_on"]["plan"]["counters"]
        said += [_after(way, Arm(CLOAK, counter=counter), found["arms"]) for counter in counters]
    return said


def _after(way: str, mine: Arm, arms: dict[str, Any]) -> str:
    """What a countermeasure leaves of the cloak's effect, beside what it does to clean pictures, in one sentence."""
    fewer, closer = arms[mine.name]["fewer_alike"], arms[mine.name]["closer_alike"]
    taken = [arms[arm.name]["accuracy"]["mean"] for arm in (mine, mine.control)]
    held = [fewer["units"] > 1 and fewer["low"] > 0, closer["units"] > 1 and closer["high"] < 0.5]
    words = ["significantly" if one else "not significantly" for one in held]
    return (
        f"{way}, {mine.counter} for cloaked and clean pictures alike: of the pictures of the mimic of the cloaked ones "
        f"{taken[0]:.0%} are taken for the artist's, of the other's {taken[1]:.0%}, {words[0]} fewer (by "
        f"{number(fewer)}); it is closer to the artist in {number(closer)} of all pairs, {words[1]} fewer than the "
        "half that would mean no effect of the cloak."
    )


def told(results: dict[str, Any]) -> str:
    """How well the classifier knows what no mimic has seen, in one sentence."""
    found = results["classifier"]
    others = found["others_held_out"].values()
    words = f", and {sum(others) / len(others):.0%} of {len(others)} other artists'" if others else ""
    return (
        f"The classifier chooses among {len(found['styles'])} styles; of pictures that it has not seen it knows "
        f"{found['held_out']:.0%} of the artist's{words}."
    )


def detected(results: dict[str, Any]) -> str:
    """Whether a simple detector finds cloaked pictures, in one sentence."""
    return (
        "A simple detector, which looks at what a median filter takes away, ranks a cloaked picture above a clean one "
        f"of the same artist in {number(results['detected'])} of all pairs; by chance it would be half of them."
    )


def page(study: Study, results: dict[str, Any]) -> str:
    """The HTML page."""
    parts = [f"<p>{html.escape(sentence)}</p>" for sentence in verdict(results)]
    parts += [
        f"<p>{html.escape(sentence)}</p>" for sentence in (told(results), detected(results), results["statement"])
    ]
    for way, found in results["ways"].items():
        parts.append(f"<h2>{html.escape(way)}</h2>{_table(found, results['about'])}")
        parts.append(_plot(found["arms"], results["about"]))
    clean, treated = study.portfolio.training[:1], study.kept.load("pictures/000")
    parts.append("<h2>Pictures</h2><h3>the artist's, held out</h3>" + _strip(study.portfolio.held_out))
    parts.append("<h3>what the mimic saw: clean, " + ", ".join(SEEN[: len(treated)]) + "</h3>")
    parts.append(_strip(torch.cat([clean, treated])))
    for way in study.plan.tuning:
        for arm in study.plan.arms(study.more):
            about = html.escape(results["about"][arm.name])
            parts.append(f"<h3>{html.escape(way)}, {about}</h3>{_strip(_samples(study, way, arm))}")
    settings = {name: results[name] for name in ("depends_on", "style", "genre", "classifier", "versions", "device")}
    parts.append(f"<h2>Settings</h2><pre>{html.escape(json.dumps(settings, indent=1))}</pre>")
    parts += [f"<p>{html.escape(note)}</p>" for note in results["notes"]]
    return PAGE.format(body="\n".join(parts))


def _samples(study: Study, way: str, arm: Arm) -> Tensor:
    return study.kept.load(f"samples/{way}/{arm.name}/0")[:SHOWN]


def _strip(pictures: Tensor) -> str:
    """Pictures side by side."""
    images = []
    for picture in pictures[:SHOWN]:
        small = resize(picture[None], min(1.0, THUMB / picture.shape[-1])).clamp(0, 1)
        images.append(f'<img src="data:image/png;base64,{base64.b64encode(pixels.png(small)).decode()}" alt="">')
    return f"<div>{''.join(images)}</div>"


def number(found: dict[str, Any] | None) -> str:
    """A mean with its interval."""
    return "–" if found is None else f"{found['mean']:.3f} [{found['low']:.3f}, {found['high']:.3f}]"


def head() -> list[str]:
    """What stands above `rows`."""
    return ["", *(TITLES[figure] for figure in FIGURES), "what the classifier takes them for"]


def rows(way: dict[str, Any], about: dict[str, str]) -> list[list[str]]:
    """For each arm of a way its description, every figure of FIGURES and the styles that it is mostly taken for."""
    return [
        [about[name], *(number(found.get(figure)) for figure in FIGURES), _mostly(way["taken_for"][name])]
        for name, found in way["arms"].items()
    ]


def _mostly(taken_for: dict[str, float]) -> str:
    return ", ".join(f"{name} {share:.0%}" for name, share in list(taken_for.items())[:MOSTLY])


def _table(way: dict[str, Any], about: dict[str, str]) -> str:
    titles = "".join(f"<th>{title}</th>" for title in head())
    body = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in rows(way, about))
    return f"<table><tr>{titles}</tr>{body}</table><p>Brackets: 95 % intervals over seeds (Student).</p>"


def _plot(arms: dict[str, Any], about: dict[str, str]) -> str:
    """Two figures of every arm with their intervals, as SVG."""
    figure = Figure(figsize=(9, 1.2 + 0.3 * len(arms)), layout="constrained")
    names = list(arms)
    for axes, what in zip(figure.subplots(1, 2, sharey=True), ("accuracy", "closer_alike"), strict=True):
        found = [arms[name][what] for name in names]
        means = [one["mean"] for one in found]
        bars = [[one["mean"] - one["low"] for one in found], [one["high"] - one["mean"] for one in found]]
        axes.errorbar(means, range(len(names)), xerr=bars, fmt="o", capsize=2)
        axes.set(xlabel=TITLES[what], xlim=(-0.05, 1.05))
        axes.grid(alpha=0.3)
    axes.set_yticks(range(len(names)), [about[name] for name in names], fontsize=7)
    axes.invert_yaxis()
    data = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "mimicry", "svg.fonttype": "none"}):
        figure.savefig(data, format="svg", metadata={"Date": None})
    svg = data.getvalue()
    return svg[svg.index("<svg") :]


def _versions() -> dict[str, str]:
    found = {"glaze": __version__, "Python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return found


PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Glaze evaluation</title>
<style>
body {{ font: 16px/1.5 sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem; }}
td, th {{ padding: 0 1.5rem 0 0; text-align: left; }}
img {{ margin: 0 4px 4px 0; }}
svg {{ max-width: 100%; height: auto; }}
</style>
<h1>Does the cloak keep a mimic from the style?</h1>
{body}
</html>
"""
