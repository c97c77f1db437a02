"""The order of the run, and how a cell comes about: run the method, hold its δ to the budget, judge what it shows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from bench.cloakbench import corpus, trial
from bench.cloakbench.cells import BUDGET, PUBLISHED, TIME, TRACKS, Cell, Point, Store, code_of, finite, key
from bench.cloakbench.methods import METHODS, STANDARD, Method
from bench.cloakbench.purifiers import Purifier
from bench.cloakbench.remembered import Remembered
from bench.cloakbench.scene import Picture, Scene
from bench.cloakbench.task import Task
from bench.cloakbench.trial import Trial
from glaze_server.engine import measure, pulled, stock
from glaze_server.engine.budget import Budget, Eye, fill, fit
from glaze_server.engine.catalogue import find
from glaze_server.engine.device import Compute, Device
from glaze_server.engine.encoders import Encoder
from glaze_server.engine.survival import ALL_TRANSFORMS, Transform, unchanged

EVERYTHING = {"none": unchanged} | ALL_TRANSFORMS


def weights_of(name: str) -> str:
    """A key of an encoder's weights, the artist's own or not; "" where they are not on this computer."""
    path = stock.own().get(name) or stock.weights_file(find(name))
    if path is None:
        return ""
    files = sorted(file for file in path.iterdir() if file.is_file()) if path.is_dir() else [path]
    return key(*map(pulled.sha256, files))


def to_budget(delta: Tensor, scene: Scene, eye: Eye) -> Tensor:
    """δ scaled up or down as far as the joint budget lets it, judged as an 8-bit file; 0 where nothing holds."""
    most = float((scene.seen(delta) - scene.picture.seen).abs().max())
    return fill(delta, most, scene.show, eye, Budget(), lambda: None)


@dataclass
class Bench:
    """What all cells of a run share.

    encoder: the white box. judges: every encoder that shifts are taken on, the white box among them. purifiers: judged
    beside ALL_TRANSFORMS on the white box. work: folder of the store and of δ that several targets share.
    """

    encoder: Encoder
    judges: Sequence[Encoder]
    purifiers: Mapping[str, Purifier]
    device: Device
    work: Path
    part: str = ""
    store: Store = field(init=False)
    white_transforms: dict[str, Transform] = field(init=False)
    _warm: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        transforms = EVERYTHING | {name: one.transform for name, one in self.purifiers.items()}
        self.white_transforms = {name: Remembered(one) for name, one in transforms.items()}
        self.store = Store(self.work, self.part)
        names = [judge.name for judge in self.judges]
        models = [f"{name} by {one.model}" for name, one in self.purifiers.items()]
        self._settings = key(self.encoder.name, weights_of(self.encoder.name), names, models, self.device)
        self._code = {own: code_of(own) for own in (True, False)}

    def cells(self, scene: Scene, method: Method, standard: Method) -> list[Cell]:
        """The method's cell of each track, from the store where they are."""
        known = self.known(scene, method, standard)
        if known:
            return known
        keys = self._keys(scene, method, standard)
        limit = self._limit(scene, method, standard)
        stored = {track: cell for track, name in keys.items() if (cell := self.store.get(name))}
        if limit is not None and PUBLISHED in stored and BUDGET in stored:
            found = [*stored.values(), self._again(scene, method, limit, stored[BUDGET], keys[TIME])]
        else:
            self._warm_up(scene)
            found = self._make(scene, method, self._trial(scene, method, limit), keys)
        self.store.add(cell for cell in found if cell not in stored.values())
        return found

    def known(self, scene: Scene, method: Method, standard: Method) -> list[Cell] | None:
        """The same from the store alone, None where one is missing."""
        found = [self.store.get(name) for name in self._keys(scene, method, standard).values()]
        return [cell for cell in found if cell] if all(found) else None

    def _keys(self, scene: Scene, method: Method, standard: Method) -> dict[str, str]:
        base = self._base(scene, method)
        timed = key(base, self._base(self._timing(scene, method), standard))
        return {track: key(timed if track == TIME else base, track) for track in TRACKS}

    def _base(self, scene: Scene, method: Method) -> str:
        return key(self._settings, self._code[method.own], method.name, scene.fingerprint())

    @staticmethod
    def _timing(scene: Scene, method: Method) -> Scene:
        """The scene whose standard quality sets the time: the picture's first, where targets share one δ."""
        return scene if method.targeted or not scene.number else corpus.scene(scene.picture, 0)

    def _limit(self, scene: Scene, method: Method, standard: Method) -> float | None:
        """Seconds of the standard quality there, or None for itself."""
        if method.name == standard.name:
            return None
        return self.cells(self._timing(scene, method), standard, standard)[0].seconds

    def _task(self, scene: Scene) -> Task:
        return Task(scene, self.encoder, Compute(self.device), lambda _: None)

    def _warm_up(self, scene: Scene) -> None:
        """Load and try once what this engine's loop needs, so that the first method does not pay for it."""
        if not self._warm:
            Eye(scene.picture.seen, Compute(self.device)).judge(scene.picture.seen)
            trial.until(METHODS["preview"], self._task(scene), 0.0)
            self._warm = True

    def _trial(self, scene: Scene, method: Method, limit: float | None) -> Trial:
        """A run of the method; of one that ignores its target, the run of the picture's first one."""
        if method.targeted:
            return trial.run(method, self._task(scene), limit)
        own = key(self._base(self._timing(scene, method), method), limit)
        path = self.work / "deltas" / f"{own}.safetensors"
        if not path.exists():
            trial.run(method, self._task(scene), limit).save(path)
        return Trial.load(path)

    def _make(self, scene: Scene, method: Method, done: Trial, keys: Mapping[str, str]) -> list[Cell]:
        """The cells of a run."""
        compute = Compute(self.device)
        eye = Eye(scene.picture.seen, compute)
        at_budget = to_budget(done.delta, scene, eye)
        published = done.delta
        if method.own:
            published = done.delta * fit(lambda share: scene.show(done.delta * share), eye, Budget(), lambda: None)
        in_time = at_budget if torch.equal(done.in_time, done.delta) else to_budget(done.in_time, scene, eye)
        shown = [scene.show(delta) for delta in (published, at_budget, in_time)]
        first = scene.number == 0
        flops = trial.operations(method, self._task(scene), done.iterations) if first else None
        curve = self._curve(scene, eye, done, compute) if first else []
        return [
            Cell(
                key=keys[track],
                method=method.name,
                picture=scene.picture.name,
                stratum=scene.picture.stratum,
                target=scene.number,
                style=scene.style,
                track=track,
                encoder=self.encoder.name,
                shifts=shifts,
                visibility=self._visibility(eye, picture),
                iterations=done.iterations,
                seconds=done.seconds,
                flops=flops,
                memory=done.memory,
                curve=curve if track == BUDGET else [],
            )
            for track, picture, shifts in zip(TRACKS, shown, self._shifts(scene, eye, shown, compute), strict=True)
        ]

    def _again(self, scene: Scene, method: Method, limit: float, at_budget: Cell, name: str) -> Cell:
        """The cell of TIME where only the limit is another than it was; the method need not run to its end for it."""
        compute = Compute(self.device)
        eye = Eye(scene.picture.seen, compute)
        picture = scene.show(to_budget(trial.until(method, self._task(scene), limit), scene, eye))
        (shifts,) = self._shifts(scene, eye, [picture], compute)
        seen = self._visibility(eye, picture)
        return replace(at_budget, key=name, track=TIME, shifts=shifts, visibility=seen, curve=[])

    @staticmethod
    def _visibility(eye: Eye, picture: Tensor) -> dict[str, float | None]:
        seen = eye.judge(picture)
        return finite(vars(seen) | {"jod": seen.jod, "flip": measure.flip(eye.reference, picture)})

    def _shifts(
        self, scene: Scene, eye: Eye, cloaked: list[Tensor], compute: Compute
    ) -> list[dict[str, measure.Shifts]]:
        """For each cloaked picture: all transforms on the white box, those of S on every other encoder."""
        found: list[dict[str, measure.Shifts]] = [{} for _ in cloaked]
        for judge in self.judges:
            white = judge.name == self.encoder.name
            transforms = self.white_transforms if white else {name: EVERYTHING[name] for name in measure.FIVE}
            after = measure.shifts_after(transforms, judge, eye.reference, scene.target, cloaked, compute)
            for shifts, values in zip(found, after, strict=True):
                shifts[judge.name] = values
        return found

    def _curve(self, scene: Scene, eye: Eye, done: Trial, compute: Compute) -> list[Point]:
        if not done.marks:
            return []
        shown = [scene.show(to_budget(mark.delta, scene, eye)) for mark in done.marks]
        transforms = {name: EVERYTHING[name] for name in measure.FIVE}
        after = measure.shifts_after(transforms, self.encoder, eye.reference, scene.target, shown, compute)
        return [
            Point(mark.iterations, mark.seconds, measure.score(shifts))
            for mark, shifts in zip(done.marks, after, strict=True)
        ]


def order(pictures: Sequence[Picture], targets: int) -> Iterator[Scene]:
    """First targets first, and the pictures as they come, whose strata take turns: stopped anywhere, it is balanced."""
    for number in range(targets):
        for picture in pictures:
            yield corpus.scene(picture, number)


def run(
    bench: Bench,
    pictures: Sequence[Picture],
    targets: int,
    methods: Sequence[Method],
    deadline: float | None,
    tell: Callable[[str], None],
) -> tuple[list[Cell], bool]:
    """All cells, and whether none is missing.

    methods: STANDARD first. deadline: by time.monotonic; no cell is begun after it, those in the store are still taken.
    """
    standard = methods[0]
    assert standard.name == STANDARD
    found: list[Cell] = []
    complete = True
    total = len(pictures) * targets * len(methods)
    for place, scene in enumerate(order(pictures, targets)):
        for turn, method in enumerate(methods):
            over = deadline is not None and time.monotonic() >= deadline
            if over and not bench.known(scene, method, standard):
                complete = False
                continue
            torch.manual_seed(0)
            cells = bench.cells(scene, method, standard)
            found += cells
            at_budget = next(cell for cell in cells if cell.track == BUDGET)
            tell(
                f"[{place * len(methods) + turn + 1}/{total}] {scene.picture.stratum}, {scene.picture.name}, "
                f"{scene.style}, {method.about}: S {measure.score(at_budget.white):.3f} at B, "
                f"{at_budget.seconds:.1f} s"
            )
    return found, complete
