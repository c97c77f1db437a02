"""docs/results.md is written by two benchmarks: sections on mimicry, each with a heading of its own, are found here."""

from __future__ import annotations

import re

HEADING = "## Mimicry"
"""How the heading of a section on mimicry begins."""


def placed(page: str, made: str) -> str:
    """The page with the section of the same heading replaced by `made`, or with that at its end."""
    heading = made.partition("\n")[0]
    old = next((section for section in _sections(page) if section.partition("\n")[0] == heading), "")
    return page.replace(old, made) if old else f"{page.rstrip()}\n\n{made}".lstrip()


def kept(page: str) -> str:
    """The page's sections on mimicry, each up to the next heading of its kind; "" where there is none."""
    return "".join(section for section in _sections(page) if section.startswith(HEADING))


def _sections(page: str) -> list[str]:
    return re.findall(r"^## .*?(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
