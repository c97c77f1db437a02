"""What a study compares: the sets of pictures that a mimic trains on, and how often."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from glaze_plugin.errors import BadInput
from glaze_server.engine.settings import QUALITIES
from glaze_server.mimicry.generator import FineTuning
from glaze_server.mimicry.portfolio import SHARES

CLEAN, CLOAK, FOREIGN, NOISE, BLEND, OTHER = "clean", "cloak", "foreign", "noise", "blend", "other"
CONTROLS = (NOISE, BLEND)
"""Changes as visible as the cloak that are none: random signs, and some of the target laid over the picture."""
ARTIST = "glazeartist"
"""The word that stands for the artist in captions and prompts."""
CAPTION = f"a painting in the style of {ARTIST}"
SUBJECTS = (
    *("a mountain", "a piano", "a shoe", "a candle", "an astronaut riding a horse", "a golden apple"),
    *("a castle in the jungle", "a village in a thunderstorm", "a portrait of a woman", "a ship on the sea"),
)
PROMPTS = tuple(f"{subject} in the style of {ARTIST}" for subject in SUBJECTS)

MOST_SEEDS = 100


@dataclass(frozen=True)
class Arm:
    """One set of training pictures. kind: of the pictures. share: % of them that are changed; the others are clean.

    counter: name of the countermeasure that all of them went through before training, or "".
    """

    kind: str
    share: int = 100
    counter: str = ""

    @property
    def name(self) -> str:
        share = f"-{self.share}" if self.kind == CLOAK else ""
        return f"{self.kind}{share}{'+' if self.counter else ''}{self.counter}"

    @property
    def control(self) -> Arm:
        """Clean pictures that go through the same countermeasure, if any: what it is fairly compared with."""
        return Arm(CLEAN, counter=self.counter)

    @property
    def about(self) -> str:
        """For a reader."""
        words = {
            CLEAN: "clean pictures",
            CLOAK: f"{self.share} % cloaked",
            FOREIGN: "cloaked against the embedded encoder alone",
            NOISE: "control: random noise, as visible",
            BLEND: "control: blend towards the target, as visible",
            OTHER: "control: another artist's pictures",
        }[self.kind]
        return words + (f", then {self.counter}" if self.counter else "")


@dataclass(frozen=True)
class Plan:
    """How large a study is.

    shares: % of the pictures that are cloaked, one arm each. tuning: way → how a mimic fine-tunes. seeds: runs of each
    arm. samples: pictures that each run makes. quality, style: of the cloak, as in engine.settings. counters: names of
    countermeasures, each tried on cloaked and on clean pictures. caption: of every training picture. prompts: taken in
    turns.
    """

    tuning: dict[str, FineTuning]
    shares: tuple[int, ...] = SHARES
    seeds: int = 3
    samples: int = 30
    quality: str = "standard"
    style: str = "auto"
    counters: tuple[str, ...] = ()
    caption: str = CAPTION
    prompts: tuple[str, ...] = PROMPTS

    def check(self, known: Sequence[str]) -> None:
        """Raises BadInput for what cannot be run. known: the countermeasures that there are."""
        if not self.shares or not all(type(share) is int and 0 < share <= 100 for share in self.shares):
            raise BadInput("share", "A share is a whole number of percent from 1 to 100.")
        if not 1 <= self.seeds <= MOST_SEEDS:
            raise BadInput("seeds", f"A study takes from 1 to {MOST_SEEDS} seeds, not {self.seeds}.")
        if not all(how.steps >= 1 for how in self.tuning.values()):
            raise BadInput("steps", "A mimic fine-tunes in one step at least.")
        if self.samples < 2:
            raise BadInput("samples", "Each run must make at least two pictures.")
        if self.quality not in QUALITIES:
            raise BadInput("quality", f"The quality is one of {', '.join(QUALITIES)}, not {self.quality!r}.")
        for name in self.counters:
            if name not in known:
                there = ", ".join(known) or "none"
                raise BadInput("countermeasure", f"There is no countermeasure {name!r}; known are {there}.")

    def arms(self, more: Collection[str]) -> list[Arm]:
        """All arms in the order of a report. more: those of FOREIGN and OTHER that there are pictures for."""
        return [
            Arm(CLEAN),
            *(Arm(CLOAK, share) for share in sorted({*self.shares, 100}, reverse=True)),
            *([Arm(FOREIGN)] if FOREIGN in more else []),
            *(Arm(kind) for kind in CONTROLS),
            *([Arm(OTHER)] if OTHER in more else []),
            *(Arm(kind, counter=name) for name in self.counters for kind in (CLEAN, CLOAK)),
        ]

    def cells(self, more: Collection[str]) -> Iterator[tuple[str, Arm, int]]:
        """(way, arm, seed) of every run; all arms of a seed come together, so that what is done can be compared."""
        for seed in range(self.seeds):
            for way in self.tuning:
                for arm in self.arms(more):
                    yield way, arm, seed

    def prompted(self) -> list[str]:
        """The prompt of each sample."""
        return [self.prompts[number % len(self.prompts)] for number in range(self.samples)]
