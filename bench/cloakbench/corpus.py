"""The pictures: four strata of twelve, by a committed list of package, version, file and SHA-256.

They come from Debian 12's main archive (packages are downloaded and unpacked, never installed), from the paintings in
`../shared/art` beside the project, and from `drawings`. None of them was in the bank that the embedded encoder was
trained on: the packages are others than `training.pictures.PACKAGES`.
"""

from __future__ import annotations

import csv
import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import count
from pathlib import Path

import numpy as np
import pyvips
from numpy.typing import NDArray
from torch import Tensor

from bench.cloakbench.drawings import DRAWINGS
from bench.cloakbench.scene import Picture, Scene
from glaze_plugin.errors import BadInput
from glaze_server.engine import choice, styles
from glaze_server.engine.pixels import from_8bit, rounded
from glaze_server.engine.training.pictures import fetch_packages
from glaze_server.engine.transfer import transfer

LIST = Path(__file__).with_name("corpus.tsv")
ART = Path(__file__).parents[2].parent / "shared" / "art"

STRATA = ("flat", "line", "painterly", "photo")
FORMS = ("rgba", "rgb", "gray")
"""What is made of a file: with its alpha, over white, or over white and without colour."""
DRAWN, SHARED = "drawn", "shared"
"""Stand in a package's place for what `drawings` draws and for `../shared/art`."""


@dataclass(frozen=True)
class Entry:
    """One line of the list. file: path inside the package. sha256: of the file, or of a drawing's samples."""

    stratum: str
    form: str
    package: str
    version: str
    file: str
    sha256: str

    @property
    def name(self) -> str:
        return Path(self.file).stem

    @property
    def debian(self) -> bool:
        return self.package not in (DRAWN, SHARED)


def entries() -> list[Entry]:
    """The whole list, in its order."""
    with LIST.open(encoding="utf-8", newline="") as lines:
        return [Entry(**row) for row in csv.DictReader(lines, delimiter="\t")]


def chosen(most: int) -> list[Entry]:
    """The first `most` of every stratum, the strata in turns."""
    by_stratum = [[entry for entry in entries() if entry.stratum == stratum][:most] for stratum in STRATA]
    return [column[rank] for rank in range(most) for column in by_stratum if rank < len(column)]


def fetch(wanted: list[Entry], work: Path, tell: Callable[[str], None]) -> None:
    """Download and unpack the Debian packages that are not below `work` yet. tell: is told what and why not."""
    packages = sorted({entry.package for entry in wanted if entry.debian})
    missing = [package for package in packages if not (work / "unpacked" / package).is_dir()]
    if not missing:
        return
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        tell("This system has no apt-get and dpkg, so the pictures from Debian packages are left out.")
        return
    tell(f"Downloading from Debian's archive, to unpack and not to install: {', '.join(missing)}.")
    fetch_packages(work, missing)


def read(entry: Entry, side: int, work: Path) -> Picture:
    """The picture with its longer side scaled to `side` px. Raises BadInput where it is missing or another."""
    if entry.package == DRAWN:
        samples = DRAWINGS[entry.file]()
        data = samples.tobytes()
        image = pyvips.Image.new_from_array(samples, interpretation="srgb")
    else:
        path = ART / entry.file if entry.package == SHARED else work / "unpacked" / entry.package / entry.file
        if not path.is_file():
            raise BadInput("missing_picture", f"The picture {entry.file} of {entry.package} is not there.")
        data = path.read_bytes()
        image = pyvips.Image.new_from_buffer(data, "")
    if hashlib.sha256(data).hexdigest() != entry.sha256:
        raise BadInput(
            "wrong_picture",
            f"The picture {entry.file} is not the one of {entry.package} {entry.version} that the list means.",
        )
    return Picture(entry.name, entry.stratum, *_planes(image, entry.form, side))


def _planes(image: pyvips.Image, form: str, side: int) -> tuple[Tensor, Tensor | None]:
    image = image.colourspace("srgb").thumbnail_image(side, height=side, size="both")
    if form != "rgba" and image.hasalpha():
        image = image.flatten(background=255)
    if form == "gray":
        image = image.colourspace("b-w")
    samples: NDArray[np.uint8] = image.cast("uchar").numpy()
    samples = samples.reshape(*samples.shape[:2], -1)
    if form != "rgba":
        return from_8bit(samples), None
    return from_8bit(samples[..., :3]), from_8bit(samples[..., 3:])


def pictures(wanted: list[Entry], side: int, work: Path, skip: Callable[[str], None]) -> list[Picture]:
    """Those of the list that can be read. skip: is told a sentence for each other one."""
    found = []
    for entry in wanted:
        try:
            found.append(read(entry, side, work))
        except BadInput as error:
            skip(error.sentence)
    return found


@cache
def _distances(picture: Picture) -> tuple[float, ...]:
    return tuple(choice.distances(picture.seen, lambda: None))


def scene(picture: Picture, number: int) -> Scene:
    """The picture towards its target of that number, from 0: the engine's choices, by the first seeds that differ."""
    names: list[str] = []
    for seed in count():
        name = choice.choose(list(_distances(picture)), seed)
        if name not in names:
            names.append(name)
        if len(names) > number:
            break
    return Scene(picture, number, name, rounded(transfer(picture.seen, styles.index(name))))
