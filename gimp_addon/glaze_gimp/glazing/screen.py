"""The libraries for dialogs, which are loaded only where there is a screen."""

# ruff: noqa: E402, F401

import gi

for name, version in (("Gdk", "3.0"), ("GdkPixbuf", "2.0"), ("GimpUi", "3.0"), ("Gtk", "3.0")):
    gi.require_version(name, version)

from gi.repository import Gdk, GdkPixbuf, GimpUi, Gtk
