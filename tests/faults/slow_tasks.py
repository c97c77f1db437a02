"""The fake engine, as slow to load as a large model from a cold disk."""

import time

from tests.faults.fake_tasks import Input, abilities, run

LOAD_SECONDS = 3.0

time.sleep(LOAD_SECONDS)

__all__ = ["Input", "abilities", "run"]
