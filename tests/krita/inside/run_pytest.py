# mypy: ignore-errors
"""Run by kritarunner: pytest inside Krita's own Python.

Arguments: the checkout, a folder with pytest in it, a file for the results in JUnit's format, then pytest's own.
"""

import os
import sys
import types


def __main__(arguments):
    root, packages, results, *own = arguments
    sys.path[:0] = [root, packages]
    package = types.ModuleType("glaze_krita")  # without its __init__, which builds the docker
    package.__path__ = [f"{root}/krita_addon/glaze_krita"]
    sys.modules["glaze_krita"] = package
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    code = 3
    try:
        import pytest

        options = ["-p", "no:cacheprovider", "--import-mode=importlib", f"--confcutdir={root}/tests/krita/inside"]
        code = pytest.main([*options, "-c", os.devnull, f"--rootdir={root}", f"--junitxml={results}", *own])
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(int(code))  # kritarunner itself always says 0
