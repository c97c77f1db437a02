"""The report: tables for the terminal and for docs/results.md, and the same figures as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.cloakbench import plots, summary
from bench.cloakbench.cells import BUDGET, PUBLISHED, TIME, TRACKS
from bench.cloakbench.goals import goals
from bench.cloakbench.summary import Figure, Summary
from bench.sections import kept, placed
from glaze_server.engine import measure

LOOKS: dict[str, tuple[Figure, int]] = {
    "FLIP": (summary.visibility("flip"), 3),
    "flat RMS /255": (summary.visibility("flat_rms", 255), 2),
    "JOD": (summary.visibility("jod"), 2),
    "PSNR dB": (summary.visibility("psnr"), 1),
    "LPIPS alex": (summary.visibility("lpips_alex"), 3),
    "LPIPS vgg": (summary.visibility("lpips_vgg"), 3),
    "max /255": (summary.visibility("max_change", 255), 1),
}

Row = Sequence[str]


@dataclass(frozen=True)
class Facts:
    """Where and when. side: px. matmul_rate: operations per second. skips: sentences. complete: whether all was run."""

    date: str
    machine: str
    commit: str
    encoder: str
    side: int
    matmul_rate: float
    complete: bool
    skips: list[str] = field(default_factory=list)


def number(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def table(head: Row, rows: Sequence[Row]) -> str:
    """A Markdown table whose first column is text, aligned so that it also reads as it is."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]

    def line(row: Row) -> str:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        return f"| {' | '.join(cells)} |"

    return "\n".join(line(row) for row in (head, rule, *rows))


class Report:
    """The tables of one run."""

    def __init__(self, found: Summary, facts: Facts) -> None:
        self._found = found
        self._facts = facts

    def _interval(self, method: str, figure: Figure, track: str = BUDGET, stratum: str | None = None) -> str:
        estimate = self._found.of(method, figure, track, stratum)
        if estimate is None:
            return "–"
        return f"{estimate.mean:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"

    def track(self, track: str) -> str:
        """S with its interval, the worst, the five, and how it looks, for each method."""
        rows = []
        for method in self._found.methods:
            name = method.name
            five = [number(self._found.mean(name, summary.shift(transform), track)) for transform in measure.FIVE]
            looks = [number(self._found.mean(name, figure, track), digits) for figure, digits in LOOKS.values()]
            score = self._interval(name, summary.score, track)
            rows.append([method.about, score, self._interval(name, summary.worst, track), *five, *looks])
        return table(["method", "S", "worst of five", *(summary.LABELS[name] for name in measure.FIVE), *LOOKS], rows)

    def strata(self) -> str:
        rows = [
            [
                method.about,
                *(self._interval(method.name, summary.score, stratum=stratum) for stratum in self._found.strata),
                *(
                    number(flip.mean if flip else None)
                    for stratum in self._found.strata
                    for flip in [self._found.of(method.name, summary.visibility("flip"), stratum=stratum)]
                ),
            ]
            for method in self._found.methods
        ]
        return table(["method", *self._found.strata, *(f"FLIP {name}" for name in self._found.strata)], rows)

    def survival(self) -> str:
        names = self._found.transforms()
        rows = []
        for method in self._found.methods:
            shifts = [number(self._found.mean(method.name, summary.shift(name))) for name in names]
            means = [self._interval(method.name, one) for one in (summary.survival_mean, summary.survival_worst)]
            rows.append([method.about, *means, *shifts])
        return table(["method", "mean", "worst", *(summary.LABELS[name] for name in names)], rows)

    def transfer(self) -> str:
        names = self._found.encoders()
        rows = [
            [method.about, *(self._interval(method.name, summary.transfer(name)) for name in names)]
            for method in self._found.methods
        ]
        return table(["method", *names], rows)

    def cost(self) -> str:
        rows = []
        for method in self._found.methods:
            of = [self._found.mean(method.name, lambda cell: float(cell.iterations))]
            of.append(self._found.mean(method.name, lambda cell: cell.flops / 1e9 if cell.flops else None))
            of.append(self._found.mean(method.name, lambda cell: cell.memory))
            seconds = self._interval(method.name, lambda cell: cell.seconds)
            rows.append([method.about, seconds, *(number(value, 0) for value in of)])
        return table(["method", "seconds", "iterations", "GFLOP", "MiB above the process's rest"], rows)

    def goals(self) -> str:
        words = {True: "yes", False: "no", None: "not judged"}
        rows = [
            [
                goal.what,
                f"{'≤' if goal.at_most else '≥'} {goal.bound:.3f}",
                number(goal.measured),
                words[goal.reached],
            ]
            for goal in goals(self._found, self._facts.matmul_rate)
        ]
        return table(["goal", "bound", "measured", "reached"], rows)

    def text(self, plots_at: str) -> str:
        """The whole report in Markdown. plots_at: folder of the plots, as links shall name it."""
        return "\n".join(self._parts(plots_at))

    def _parts(self, plots_at: str) -> Iterator[str]:
        found, facts = self._found, self._facts
        yield "# Measured results\n"
        yield (
            "Written by `python -m bench.cloakbench` (`make bench`), the section on mimicry by "
            "`python -m bench.mimic`. What other benchmarks measured, and what was tried, is in [tried.md](tried.md).\n"
        )
        yield f"- date: {facts.date}\n- machine: {facts.machine}\n- commit: {facts.commit}"
        yield f"- white-box encoder: {facts.encoder}; pictures of {facts.side} px on their longer side"
        yield f"- {found.pictures} pictures, {found.targets} targets, {found.pairs} pairs of picture and target"
        yield f"- matrix product: {facts.matmul_rate / 1e9:.0f} GFLOP/s"
        if not facts.complete:
            yield "- the run was stopped by its time limit; only pairs that every method has finished are counted"
        yield (
            "\nS is the mean targeted shift over no transform, ½ downscale, JPEG 75, ½ + JPEG 75 and a crop off the "
            "8 px grid, each after rounding to 8 bits. B is the visual budget that all limits of "
            "`budget.Budget` make together; each method's δ is scaled to it on each picture, up or down. Brackets "
            "are 95 % intervals over pictures (Student's). FLIP is only reported: nothing is optimised for it or "
            "scaled by it.\n"
        )
        yield f"## At equal visual budget B\n\n{self.track(BUDGET)}\n"
        yield f"![S against FLIP]({plots_at}/looks.svg)\n"
        yield f"### S at B and FLIP by kind of picture\n\n{self.strata()}\n"
        yield f"## As published\n\nPeers with their own settings, this engine as it ships.\n\n{self.track(PUBLISHED)}\n"
        yield (
            "## In equal time\n\nEvery method stopped at the seconds that standard quality took there (with the "
            f"iteration in progress), then scaled to B.\n\n{self.track(TIME)}\n"
        )
        yield f"![S on the way]({plots_at}/curves.svg)\n"
        yield (
            f"## Survival at B\n\nMean and worst over everything but “none”.\n\n{self.survival()}\n\n"
            f"![Survival]({plots_at}/survival.svg)\n"
        )
        yield f"## Transfer: S at B on every encoder at hand\n\n{self.transfer()}\n"
        yield f"## Cost\n\nOf the optimisation alone.\n\n{self.cost()}\n"
        yield f"## Goals\n\n{self.goals()}\n"
        skips = "\n".join(f"- {sentence}" for sentence in facts.skips) or "Nothing."
        yield f"## Left out\n\n{skips}\n"

    def figures(self) -> dict[str, Any]:
        """Everything that the tables show, unrounded."""
        found = self._found
        named: dict[str, Figure] = {"score": summary.score, "worst": summary.worst}
        named |= {"survival_mean": summary.survival_mean, "survival_worst": summary.survival_worst}
        named |= {f"shift {name}": summary.shift(name) for name in found.transforms()}
        named |= {f"transfer {name}": summary.transfer(name) for name in found.encoders()}
        named |= {name: figure for name, (figure, _) in LOOKS.items()}
        named |= {"seconds": lambda cell: cell.seconds, "iterations": lambda cell: float(cell.iterations)}
        named |= {"flops": lambda cell: cell.flops, "memory_mib": lambda cell: cell.memory}
        results = {
            method.name: {
                track: {
                    name: asdict(value)
                    for name, figure in named.items()
                    if (value := found.of(method.name, figure, track)) is not None
                }
                for track in TRACKS
            }
            for method in found.methods
        }
        strata = {
            method.name: {
                stratum: asdict(value)
                for stratum in found.strata
                if (value := found.of(method.name, summary.score, stratum=stratum)) is not None
            }
            for method in found.methods
        }
        curves = {method.name: [asdict(point) for point in found.curve(method.name)] for method in found.methods}
        judged = [asdict(goal) | {"reached": goal.reached} for goal in goals(found, self._facts.matmul_rate)]
        counts = {"pictures": found.pictures, "targets": found.targets, "pairs": found.pairs}
        facts = asdict(self._facts) | counts
        return {"facts": facts, "results": results, "strata": strata, "curves": curves, "goals": judged}

    def write(self, out: Path) -> Path:
        """results.md in `out`, JSON and plots in `out`/results. Returns the path of results.md."""
        folder = out / "results"
        folder.mkdir(parents=True, exist_ok=True)
        plots.looks(self._found, folder / "looks.svg")
        plots.curves(self._found, folder / "curves.svg")
        plots.survival(self._found, folder / "survival.svg")
        figures = json.dumps(self.figures(), indent=1, allow_nan=False)
        (folder / "results.json").write_text(figures + "\n", encoding="utf-8")
        page = out / "results.md"
        other = kept(page.read_text(encoding="utf-8")) if page.exists() else ""
        made = self.text("results").rstrip() + "\n"
        page.write_text(placed(made, other) if other else made, encoding="utf-8")
        return page

    def brief(self) -> str:
        """The tables that say the most, for the terminal."""
        return f"At equal visual budget B\n\n{self.track(BUDGET)}\n\nGoals\n\n{self.goals()}\n"
