"""Which target style is kept for the artist, and choosing another."""

from glaze_plugin.target import TargetStyle

from .choosers import Chooser
from .texts import TEXTS, tr


class StyleChooser(Chooser):
    """It shows what the daemon keeps; the first choice is that the next picture chooses."""

    def __init__(self, session, tell):
        """tell: called with a sentence about what the artist has chosen."""
        super().__init__("glaze_style")
        self._session, self._tell = session, tell
        self._status = None
        self.target = TargetStyle(session.client, self._ended)
        self.activated.connect(self._choose)
        session.changed.connect(self._look)
        self._show()

    def showPopup(self):
        """Called by Qt for a click: the styles are the daemon's to know, so one is started where none runs."""
        self._session.wake()
        if self.target.names:
            super().showPopup()

    def _choose(self, index):
        name = self.itemData(index)
        if name is not None and name != self.target.kept:
            self._session.do(lambda: self.target.choose(name))
        self._show()

    def _look(self):
        status = self._session.status
        if status is not None and status is not self._status:
            self.target.heard(status)
            self._show()
        self._status = status

    def _ended(self):
        self._show()
        self._tell(self.target.words(TEXTS))

    def _show(self):
        target = self.target
        names = [(tr("the next picture chooses"), ""), *((name, name) for name in target.names)]
        self.fill(names if target.names else [("…", None)], target.kept)
        self.setEnabled(not target.changing)
        self.setToolTip(target.hint(TEXTS) if target.names else "")
