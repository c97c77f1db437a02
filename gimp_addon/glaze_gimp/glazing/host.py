"""GIMP's introspected libraries, each in the version that is meant. Those with windows are in screen.py."""

# ruff: noqa: E402, F401

import gi

for name, version in (("Babl", "0.1"), ("Gegl", "0.4"), ("Gimp", "3.0")):
    gi.require_version(name, version)

from gi.repository import Babl, Gegl, Gimp, Gio, GLib, GObject
