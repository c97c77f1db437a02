"""The jobs that the engine can do, from the bytes that came in to the bytes that go out."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from glaze_plugin.errors import BadInput
from glaze_plugin.raster import Raster, RasterFormat
from glaze_server.engine import device, encoders, files, jnd, measure, pixels, review, styles
from glaze_server.engine.budget import FIT_STEPS, Budget, Eye, fit
from glaze_server.engine.checkpoint import Checkpoint
from glaze_server.engine.cloak import Subject, optimise
from glaze_server.engine.device import Compute
from glaze_server.engine.pixels import Picture, over, rounded
from glaze_server.engine.progress import Reporter, Steps
from glaze_server.engine.settings import QUALITIES, Settings
from glaze_server.engine.survival import resize
from glaze_server.engine.transfer import transfer

PREVIEW_SIDE = 512
"""px of a preview's longer side."""
FLAT_RANGE = 2 / 255
"""A picture whose samples differ by no more has no style to protect."""


@dataclass(frozen=True)
class Input:
    """One part of a job: a file's bytes, or raw pixels in the given layout."""

    data: bytes
    layout: RasterFormat | None = None


@dataclass(frozen=True)
class Output:
    data: bytes
    layout: RasterFormat | None = None


@dataclass
class Result:
    parts: dict[str, Output] = field(default_factory=dict)
    report: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Source:
    """A decoded input picture. file: its container, None for raw pixels."""

    picture: Picture
    file: files.PictureFile | None

    @classmethod
    def read(cls, given: Input) -> Source:
        if given.layout:
            return cls(pixels.from_raster(Raster(given.layout, given.data)), None)
        file = files.decode(given.data)
        return cls(file.picture, file)

    def write(self, picture: Picture, format: str = "") -> tuple[Output, Picture]:
        """The bytes of a changed picture in the source's own kind, and the picture as those bytes show it."""
        if self.file is None:
            raster = pixels.to_raster(picture)
            return Output(raster.pixels, raster.format), picture
        data = files.encode(self.file, picture, format)
        return Output(data), files.decode(data).picture

    @property
    def seen(self) -> Tensor:
        """What a viewer sees, (1, 3, H, W) in [0, 1], transparency over white."""
        return over(pixels.colour(self.picture), pixels.alpha(self.picture))


def abilities() -> dict[str, Any]:
    """What this machine can do, for the daemon's status."""
    try:
        words = str(device.choose())
    except BadInput as error:
        words = error.sentence
    return {"device": words, "encoders": encoders.available(), "styles": list(styles.STYLES)}


@dataclass(frozen=True)
class Job:
    """What a task is given."""

    inputs: Mapping[str, Input]
    settings: Settings
    reporter: Reporter
    checkpoint: Checkpoint
    compute: Compute

    def source(self, name: str) -> Source:
        """The part of that name, decoded. Raises BadInput where it is missing or cannot be read."""
        if name not in self.inputs:
            raise BadInput("missing_part", f"The job lacks its {name}.")
        return Source.read(self.inputs[name])


def run(
    kind: str,
    inputs: Mapping[str, Input],
    settings: Mapping[str, Any],
    reporter: Reporter,
    checkpoint: Path | None = None,
) -> Result:
    """Do one job. Raises GlazeError with a sentence, or whatever `reporter` raises to cancel or pause.

    checkpoint: file where a long job saves its state, and takes it up when the same job is run again. Every report
    ends with `device`, what the job was computed on in the end, and `notes`, what it had to give up, in sentences.
    """
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Nothing here reads what it did not write, so empty memory need not be filled first.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.allow_tf32 = False  # full precision is meant as such: figures come from it
    compute = Compute(device.choose())
    job = Job(inputs, Settings.from_dict(settings), reporter, Checkpoint(checkpoint), compute)
    try:
        result = TASKS[kind](job)
    except (RuntimeError, MemoryError) as error:
        if device.out_of_memory(error):
            raise device.no_memory() from error
        raise
    result.report |= {"device": str(compute.device), "notes": compute.notes}
    return result


def _protect(job: Job) -> Result:
    """picture, mask (optional) → result, target and difference (when wanted)."""
    started = time.monotonic()
    settings, compute = job.settings, job.compute
    quality = QUALITIES[settings.quality]
    judges = [encoders.load(name) for name in settings.encoders or encoders.DEFAULT]
    if settings.style != "auto":
        styles.index(settings.style)
    source = job.source("picture")
    picture = source.picture
    picture.check_size()
    if source.file:
        files.check_format(source.file, settings.format)
    colour, opacity = pixels.colour(picture), pixels.alpha(picture)
    room = _room(job, source)
    looking = len(styles.STYLES) // 4 if settings.style == "auto" else 0
    steps = Steps(job.reporter, looking + 2 + quality.iterations + FIT_STEPS + measure.STEPS)

    steps.begin("choosing a style")
    seen = source.seen
    style = settings.style
    if style == "auto":
        style = styles.choose(styles.distances(seen, _every(4, steps.advance)), settings.seed)
    steps.begin("painting the target")
    target = transfer(seen, styles.index(style))
    steps.advance(2)

    steps.begin("cloaking")
    subject = Subject(colour, opacity, target, room)

    def step(delta: Tensor) -> None:
        steps.advance()
        if steps.preview_due():
            steps.preview(*_preview(subject.seen(delta)))

    budget = Budget().scaled(settings.strength)
    delta = torch.zeros_like(colour)
    if settings.strength:
        delta = optimise(subject, judges, quality, budget, settings.seed, step, job.checkpoint, compute)

    steps.begin("fitting to the eye", FIT_STEPS + measure.STEPS)
    eye = Eye(seen, compute)
    written: dict[str, Any] = {}

    def show(candidate: Tensor) -> Tensor:
        written["output"], shown = source.write(pixels.add(picture, candidate), settings.format)
        written["seen"] = over(pixels.colour(shown), pixels.alpha(shown))
        return rounded(written["seen"])

    fitted = fit(delta, show, eye, budget, steps.advance)
    cloaked = show(fitted)
    if settings.strength and torch.equal(cloaked, eye.reference):
        raise BadInput(
            "no_room",
            "No cloak fits into this picture within the visual budget.",
            "Raise the strength, or write PNG or TIFF, which add no noise of their own.",
        )

    steps.begin("measuring", measure.STEPS)
    figures = measure.report(judges, eye, cloaked, target, steps.advance, compute)
    result = Result({"result": written["output"]})
    if settings.want_target:
        result.parts["target"] = Output(files.png(target))
    if settings.want_review:
        result.parts["difference"] = Output(files.png(review.difference(eye.reference, cloaked)))
        figures["at_opacity"] = measure.at_opacities(judges, eye, cloaked, target, compute)
    result.report = {
        "size": [picture.width, picture.height],
        "bytes": len(written["output"].data),
        "seconds": round(time.monotonic() - started, 2),
        "encoders": [judge.name for judge in judges],
        "style": style,
        "strength": settings.strength,
        "quality": settings.quality,
        "seed": settings.seed,
        **figures,
    }
    return result


def _room(job: Job, source: Source) -> Tensor:
    """The largest |δ| of each pixel, (1, 1, H, W): the eye's tolerance, inside the mask, where there is opacity."""
    seen, opacity = source.seen, pixels.alpha(source.picture)
    visible = seen.flatten(2) if opacity is None else seen.flatten(2)[..., (opacity > 0).flatten()]
    if not visible.numel() or float((visible.amax(-1) - visible.amin(-1)).max()) <= FLAT_RANGE:
        raise BadInput("nothing_to_protect", "This picture is one flat colour: there is no style in it to protect.")
    room = jnd.room(seen, opacity)
    if "mask" in job.inputs:
        mask = job.source("mask")
        if (mask.picture.width, mask.picture.height) != (source.picture.width, source.picture.height):
            raise BadInput(
                "mask_size",
                f"The mask is {mask.picture.width}×{mask.picture.height} px, "
                f"but the picture is {source.picture.width}×{source.picture.height} px.",
            )
        room = room * mask.seen.mean(1, keepdim=True)
        if not room.any():
            raise BadInput("nothing_to_protect", "The mask is black everywhere it matters: nothing would be cloaked.")
    return job.settings.strength * room


def _measure(job: Job) -> Result:
    """clean, cloaked, target (optional) → figures alone."""
    return Result(report=_compare(job, *_pair(job)))


def _review(job: Job) -> Result:
    """clean, cloaked, target (optional) → sheet: a PNG, or a page of HTML for the format "html"."""
    clean, cloaked = _pair(job)
    figures = _compare(job, clean, cloaked)
    make = review.page if job.settings.format == "html" else review.sheet
    return Result({"sheet": Output(make(clean.seen, cloaked.seen, figures))}, figures)


def _pair(job: Job) -> tuple[Source, Source]:
    clean, cloaked = job.source("clean"), job.source("cloaked")
    sizes = [f"{one.picture.width}×{one.picture.height}" for one in (clean, cloaked)]
    if sizes[0] != sizes[1]:
        raise BadInput("sizes_differ", f"The two pictures differ in size: {sizes[0]} and {sizes[1]} px.")
    clean.picture.check_size()
    return clean, cloaked


def _compare(job: Job, clean: Source, cloaked: Source) -> dict[str, Any]:
    """Figures of a pair; without a target or a style, for the embedded style towards which it moved most."""
    judges = [encoders.load(name) for name in job.settings.encoders or encoders.DEFAULT]
    style = job.settings.style
    searching = "target" not in job.inputs and style == "auto"
    steps = Steps(job.reporter, measure.STEPS + (len(styles.STYLES) if searching else 0))
    steps.begin("measuring")
    if "target" in job.inputs:
        target, style = job.source("target").seen, "given"
        if target.shape != clean.seen.shape:
            raise BadInput("sizes_differ", "The target differs from the pictures in size.")
    else:
        if searching:
            style = _likely_style(judges, clean.seen, cloaked.seen, steps.advance, job.compute)
        target = transfer(clean.seen, styles.index(style))
    eye = Eye(clean.seen, job.compute)
    figures = measure.report(judges, eye, cloaked.seen, target, steps.advance, job.compute)
    return {"encoders": [judge.name for judge in judges], "style": style, **figures}


def _likely_style(
    judges: list[encoders.Encoder], clean: Tensor, cloaked: Tensor, tick: Callable[[], None], compute: Compute
) -> str:
    """The embedded style with the greatest targeted shift, judged at PREVIEW_SIDE px."""
    ratio = min(1.0, PREVIEW_SIDE / max(clean.shape[-2:]))
    small, other = (rounded(resize(picture, ratio)) for picture in (clean, cloaked))
    shifts = []
    for number in range(len(styles.STYLES)):
        target = transfer(small, number)
        shifts.append(sum(measure.targeted_shift(judge, small, target, other, compute=compute)[0] for judge in judges))
        tick()
    return styles.STYLES[shifts.index(max(shifts))]


def _preview(seen: Tensor) -> tuple[RasterFormat, bytes]:
    ratio = min(1.0, PREVIEW_SIDE / max(seen.shape[-2:]))
    small = pixels.to_8bit(resize(seen, ratio))
    return RasterFormat(small.shape[1], small.shape[0], "RGB", "u8"), small.tobytes()


def _every(count: int, action: Callable[[], None]) -> Callable[[], None]:
    """A tick that calls `action` at every `count`-th call."""
    calls = 0

    def tick() -> None:
        nonlocal calls
        calls += 1
        if calls % count == 0:
            action()

    return tick


TASKS = {"protect": _protect, "measure": _measure, "review": _review}
