"""The actions in Krita's menu, and what lives as long as Krita does."""

import krita
from krita import Krita

from . import export, frames
from .cloaks import Cloaks
from .docker import GlazeDocker
from .qt import QtWidgets
from .session import Session
from .texts import tr

ACTIONS = {
    "glaze_layer": "Glaze layer",
    "glaze_selection": "Glaze selection",
    "glaze_frames": "Glaze all key frames",
    "glaze_export": "Export glazed copy…",
}
DOCKER = "glaze_docker"
MENU = "tools/scripts"


class GlazeExtension(krita.Extension):
    """Made by Krita once."""

    def __init__(self, parent):
        super().__init__(parent)
        self.session = Session(self)
        self.cloaks = Cloaks(self.session, self)
        GlazeDocker.shared = (self.session, self.cloaks)

    def setup(self):
        notifier = Krita.instance().notifier()
        notifier.setActive(True)
        notifier.applicationClosing.connect(self._close)
        notifier.imageSaved.connect(self.cloaks.saved)

    def createActions(self, window):
        for name, text in ACTIONS.items():
            action = window.createAction(name, tr(text), MENU)
            action.triggered.connect(lambda *_, name=name: self._run(name))

    def _run(self, name):
        window = Krita.instance().activeWindow()  # not the one above, whose wrapper is gone by now
        docker = window.qwindow().findChild(QtWidgets.QDockWidget, DOCKER) if window else None
        if docker is None:
            return
        docker.setVisible(True)
        if name == "glaze_export":
            export.ask(window.qwindow(), self.cloaks, docker.settings)
        elif name == "glaze_frames":
            frames.glaze(self.cloaks, docker.settings())
        else:
            docker.glaze(name == "glaze_selection")

    def _close(self):
        self.cloaks.close()
        self.session.close()
