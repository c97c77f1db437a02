"""What an artist can choose about a cloak, and what each choice means in numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from glaze_plugin.errors import BadInput
from glaze_server.engine.metadata import MODES, SAFE


@dataclass(frozen=True)
class Quality:
    """How long the optimiser works.

    iterations: steps. looks: steps from one look of the dear metrics (LPIPS-VGG, ColorVideoVDP) to the next, 0 for none
    before the cloak is fitted. grids: places of the encoder's grid on the picture, of renditions.SHIFTS, that are drawn
    from; the target is encoded on each of them.
    """

    iterations: int
    looks: int
    grids: int = 4


QUALITIES = {
    "preview": Quality(iterations=5, looks=0, grids=1),
    "standard": Quality(iterations=60, looks=8),
    "thorough": Quality(iterations=150, looks=8),
}


@dataclass(frozen=True)
class Settings:
    """One cloak's settings.

    strength: size of the cloak, 0..1; 1 uses the whole visual budget. quality: a key of QUALITIES.
    style: name of the target style, or "auto" for the artist's. encoders: names, empty for the default.
    painter: of the target: "embedded", a diffusion model's name, or "auto" (painters.choose).
    seed: 0..2^31-1; the same seed gives the same bytes. format: file format of the result, "" for the source's own.
    want_target: also return the style-transferred target. want_review: also return the amplified difference, and what
    is left of the cloak at lesser opacities. metadata: what goes along, one of metadata.MODES. no_mining: declare data
    mining prohibited in the file. any_size: let the file grow as it needs, where its format stays.
    change, distances, pictures: only for jobs about the artist's style (tasks._style). distances: style → mean distance
    from the artist's pictures.
    """

    strength: float = 1.0
    quality: str = "standard"
    style: str = "auto"
    painter: str = "auto"
    encoders: tuple[str, ...] = ()
    seed: int = 0
    format: str = ""
    want_target: bool = False
    want_review: bool = False
    metadata: str = SAFE
    no_mining: bool = False
    any_size: bool = False
    change: bool = False
    distances: dict[str, float] = field(default_factory=dict)
    pictures: int = 0

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Settings:
        """Settings from a job's JSON; unknown names are ignored. Raises BadInput for a value out of range."""
        known = {item.name: values[item.name] for item in fields(cls) if item.name in values}
        if isinstance(known.get("encoders"), list):
            known["encoders"] = tuple(known["encoders"])
        settings = cls(**known)
        strength = settings.strength
        if isinstance(strength, bool) or not isinstance(strength, (int, float)) or not 0 <= strength <= 1:
            raise BadInput("strength", f"The strength must lie between 0 and 1, not {strength}.")
        if not isinstance(settings.quality, str) or settings.quality not in QUALITIES:
            raise BadInput("quality", f"The quality is one of {', '.join(QUALITIES)}, not {settings.quality!r}.")
        if type(settings.seed) is not int or not 0 <= settings.seed < 2**31:
            raise BadInput("seed", f"The seed must be a whole number from 0 to {2**31 - 1}.")
        if not all(isinstance(name, str) for name in (settings.style, settings.painter, settings.format)):
            raise BadInput("settings", "The style, the painter and the format must be names.")
        if settings.metadata not in MODES:
            raise BadInput("metadata", f"Metadata is one of {', '.join(MODES)}, not {settings.metadata!r}.")
        if not isinstance(settings.encoders, tuple) or not all(isinstance(name, str) for name in settings.encoders):
            raise BadInput("settings", "The encoders must be names.")
        for name in (item.name for item in fields(cls) if item.type == "bool"):
            if type(getattr(settings, name)) is not bool:
                raise BadInput("settings", f"The setting {name} is true or false, not {getattr(settings, name)!r}.")
        if type(settings.pictures) is not int or not _lengths(settings.distances):
            raise BadInput("settings", "What is said of the artist's style cannot be used.")
        return settings


def _lengths(values: object) -> bool:
    """Whether it is a dictionary of numbers from 0 on."""
    return isinstance(values, dict) and all(
        type(value) in (int, float) and 0 <= value < float("inf") for value in values.values()
    )
