"""One section of a page is replaced and the rest stays."""

from __future__ import annotations

import pytest

from bench.sections import HEADING, kept, placed

OLD, NEW = f"{HEADING}\n\nold\n\n", f"{HEADING}\n\nnew\n\n"


@pytest.mark.parametrize("page", ["# A\n\n{}## B\n\nb\n", "# A\n\n{}", "{}## B\n"])
def test_a_section_is_replaced_in_its_place(page: str) -> None:
    assert kept(page.format(OLD)) == OLD
    assert placed(page.format(OLD), NEW) == page.format(NEW)


def test_a_new_section_goes_to_the_end() -> None:
    assert kept("# A\n") == ""
    for page in ("# A\n\n", "# A\n"):
        assert placed(page, NEW) == f"# A\n\n{NEW}"
    assert placed("", NEW) == NEW
