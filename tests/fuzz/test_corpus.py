"""Seeds of the fuzzers and, under names that begin with `found_`, every input that did harm once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.targets import CORPUS, TARGETS


@pytest.mark.parametrize("file", sorted(CORPUS.glob("*/*")), ids=lambda file: f"{file.parent.name}/{file.name}")
def test_the_corpus_does_no_harm(file: Path) -> None:
    TARGETS[file.parent.name](file.read_bytes())
