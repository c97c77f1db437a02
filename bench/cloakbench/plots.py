"""The report's figures, as small SVG files."""

from __future__ import annotations

from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from bench.cloakbench import summary
from bench.cloakbench.summary import Summary

SIZE = (7.2, 4.8)
"""inches"""


def _save(figure: Figure, path: Path) -> None:
    """Write it with the legend above; the same figures give the same bytes, in letters and not in outlines."""
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=2, fontsize=7)
    with matplotlib.rc_context({"svg.hashsalt": "cloakbench", "svg.fonttype": "none"}):
        figure.savefig(path, metadata={"Date": None})


def looks(found: Summary, path: Path) -> None:
    """S against FLIP at the budget, a point for each method: up is stronger, left is less visible."""
    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.subplots()
    for method in found.methods:
        score = found.of(method.name, summary.score)
        flip = found.of(method.name, summary.visibility("flip"))
        if score and flip:
            bars = [[[one.mean - one.low], [one.high - one.mean]] for one in (flip, score)]
            marker = "o" if method.own else "s"
            axes.errorbar(flip.mean, score.mean, bars[1], bars[0], marker, capsize=2, label=method.about)
    axes.set(xlabel="FLIP (mean, 95 % interval over pictures)", ylabel="S at B")
    axes.grid(alpha=0.3)
    _save(figure, path)


def curves(found: Summary, path: Path) -> None:
    """S at the budget against iterations and against seconds, for the methods that were traced."""
    figure = Figure(figsize=SIZE, layout="constrained")
    both = figure.subplots(1, 2, sharey=True)
    for method in found.methods:
        curve = found.curve(method.name)
        if not curve:
            continue
        scores = [point.score for point in curve]
        both[0].plot([point.iterations for point in curve], scores, ".-", label=method.about)
        both[1].plot([point.seconds for point in curve], scores, ".-", label=method.about)
    for axes, label in zip(both, ("iterations", "seconds"), strict=True):
        axes.set(xscale="log", xlabel=label)
        axes.grid(alpha=0.3)
    both[0].set_ylabel("S at B")
    _save(figure, path)


def survival(found: Summary, path: Path) -> None:
    """The targeted shift at the budget after everything, a line for each method that reaches for the target."""
    transforms = found.transforms()
    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.subplots()
    for method in found.methods:
        if method.targeted:
            means = [found.mean(method.name, summary.shift(name)) for name in transforms]
            axes.plot(
                range(len(transforms)), [float("nan") if m is None else m for m in means], ".-", label=method.about
            )
    labels = [summary.LABELS[name] for name in transforms]
    axes.set_xticks(range(len(transforms)), labels, rotation=60, ha="right", fontsize=7)
    axes.set_ylabel("targeted shift at B")
    axes.grid(alpha=0.3)
    _save(figure, path)
