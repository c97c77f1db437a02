"""CLIP genre shift (Shan et al., USENIX Security 2023, section 6): does CLIP still see the artist's genre?

The model is CLIP as transformers keeps it, in the folder `glaze_plugin.places.other("clip")`, or in the hub's own cache
where another program has pulled it. Nothing is downloaded here.
"""

from __future__ import annotations

import csv
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate, normalize

from glaze_plugin import places
from glaze_plugin.errors import GlazeError
from glaze_server.engine.catalogue import CLIP, OTHERS

TOP = 3
"""The artist's genre must be among so many of a picture's for it to count as the artist's."""
SAYING = "a painting in the style of {}"
MEAN = (0.48145466, 0.4578275, 0.40821073)
DEVIATION = (0.26862954, 0.26130258, 0.27577711)
"""Of the pictures that CLIP was trained on, as its authors publish them."""


def _read(path: Path) -> tuple[str, ...]:
    with path.open(encoding="utf-8", newline="") as lines:
        return tuple(row["genre"] for row in csv.DictReader(lines, delimiter="\t"))


GENRES = _read(Path(__file__).with_suffix(".tsv"))
"""WikiArt's 27, and those of pictures that are made today."""


class Genres:
    """CLIP's opinion. where: a folder; None for `places.other(CLIP)`, else the hub's cache.

    Raises GlazeError where CLIP is not on this computer, or its files cannot be read.
    """

    def __init__(self, where: Path | None = None) -> None:
        from transformers import CLIPModel, CLIPTokenizer

        folder = where or places.other(CLIP)
        known = str(folder) if folder.is_dir() else OTHERS[CLIP].repository
        try:
            self._model: Any = CLIPModel.from_pretrained(known, local_files_only=True, use_safetensors=True).eval()
            self._tokenizer: Any = CLIPTokenizer.from_pretrained(known, local_files_only=True)
        except Exception as error:  # whatever missing or broken files make the library raise
            if folder.is_dir():
                raise GlazeError("broken_weights", f"CLIP in {folder} cannot be read.", "Fetch it again.") from error
            raise GlazeError(
                "missing_weights",
                "CLIP is not on this computer, so the genre shift was not measured.",
                f"`glaze models pull {CLIP}` fetches it into {folder}.",
            ) from error

    @cached_property
    def _words(self) -> Tensor:
        """(genres, D), each of length 1."""
        tokens = self._tokenizer([SAYING.format(genre) for genre in GENRES], padding=True, return_tensors="pt")
        return _unit(self._model.get_text_features(**tokens))

    @torch.no_grad()
    def likeness(self, pictures: Tensor) -> Tensor:
        """(N, genres): cosine of each picture (N, 3, H, W) in [0, 1] and each genre."""
        side = int(self._model.config.vision_config.image_size)
        return _unit(self._model.get_image_features(pixel_values=prepared(pictures, side))) @ self._words.T

    def own(self, pictures: Tensor) -> str:
        """The artist's genre: that of the mean picture."""
        return GENRES[int(self.likeness(pictures).mean(0).argmax())]

    def shift(self, pictures: Tensor, genre: str) -> float:
        """The share of pictures among whose TOP genres the artist's is not."""
        best = self.likeness(pictures).topk(TOP, 1).indices
        return float((best != GENRES.index(genre)).all(1).float().mean())


def prepared(pictures: Tensor, side: int) -> Tensor:
    """Pictures (N, 3, H, W) in [0, 1] as CLIP looks at them: (N, 3, side, side), of its mean and deviation."""
    small = interpolate(pictures, (side, side), mode="bicubic", antialias=True).clamp(0, 1)
    return (small - torch.tensor(MEAN)[:, None, None]) / torch.tensor(DEVIATION)[:, None, None]


def _unit(found: Any) -> Tensor:
    """Vectors of length 1, of what transformers returns for features."""
    vectors: Tensor = getattr(found, "pooler_output", found)
    return normalize(vectors.detach(), dim=-1)
