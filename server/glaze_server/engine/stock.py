"""Which encoders' weights are on this computer, and where. No torch here.

They are embedded in this package, or lie in the artist's encoder folder (`glaze_plugin.places.models`): in a folder of
the encoder's name as `glaze models pull` puts them there, or as a file or folder that the artist put there.
"""

from __future__ import annotations

from pathlib import Path

from glaze_plugin import places
from glaze_server.engine.catalogue import MODELS, OTHERS, Model

DEFAULT = ("embedded",)
EMBEDDED = Path(__file__).parent / "weights"
CONFIG = "config.json"
"""What makes a folder a diffusers model."""


def folder(model: Model) -> Path:
    """Where its downloaded files lie."""
    return places.other(model.name) if model.name in OTHERS else places.models() / model.name


def weights_file(model: Model) -> Path | None:
    """Where the encoder's weights are, or None where they are not on this computer.

    Where they were not downloaded, a file that the artist put there under the encoder's name counts.
    """
    if model.name in DEFAULT:
        return EMBEDDED / f"{model.name}.safetensors"
    downloaded = [folder(model) / file.name for file in model.files]
    if downloaded and all(path.exists() for path in downloaded):
        return downloaded[-1]
    by_hand = [file.name for file in model.by_hand] + [f"{model.name}.safetensors"] * (model.name in MODELS)
    return next((path for name in by_hand if (path := places.models() / name).exists()), None)


def own() -> dict[str, Path]:
    """What the artist put into the encoder folder under another name than those that are known here: name → a diffusers
    model folder, or a single safetensors file.
    """
    taken = {file.name for model in MODELS.values() for file in model.by_hand}
    found = {path.parent.name: path.parent for path in sorted(places.models().glob(f"[!.]*/{CONFIG}"))}
    found |= {path.stem: path for path in sorted(places.models().glob("[!.]*.safetensors")) if path.name not in taken}
    return {name: path for name, path in found.items() if name not in MODELS}


def available() -> list[str]:
    """Names of the encoders whose weights are on this computer."""
    return [name for name, model in MODELS.items() if weights_file(model)] + list(own())
