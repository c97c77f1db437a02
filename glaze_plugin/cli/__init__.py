"""The command line, `glaze`. Needs typer and rich (`pip install 'glaze-plugin[cli]'`)."""

from __future__ import annotations

import sys


def main() -> int:
    """Run `glaze` with the process's arguments and return its exit code."""
    try:
        from glaze_plugin.cli.app import run
    except ModuleNotFoundError as error:
        if error.name not in ("typer", "rich"):
            raise
        print("The command line needs typer and rich: pip install 'glaze-plugin[cli]'", file=sys.stderr)
        return 1
    return run()
