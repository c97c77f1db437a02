"""All cases there are."""

from __future__ import annotations

from tests.corpus import cases, modern
from tests.corpus.cases import Case, Samples


def all_cases() -> list[Case]:
    return [
        *(*cases.png_cases(), *cases.jpeg_cases(), *cases.webp_cases(), *cases.tiff_cases(), *cases.exr_cases()),
        *(*cases.avif_cases(), *modern.jxl_cases(), *modern.numbered_cases()),
    ]


def read_only_cases() -> list[tuple[str, bytes, Samples, str]]:
    """Name, bytes, samples, and the format that they are written in."""
    return [*cases.merged_cases(), *modern.heic_cases()]
