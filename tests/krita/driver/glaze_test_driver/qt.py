# mypy: ignore-errors
"""The Qt that this Krita is built with."""

from importlib import import_module

import pykrita

VERSION = getattr(pykrita, "qt_major_version", lambda: 5)()
QtCore = import_module(f"PyQt{VERSION}.QtCore")
QtWidgets = import_module(f"PyQt{VERSION}.QtWidgets")
