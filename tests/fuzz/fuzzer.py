"""Runs one target under atheris, which watches which lines an input reaches and mutates towards new ones.

`python -m tests.fuzz.fuzzer TARGET LIBFUZZER-ARGUMENTS`; it takes over the process and ends it. With an input's file as
the only argument it repeats that input.
"""

from __future__ import annotations

import sys

import atheris  # type: ignore[import-not-found, import-untyped, unused-ignore]

with atheris.instrument_imports(include=["glaze_plugin", "glaze_server", "json"]):
    from tests.fuzz.targets import TARGETS

atheris.Setup([sys.argv[0], *sys.argv[2:]], TARGETS[sys.argv[1]])
atheris.Fuzz()
