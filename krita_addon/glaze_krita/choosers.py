"""Lists to choose from that fit into a narrow docker."""

from .qt import QtWidgets

LETTERS = 6
"""To which a list may shrink."""


class Chooser(QtWidgets.QComboBox):
    def __init__(self, name):
        super().__init__()
        self.setObjectName(name)
        self.setSizeAdjustPolicy(self.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(LETTERS)
        self._choices = None

    def fill(self, choices, chosen):
        """choices: pairs of text and value. The first one is chosen where `chosen` is no value of any."""
        if choices != self._choices:
            self._choices = choices
            self.clear()
            for text, value in choices:
                self.addItem(text, value)
        self.setCurrentIndex(max(0, self.findData(chosen)))

    def wheelEvent(self, event):
        """Called by Qt: the wheel moves the docker, it chooses nothing."""
        event.ignore()
