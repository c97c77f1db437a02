"""docs/results.md is written by two benchmarks: the section on mimicry is taken out of it and put into it here."""

from __future__ import annotations

HEADING = "## Mimicry"


def placed(page: str, made: str) -> str:
    """The page with its section on mimicry replaced by `made`, or with that at its end."""
    old = kept(page)
    return page.replace(old, made) if old else f"{page.rstrip()}\n\n{made}".lstrip()


def kept(page: str) -> str:
    """The page's section on mimicry, up to the next heading of its kind; "" where there is none."""
    at = page.find(f"{HEADING}\n")
    if at < 0:
        return ""
    after = page.find("\n## ", at)
    return page[at:] if after < 0 else page[at : after + 1]
