"""What was measured on a cloak, in sentences."""

from __future__ import annotations

from typing import Any

from .texts import tr


def figures(report: dict[str, Any], percent: int) -> list[str]:
    """What was measured at the opacity that is nearest to `percent`, in sentences."""
    measured = {int(one): figures for one, figures in report["at_opacity"].items()}
    noise = report["noise_control"]["targeted_shift"].values()
    percent = min(measured, key=lambda one: abs(one - percent))
    at = measured[percent]
    return [
        tr(
            "Shift {shift:.2f} at {percent} % opacity; noise as visible as all of it: {noise:.2f}.",
            shift=at["targeted_shift"],
            percent=percent,
            noise=sum(noise) / len(noise),
        ),
        tr(
            "LPIPS {alex:.3f}, largest change {change:.0f} of 255.",
            alex=at["lpips"],
            change=255 * at["max_change"],
        ),
        tr("Measured, not guaranteed: cloaks of this kind have been broken."),
        *report["notes"],
    ]
