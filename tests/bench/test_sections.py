"""Sections of a page are replaced, each by its own, and the rest stays."""

from __future__ import annotations

import pytest

from bench.sections import HEADING, kept, placed

OLD, NEW, OTHER = f"{HEADING}: lora\n\nold\n\n", f"{HEADING}: lora\n\nnew\n\n", f"{HEADING}: full\n\nfull\n\n"


@pytest.mark.parametrize("page", ["# A\n\n{}## B\n\nb\n", "# A\n\n{}", "{}## B\n", "# A\n\n## B\n\n### b\n\n{}## C\n"])
def test_a_section_is_replaced_in_its_place(page: str) -> None:
    assert kept(page.format(OLD)) == OLD
    assert placed(page.format(OLD), NEW) == page.format(NEW)
    assert kept(page.format(OLD + OTHER)) == OLD + OTHER
    assert placed(page.format(OTHER + OLD), NEW) == page.format(OTHER + NEW)


def test_a_new_section_goes_to_the_end() -> None:
    assert kept("# A\n") == ""
    for page in ("# A\n\n", "# A\n"):
        assert placed(page, NEW) == f"# A\n\n{NEW}"
    assert placed("", NEW) == NEW
    assert placed(f"# A\n\n{OTHER}", NEW) == f"# A\n\n{OTHER}{NEW}"
