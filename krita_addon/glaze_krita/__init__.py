"""Glaze for Krita: cloaks a layer in the background and puts the result above it for review.

Krita imports this package at its start. `lib` beside it carries the light client, since Krita's Python has no pip.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "lib"))

from krita import DockWidgetFactory, DockWidgetFactoryBase, Krita

from .docker import GlazeDocker
from .extension import DOCKER, GlazeExtension

RIGHT = getattr(DockWidgetFactoryBase, "DockPosition", DockWidgetFactoryBase).DockRight

Krita.instance().addExtension(GlazeExtension(Krita.instance()))
Krita.instance().addDockWidgetFactory(DockWidgetFactory(DOCKER, RIGHT, GlazeDocker))
