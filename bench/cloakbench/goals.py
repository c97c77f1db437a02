"""What the project set out to reach, beside what was measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bench.cloakbench import summary
from bench.cloakbench.methods import STANDARD
from bench.cloakbench.summary import CurvePoint, Summary


@dataclass(frozen=True)
class Goal:
    """what: in words. least or most: the bound. measured: None where the run has nothing to say about it."""

    what: str
    bound: float
    measured: float | None
    at_most: bool = False

    @property
    def reached(self) -> bool | None:
        if self.measured is None:
            return None
        return self.measured <= self.bound if self.at_most else self.measured >= self.bound


def _ratio(one: float | None, other: float | None) -> float | None:
    return one / other if one is not None and other is not None and other > 0 else None


def _reaches(curve: list[CurvePoint], score: float) -> CurvePoint | None:
    return next((point for point in curve if point.score >= score), None)


def goals(found: Summary, matmul_rate: float) -> Iterator[Goal]:
    """Every goal that a run can judge. matmul_rate: operations per second, see machine.matmul_rate."""
    white = found.mean(STANDARD, summary.score)
    flip = summary.visibility("flip")
    app = max(("app", "app_native"), key=lambda name: found.mean(name, summary.score) or 0.0)
    yield Goal("S at B, standard", 0.22, white)
    for peer, words, factor in (
        (app, "the app's better form", 2.0),
        ("paper", "the paper", 2.0),
        ("blend", "the blend", 5.0),
    ):
        ratio = _ratio(white, found.mean(peer, summary.score))
        yield Goal(f"S at B, standard, in units of that of {words}", factor, ratio)
    flips = _ratio(found.mean(STANDARD, flip), found.mean(app, flip))
    yield Goal("FLIP at B, standard, in units of that of the app's better form", 1.0, flips, at_most=True)
    yield Goal("worst of the five at B, standard", 0.15, found.mean(STANDARD, summary.worst))

    paper, fast = found.curve("paper"), None
    for method in (STANDARD, "thorough"):
        fast = fast or (_reaches(found.curve(method), paper[-1].score) if paper else None)
    share = 1 / 15
    yield Goal(
        "iterations to the paper's last S at B, share of the paper's",
        share,
        fast.iterations / paper[-1].iterations if fast else None,
        at_most=True,
    )
    yield Goal(
        "seconds to the paper's last S at B, share of the paper's",
        share,
        fast.seconds / paper[-1].seconds if fast else None,
        at_most=True,
    )
    yield Goal("S at B of the embedded default on the white box", 0.14, found.mean("default", summary.score))
    yield Goal("S at B, preview, share of standard's", 0.6, _ratio(found.mean("preview", summary.score), white))
    seconds = [found.mean(name, lambda cell: cell.seconds) for name in ("preview", STANDARD)]
    yield Goal("seconds, preview, share of standard's", 0.1, _ratio(*seconds), at_most=True)
    rate = found.mean(STANDARD, lambda cell: cell.flops / cell.seconds if cell.flops else None)
    yield Goal("loop efficiency, share of the matrix product's rate", 0.4, _ratio(rate, matmul_rate))
