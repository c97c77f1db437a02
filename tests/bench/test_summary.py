"""What is said of many cells, from cells whose figures are known."""

from __future__ import annotations

import pytest

from bench.cloakbench import summary
from bench.cloakbench.cells import BUDGET, Cell, Point
from bench.cloakbench.goals import goals
from bench.cloakbench.summary import Summary
from glaze_server.engine.measure import FIVE


def cell(method: str, picture: str, shift: float, target: int = 0, seconds: float = 1.0, curve: bool = False) -> Cell:
    white = dict.fromkeys(FIVE, shift) | {"half_jpeg75": shift - 0.05, "quarter": shift - 0.1}
    points = [Point(5, seconds / 2, shift / 2), Point(10, seconds, shift)] if curve else []
    return Cell(
        key=f"{method} {picture} {target}",
        method=method,
        picture=picture,
        stratum="flat" if picture == "a" else "line",
        target=target,
        style="crayon",
        track=BUDGET,
        encoder="taef2",
        shifts={"taef2": white, "vgg16": dict.fromkeys(FIVE, shift / 4)},
        visibility={"flip": shift / 2, "psnr": None},
        iterations=10,
        seconds=seconds,
        flops=4e9 * seconds,
        curve=points,
    )


CELLS = [
    cell("standard", "a", 0.5, curve=True),
    cell("standard", "b", 0.3, curve=True),
    cell("app_native", "a", 0.2),
    cell("app_native", "b", 0.2),
    cell("paper", "a", 0.2, seconds=10, curve=True),
    cell("paper", "b", 0.2, seconds=10, curve=True),
]


def test_figures_are_means_over_pictures() -> None:
    found = Summary(CELLS)
    assert (found.pictures, found.targets, found.pairs) == (2, 1, 2)
    assert found.mean("standard", summary.score) == pytest.approx(0.39)
    assert found.mean("standard", summary.worst) == pytest.approx(0.35)
    assert found.mean("standard", summary.transfer("vgg16")) == pytest.approx(0.1)
    assert found.mean("standard", summary.survival_worst) == pytest.approx(0.3)
    assert found.mean("standard", summary.visibility("psnr")) is None
    flat = found.of("standard", summary.score, stratum="flat")
    assert flat is not None and flat.mean == pytest.approx(0.49)


def test_a_pair_that_some_method_lacks_is_not_counted_for_any() -> None:
    found = Summary([*CELLS, cell("standard", "a", 0.9, target=1)])
    assert found.pairs == 2
    assert found.mean("standard", summary.score) == pytest.approx(0.39)


def test_curves_are_means_at_common_iterations() -> None:
    points = Summary(CELLS).curve("standard")
    assert [(point.iterations, point.score) for point in points] == [(5, 0.2), (10, 0.4)]


def test_goals_are_judged_by_what_was_measured() -> None:
    judged = {goal.what: goal for goal in goals(Summary(CELLS), 1e10)}
    white = judged["S at B, standard"]
    assert white.measured == pytest.approx(0.39) and white.reached
    assert judged["S at B, standard, in units of that of the paper"].measured == pytest.approx(0.39 / 0.19)
    assert judged["S at B, standard, in units of that of the app's better form"].reached
    assert judged["FLIP at B, standard, in units of that of the app's better form"].reached is False
    sooner = judged["iterations to the paper's last S at B, share of the paper's"]
    assert sooner.measured == pytest.approx(0.5) and sooner.reached is False
    assert judged["seconds to the paper's last S at B, share of the paper's"].measured == pytest.approx(0.05)
    assert judged["S at B, preview, share of standard's"].reached is None
    assert judged["loop efficiency, share of the matrix product's rate"].measured == pytest.approx(0.4)
