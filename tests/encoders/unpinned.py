"""`python -m tests.encoders.unpinned ACTION NAME…`: `glaze_server.hub`, with a registry that knows no checksums.

What comes is written in small pieces, since the models of the local hub are small.
"""

from __future__ import annotations

import sys
from dataclasses import replace

from huggingface_hub import constants

from glaze_server import hub
from glaze_server.engine.catalogue import MODELS, OTHERS, File

if __name__ == "__main__":
    for known in (MODELS, OTHERS):
        for name, model in known.items():
            known[name] = replace(model, files=tuple(File(file.path) for file in model.files))
    constants.DOWNLOAD_CHUNK_SIZE = 4096
    sys.exit(hub.main())
