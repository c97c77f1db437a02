"""A study of mimicry: a generator learns an artist's style from clean, cloaked and control pictures; how well?

Every run's pictures are kept as 8-bit files and all scores are taken from those, so that an interrupted study gives the
numbers of an undisturbed one. Fine-tuned weights are not kept.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor

from glaze_plugin.errors import BadInput, GlazeError
from glaze_plugin.figures import statement
from glaze_server.engine import styles
from glaze_server.engine.device import Compute
from glaze_server.engine.encoders import Encoder
from glaze_server.engine.pixels import rounded
from glaze_server.engine.progress import Reporter, Steps
from glaze_server.engine.statistics import estimate
from glaze_server.engine.transfer import transfer
from glaze_server.mimicry import cloaks, detection, portfolio, scores
from glaze_server.mimicry.arms import BLEND, CLEAN, CLOAK, FOREIGN, NOISE, OTHER, Arm, Plan
from glaze_server.mimicry.countermeasures import Countermeasure, tuned
from glaze_server.mimicry.csd import Csd
from glaze_server.mimicry.generator import Generator
from glaze_server.mimicry.genres import Genres
from glaze_server.mimicry.kept import Kept
from glaze_server.mimicry.portfolio import Portfolio, cloaked

SEED = 0
"""Of cloaks, controls and countermeasures; runs have their own."""
IN_EACH = 6
"""Pictures in each style that the classifier tells from the artist's, where they are made of the artist's own."""
LEAST_OF_OTHERS = 2
"""Pictures of another artist: one is held out."""
THE_ARTIST = "the artist"
"""The classifier's word."""
PX_BYTES = 3
"""Bytes for each px of a picture on disk, at most."""
FIGURES = ("accuracy", "fewer_alike", "distance", "closer", "closer_alike", "kid", "genre_shift", "csd")
CLOAKED = Arm(CLOAK)
KINDS = (CLOAK, NOISE, BLEND, FOREIGN)
"""The order in which a training picture's copies are kept; the last only where there is one."""

Judge = TypeVar("Judge", Genres, Csd)


@dataclass(frozen=True)
class Scored:
    """One run. distances: of each picture to the artist's style. numbers: (N, D) of their styles.

    taken_for: the share of pictures that the classifier takes for each style. csd: likeness to the held-out pictures.
    """

    distances: list[float]
    numbers: Tensor
    taken_for: dict[str, float]
    genre_shift: float | None
    csd: float | None

    @property
    def accuracy(self) -> float:
        """The share that it takes for the artist's."""
        return self.taken_for.get(THE_ARTIST, 0.0)


@dataclass
class Study:
    """judges: encoders that the cloak is computed against. others: other artists' pictures, each (N, 3, side, side).

    foreign: encoders that the cloak of one more arm is computed against.
    remover: SHA-256 of the trained remover's file among the countermeasures, "" for none.
    """

    generator: Generator
    judges: Sequence[Encoder]
    portfolio: Portfolio
    plan: Plan
    kept: Kept
    reporter: Reporter
    compute: Compute
    others: Mapping[str, Tensor] = field(default_factory=dict)
    foreign: Sequence[Encoder] = ()
    countermeasures: Mapping[str, Countermeasure] = field(default_factory=dict)
    genres: Genres | None = None
    csd: Csd | None = None
    remover: str = ""

    @property
    def more(self) -> list[str]:
        """Kinds of arms that not every study has."""
        return [kind for kind, there in ((FOREIGN, bool(self.foreign)), (OTHER, bool(self.others))) if there]

    def run(self) -> dict[str, Any]:
        """Do what is not done yet. Returns everything that a report shows. Raises GlazeError with a sentence."""
        self.plan.check(list(self.countermeasures))
        self._check_others()
        cells = list(self.plan.cells(self.more))
        self.kept.begin(self._depends_on(), self._bytes(len(cells)))
        training = self.portfolio.training
        treating = len(training) * cloaks.steps(self.plan.quality, bool(self.foreign))
        looks = cloaks.LOOKED_AT * len(styles.STYLES)
        sizes = [self.plan.tuning[way].steps + self.plan.samples for way, _, _ in cells]
        scoring = len(cells) * self.plan.samples
        steps = Steps(self.reporter, looks + treating + sum(sizes) + scoring)
        style = self._treat(steps, treating + sum(sizes) + scoring)
        for number, (way, arm, seed) in enumerate(cells):
            steps.begin(f"{arm.name}, {way}, seed {seed + 1} of {self.plan.seeds}", sum(sizes[number:]) + scoring)
            self._cell(way, arm, seed, steps.advance)
        steps.begin("comparing", scoring)
        return self._results(style, steps.advance)

    def _check_others(self) -> None:
        """Raises BadInput where another artist has too few pictures: one is held out."""
        for name, pictures in self.others.items():
            if len(pictures) < LEAST_OF_OTHERS:
                raise BadInput(
                    "few_pictures", f"Of another artist a study needs {LEAST_OF_OTHERS} pictures at least: {name}."
                )

    def _depends_on(self) -> dict[str, Any]:
        digest = hashlib.sha256()
        for pictures in (self.portfolio.training, self.portfolio.held_out, *self.others.values()):
            digest.update((pictures * 255).round().to(torch.uint8).numpy().tobytes())
        return json.loads(  # type: ignore[no-any-return]
            json.dumps(
                {
                    "generator": self.generator.name,
                    "weights": self.generator.identity,
                    "side": self.generator.side,
                    "encoders": [judge.name for judge in self.judges],
                    "foreign": [judge.name for judge in self.foreign],
                    "pictures": digest.hexdigest(),
                    "others": list(self.others),
                    "plan": asdict(self.plan),
                    **({"remover": self.remover} if self.remover else {}),
                }
            )
        )

    def _bytes(self, cells: int) -> int:
        kept = len(KINDS) + sum(bool(arm.counter) for arm in self.plan.arms(self.more))
        pictures = cells * self.plan.samples + kept * len(self.portfolio.training)
        return PX_BYTES * self.generator.side**2 * pictures

    def _treat(self, steps: Steps, after: int) -> str:
        """Cloak the training pictures and make the controls, where that is not done. Returns the target style."""
        training, style_file = self.portfolio.training, self.kept.folder / "style"
        steps.begin("choosing a style")
        if not style_file.exists():
            name = cloaks.target_style(training, self.plan.style, SEED, steps.advance)
            self.kept.text("style", name)
        style = style_file.read_text()
        one = cloaks.steps(self.plan.quality, bool(self.foreign))
        for number in range(len(training)):
            name = f"pictures/{number:03}"
            steps.begin(f"cloaking picture {number + 1} of {len(training)}", after - number * one)
            if not self.kept.has(name):
                treated = cloaks.treat(
                    training[number : number + 1],
                    style,
                    self.judges,
                    self.plan.quality,
                    SEED + number,
                    self.compute,
                    steps.advance,
                    self.foreign,
                )
                self.kept.text(f"{name}/figures.json", json.dumps(treated.figures))
                copies = (getattr(treated, kind) for kind in KINDS)
                self.kept.pictures(name, torch.cat([copy for copy in copies if copy is not None]))
        return style

    def _treated(self, kind: str) -> Tensor:
        place = KINDS.index(kind)
        count = len(self.portfolio.training)
        return torch.stack([self.kept.load(f"pictures/{number:03}")[place] for number in range(count)])

    def pictures(self, arm: Arm, seed: int) -> Tensor:
        """What a mimic of that arm trains on, (N, 3, side, side); countermeasures, which may be dear, act once."""
        if not arm.counter:
            return self._published(arm, seed)
        name = f"countered/{arm.name}"
        if not self.kept.has(name):
            found = self._published(arm, seed)
            self.kept.pictures(name, self.countermeasures[arm.counter](found, SEED, self.generator.round_trip))
        return self.kept.load(name)

    def _published(self, arm: Arm, seed: int) -> Tensor:
        """What a mimic of that arm finds, before any countermeasure."""
        training = self.portfolio.training
        if arm.kind == OTHER:
            return next(iter(self.others.values()))[: len(training)]
        if arm.kind == CLEAN:
            return training
        mixed = training.clone()
        changed = cloaked(len(training), arm.share, seed)
        mixed[changed] = self._treated(arm.kind)[changed]
        return mixed

    def _cell(self, way: str, arm: Arm, seed: int, tick: Callable[[], None]) -> None:
        name = _place(way, arm, seed)
        if self.kept.has(name):
            return
        pictures = self.pictures(arm, seed)
        captions = [self.plan.caption] * len(pictures)
        how = tuned(self.plan.tuning[way], arm.counter)
        mimic = self.generator.finetune(pictures, captions, how, seed, tick)
        self.kept.pictures(name, mimic.generate(self.plan.prompted(), seed, tick))

    def _results(self, style: str, tick: Callable[[], None]) -> dict[str, Any]:
        device, own = self.compute.device, self.portfolio
        held_out = self._given_back(own.held_out)
        held, training = scores.styles(held_out, device), self._seen(own.training)
        reference = scores.Reference(held)
        artist = torch.stack([one.numbers for one in (*held, *training)])
        held_back, classifier = self._classifier(training)
        genre = self.genres.own(torch.cat([own.training, own.held_out])) if self.genres else None
        own_style = self.csd.own(held_out, device) if self.csd else None

        def score(name: str) -> Scored:
            samples = self.kept.load(name)
            found = scores.styles(samples, device, tick)
            return Scored(
                [reference.distance(one) for one in found],
                torch.stack([one.numbers for one in found]),
                classifier.taken_for(found),
                self.genres.shift(samples, genre) if self.genres and genre else None,
                self.csd.likeness(samples, own_style, device) if self.csd and own_style is not None else None,
            )

        arms = self.plan.arms(self.more)
        ways: dict[str, Any] = {}
        for way in self.plan.tuning:
            by_arm: dict[str, dict[str, list[float]]] = {arm.name: {} for arm in arms}
            taken: dict[str, list[dict[str, float]]] = {arm.name: [] for arm in arms}
            for seed in range(self.plan.seeds):
                scored = {arm: score(_place(way, arm, seed)) for arm in arms}
                for arm, one in scored.items():
                    taken[arm.name].append(one.taken_for)
                    alike = scored[arm.control]
                    values = {
                        "accuracy": one.accuracy,
                        "fewer_alike": alike.accuracy - one.accuracy,
                        "distance": sum(one.distances) / len(one.distances),
                        "closer": scores.closer(one.distances, scored[Arm(CLEAN)].distances),
                        "closer_alike": scores.closer(one.distances, alike.distances),
                        "kid": scores.kid(one.numbers, artist),
                        "genre_shift": one.genre_shift,
                        "csd": one.csd,
                    }
                    for figure, value in values.items():
                        if value is not None:
                            by_arm[arm.name].setdefault(figure, []).append(value)
            ways[way] = {
                "arms": {arm: _estimates(values) for arm, values in by_arm.items()},
                "falls": _falls(by_arm),
                "taken_for": {arm: _mean(found) for arm, found in taken.items()},
            }
        figures = self._cloak_figures()
        return {
            "ways": ways,
            "about": {arm.name: self._about(arm) for arm in arms},
            "style": style,
            "genre": genre,
            "classifier": {
                "styles": list(classifier.names),
                "held_out": classifier.taken_for(held).get(THE_ARTIST, 0.0),
                "others_held_out": {
                    name: classifier.taken_for(found).get(name, 0.0) for name, found in held_back.items()
                },
            },
            "cloak": figures,
            "detected": asdict(detection.found(own.training, self._treated(CLOAK))),
            "statement": statement(figures),
            "depends_on": self._depends_on(),
            "notes": list(self.compute.notes),
        }

    def _classifier(self, training: Sequence[scores.Style]) -> tuple[dict[str, list[scores.Style]], scores.Classifier]:
        """What tells the artist from other artists and from the catalogue's styles, and others' pictures held out.

        A catalogue's style is shown by pictures of the artist's own in it, so that content tells nothing, and all
        pictures have been through the generator's autoencoder, so that its traces tell nothing either.
        """
        known = {THE_ARTIST: list(training)}
        held_back = {}
        for name, pictures in self.others.items():
            found = self._seen(pictures)
            last = max(1, len(found) // portfolio.HELD_OUT)
            known[name], held_back[name] = found[:-last], found[-last:]
        own = self.portfolio.training
        for place, name in enumerate(styles.STYLES):
            chosen = [(place * IN_EACH + number) % len(own) for number in range(min(IN_EACH, len(own)))]
            painted = [rounded(transfer(own[number : number + 1], styles.index(name))) for number in chosen]
            known[name] = self._seen(torch.cat(painted))
        return held_back, scores.Classifier(known)

    def _seen(self, pictures: Tensor) -> list[scores.Style]:
        """The styles of pictures as the generator's autoencoder gives them back."""
        return scores.styles(self._given_back(pictures), self.compute.device)

    @torch.no_grad()
    def _given_back(self, pictures: Tensor) -> Tensor:
        """Pictures as the generator's autoencoder gives them back, in the steps of 8 bits."""
        return rounded(torch.cat([self.generator.round_trip(one[None]) for one in pictures]).clamp(0, 1))

    def _about(self, arm: Arm) -> str:
        """For a reader, with how many pictures a share of them comes to."""
        count = len(self.portfolio.training)
        exact = "" if arm.share == 100 else f" ({portfolio.many(count, arm.share)} of {count})"
        return arm.about.replace(" cloaked", f" cloaked{exact}", 1)

    def _cloak_figures(self) -> dict[str, Any]:
        count = len(self.portfolio.training)
        paths = [self.kept.folder / f"pictures/{number:03}/figures.json" for number in range(count)]
        return cloaks.mean_figures([json.loads(path.read_text(encoding="utf-8")) for path in paths])


def _place(way: str, arm: Arm, seed: int) -> str:
    return f"samples/{way}/{arm.name}/{seed}"


def _estimates(values: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Figure → mean with its interval over seeds, and each seed's own."""
    return {
        figure: asdict(estimate({str(seed): [value] for seed, value in enumerate(found)})) | {"seeds": list(found)}
        for figure, found in values.items()
    }


def _mean(found: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Each name's mean over all runs, the largest first; a run without it counts as 0."""
    whole = {name: sum(one.get(name, 0.0) for one in found) / len(found) for one in found for name in one}
    return dict(sorted(whole.items(), key=lambda item: (-item[1], item[0])))


def _falls(by_arm: Mapping[str, Mapping[str, Sequence[float]]]) -> dict[str, Any]:
    """By how much the classifier's accuracy is below that of clean pictures and of the controls, seed by seed.

    significant: the 95 % interval lies above 0; of fewer than two seeds nothing is.
    """
    mine = by_arm[CLOAKED.name]["accuracy"]
    found = {}
    for name in (CLEAN, NOISE, BLEND):
        differences = [other - own for other, own in zip(by_arm[name]["accuracy"], mine, strict=True)]
        fall = estimate({str(seed): [value] for seed, value in enumerate(differences)})
        found[name] = asdict(fall) | {"significant": fall.units > 1 and fall.low > 0}
    return found


def known(judge: type[Judge], notes: list[str]) -> Judge | None:
    """CLIP or CSD where it is on this computer; else None, and a note for the artist."""
    try:
        return judge()
    except GlazeError as error:
        notes.append(str(error))
        return None
