"""A cell is one method on one picture towards one target in one track; the store keeps cells over interruptions."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from glaze_server.engine.measure import Shifts

PUBLISHED, BUDGET, TIME = "published", "budget", "time"
TRACKS = (PUBLISHED, BUDGET, TIME)
"""As published; scaled into the visual budget; stopped at the standard quality's seconds, then scaled into it."""

SERVER = Path(__file__).parents[2] / "server" / "glaze_server"
HERE = Path(__file__).parent
MEASURING = (
    "autoencoders",
    "budget",
    "catalogue",
    "colour",
    "colorvideovdp",
    "device",
    "encoders",
    "formats/vips",
    "jnd",
    "looking",
    "lpips_distance",
    "measure",
    "models",
    "networks",
    "picture",
    "pixels",
    "pulled",
    "scielab",
    "stock",
    "survival",
    "tiles",
)
"""The engine's modules that peers run through."""
PURIFYING = ("minimimic/autoencoder", "upscaling")
"""The study's modules that purifiers run through."""
JUDGING = ("cells", "judges", "methods", "peers", "purifiers", "rounds", "scene", "task", "trial")


@dataclass(frozen=True)
class Point:
    """On the way: S at budget after so many iterations and seconds."""

    iterations: int
    seconds: float
    score: float


@dataclass(frozen=True)
class Cell:
    """shifts: encoder → transform → targeted shift. visibility: budget.Visibility and "flip"; None for infinite.

    encoder: the white box. iterations, seconds: of the method, to its end. flops, memory (MiB): None where not taken.
    curve: in the track BUDGET of traced methods, for a picture's first target.
    """

    key: str
    method: str
    picture: str
    stratum: str
    target: int
    style: str
    track: str
    encoder: str
    shifts: dict[str, Shifts]
    visibility: dict[str, float | None]
    iterations: int
    seconds: float
    flops: float | None = None
    memory: float | None = None
    curve: list[Point] = field(default_factory=list)

    @property
    def white(self) -> Shifts:
        """The shifts on the encoder that the cloak was made for, or is judged on as if it were."""
        return self.shifts[self.encoder]

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Cell:
        return cls(**values | {"curve": [Point(**point) for point in values["curve"]]})


def finite(values: dict[str, float]) -> dict[str, float | None]:
    """As JSON can hold them."""
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


class Store:
    """Cells in files of JSON lines, by key. A line that an interruption cut short is left out.

    part: names the file that new cells go to, since each process has its own; those of all are read.
    """

    def __init__(self, folder: Path, part: str = "") -> None:
        self._path = folder / f"cells{part and '-'}{part}.jsonl"
        self._cells: dict[str, Cell] = {}
        for file in sorted(folder.glob("cells*.jsonl")):
            for line in file.read_text(encoding="utf-8").splitlines():
                try:
                    cell = Cell.from_dict(json.loads(line))
                except (ValueError, TypeError, KeyError):
                    continue
                self._cells[cell.key] = cell
        folder.mkdir(parents=True, exist_ok=True)

    def get(self, key: str) -> Cell | None:
        return self._cells.get(key)

    def add(self, cells: Iterable[Cell]) -> None:
        """Keep them for this run and later ones."""
        with self._path.open("a", encoding="utf-8") as file:
            for cell in cells:
                self._cells[cell.key] = cell
                file.write(json.dumps(asdict(cell), allow_nan=False) + "\n")


def key(*parts: object) -> str:
    """A name that changes when any of the parts does."""
    return hashlib.sha256(json.dumps([str(part) for part in parts]).encode()).hexdigest()


def code_of(own: bool) -> str:
    """SHA-256 of the source that a cell depends on: all of the engine, or for a peer what it runs through."""
    engine, mimicry = SERVER / "engine", SERVER / "mimicry"
    files = [HERE / f"{name}.py" for name in JUDGING] + [mimicry / f"{name}.py" for name in PURIFYING]
    files += [engine / f"{name}.py" for name in MEASURING]
    files += [HERE / "own.py", *sorted(engine.glob("*.py"))] if own else []
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()
