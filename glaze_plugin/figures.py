"""What was measured on a cloak, in sentences. Every front end says it in these, in the artist's language."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from glaze_plugin.texts import Texts

Report = Mapping[str, Any]
"""As docs/protocol.md describes it."""
Tr = Callable[..., str]

ENGLISH: Tr = Texts({}, lambda: "en").tr


def statement(figures: Report, tr: Tr = ENGLISH) -> str:
    """The honest statement under every result: what was measured against which encoders, and what is known to defeat
    cloaks. Its numbers are measured ones alone; docs/limits.md has the sources of the rest.
    """
    if "targeted_shift" not in figures:
        return tr("Only visibility was measured.")
    parts = []
    if figures.get("trained"):
        width, height = figures["trained"]
        parts.append(tr("statement trained", width=width, height=height))
    for name, shift in figures["targeted_shift"].items():
        after = {transform: values[name] for transform, values in figures["survival"].items()}
        worst = min(after, key=lambda transform: after[transform])
        parts.append(
            tr(
                "statement moved",
                name=name,
                shift=shift,
                worst=after[worst],
                after=tr(f"after {worst}"),
                noise=figures["noise_control"]["targeted_shift"][name],
            )
        )
    parts.append(tr("Nothing was measured against other models."))
    parts.append(tr("statement broken"))
    return " ".join(parts)


def reviewed(cloaks: Sequence[tuple[str, Report]], percent: int, tr: Tr) -> list[str]:
    """What is said of layers under review: the figures of each at the measured opacity that is nearest to `percent`,
    the statement on the one that moved least, and what the engine noted. cloaks: names and reports.
    """

    def named(name: str, words: str) -> str:
        return words if len(cloaks) == 1 else f"{name}: {words}"

    shown = min(map(int, cloaks[0][1]["at_opacity"]), key=lambda one: abs(one - percent))
    least, report = min(cloaks, key=lambda one: sum(one[1]["targeted_shift"].values()))
    said = statement(report, tr)
    if shown != 100:
        said = tr("At 100 % opacity: {statement}", statement=said)
    notes = [note for _, one in cloaks for note in one["notes"]]
    return [*(named(name, _at(one, shown, tr)) for name, one in cloaks), named(least, said), *dict.fromkeys(notes)]


def _at(report: Report, percent: int, tr: Tr) -> str:
    figures = report["at_opacity"][str(percent)]
    return tr(
        "At {percent} % opacity: shift {shift:.2f}, LPIPS {alex:.3f}, largest change {change:.0f} of 255.",
        percent=percent,
        shift=figures["targeted_shift"],
        alex=figures["lpips"],
        change=255 * figures["max_change"],
    )
