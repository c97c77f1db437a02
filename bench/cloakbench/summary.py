"""What the cells say when taken together: every figure of the report, with its interval."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.cloakbench.cells import BUDGET, Cell
from bench.cloakbench.methods import METHODS
from glaze_server.engine import measure
from glaze_server.engine.statistics import Estimate, estimate

Figure = Callable[[Cell], float | None]
"""A number of a cell; None where the cell has none."""

LABELS = {
    "none": "none",
    "half": "½",
    "three_eighths": "⅜",
    "quarter": "¼",
    "jpeg95": "JPEG 95",
    "jpeg85": "JPEG 85",
    "jpeg75": "JPEG 75",
    "half_jpeg75": "½ + JPEG 75",
    "webp80": "WebP 80",
    "crop": "off-grid crop",
    "noise": "noise 0.05",
    "blur": "blur 1 px",
    "median": "median 3",
    "bilateral": "bilateral ×64",
    "autoencoder": "autoencoder round trip",
    "noise_upscale": "noise 0.1 + Real-ESRGAN",
}
"""What tables and plots call the transforms."""


def score(cell: Cell) -> float:
    """S on the white box."""
    return measure.score(cell.white)


def worst(cell: Cell) -> float:
    """The least of the five on the white box."""
    return measure.worst(cell.white)


def shift(transform: str) -> Figure:
    """The targeted shift on the white box after that transform."""
    return lambda cell: cell.white.get(transform)


def transfer(encoder: str) -> Figure:
    """S on that encoder."""
    return lambda cell: measure.score(cell.shifts[encoder]) if encoder in cell.shifts else None


def visibility(name: str, unit: float = 1.0) -> Figure:
    """A figure of visibility, multiplied by `unit`."""

    def figure(cell: Cell) -> float | None:
        value = cell.visibility.get(name)
        return None if value is None else unit * value

    return figure


def survival_mean(cell: Cell) -> float:
    """The mean shift on the white box over everything that a cloak is judged after."""
    after = [value for name, value in cell.white.items() if name != "none"]
    return sum(after) / len(after)


def survival_worst(cell: Cell) -> float:
    """The least of them."""
    return min(value for name, value in cell.white.items() if name != "none")


@dataclass(frozen=True)
class CurvePoint:
    """Means over the pictures of the curves' points after so many iterations."""

    iterations: int
    seconds: float
    score: float


class Summary:
    """The cells of those picture–target pairs for which every method has all its cells, so that all are compared alike.

    methods: in the tables' order, those that ran. pairs: how many such pairs there are.
    """

    def __init__(self, cells: Sequence[Cell]) -> None:
        ran = {cell.method for cell in cells}
        self.methods = [method for name, method in METHODS.items() if name in ran]
        pairs: dict[tuple[str, int], set[str]] = defaultdict(set)
        for cell in cells:
            pairs[cell.picture, cell.target].add(cell.method)
        whole = {pair for pair, names in pairs.items() if names == ran}
        self.pairs = len(whole)
        self.cells = [cell for cell in cells if (cell.picture, cell.target) in whole]
        self.pictures = len({cell.picture for cell in self.cells})
        self.targets = len({cell.target for cell in self.cells})
        self.strata = list(dict.fromkeys(cell.stratum for cell in self.cells))

    def of(self, method: str, figure: Figure, track: str = BUDGET, stratum: str | None = None) -> Estimate | None:
        """The figure's mean for a method in a track, over the pictures of a stratum or all; None without values."""
        values: dict[str, list[float]] = defaultdict(list)
        for cell in self.cells:
            if (cell.method, cell.track) == (method, track) and stratum in (None, cell.stratum):
                value = figure(cell)
                if value is not None:
                    values[cell.picture].append(value)
        return estimate(values) if values else None

    def mean(self, method: str, figure: Figure, track: str = BUDGET) -> float | None:
        found = self.of(method, figure, track)
        return found.mean if found else None

    def transforms(self) -> list[str]:
        """Everything that shifts on the white box were taken after."""
        return list(self.cells[0].white) if self.cells else []

    def encoders(self) -> list[str]:
        """Everything that shifts were taken on."""
        return list(self.cells[0].shifts) if self.cells else []

    def curve(self, method: str) -> list[CurvePoint]:
        """S at the budget on the method's way, at the iterations that all its curves have."""
        curves = [cell.curve for cell in self.cells if cell.method == method and cell.curve]
        points: dict[int, list[tuple[float, float]]] = defaultdict(list)
        for curve in curves:
            for point in curve:
                points[point.iterations].append((point.seconds, point.score))
        return [
            CurvePoint(iterations, sum(s for s, _ in values) / len(values), sum(v for _, v in values) / len(values))
            for iterations, values in sorted(points.items())
            if len(values) == len(curves)
        ]
