# mypy: ignore-errors
"""Something to click on while the harness itself is tested."""

from glaze_test_driver.qt import QtCore, QtWidgets
from krita import DockWidget, DockWidgetFactory, DockWidgetFactoryBase, Extension, Krita

clicks = []


class Toy(DockWidget):
    def __init__(self):
        super().__init__()
        self.setWindowTitle("Harness toy")
        page = QtWidgets.QWidget(self)
        rows = QtWidgets.QVBoxLayout(page)
        for name, slot in (("toy_button", self._clicked), ("toy_failure", self._failed)):
            button = QtWidgets.QPushButton(name, page)
            button.setObjectName(name)
            button.clicked.connect(slot)
            rows.addWidget(button)
        slider = QtWidgets.QSlider(QtCore.Qt.Orientation.Horizontal, page)
        slider.setObjectName("toy_slider")
        slider.setRange(0, 100)
        rows.addWidget(slider)
        self.setWidget(page)

    def canvasChanged(self, canvas):
        pass

    def _clicked(self):
        clicks.append("button")

    def _failed(self):
        raise ValueError("the toy is broken")


class ToyExtension(Extension):
    def setup(self):
        pass

    def createActions(self, window):
        window.createAction("harness_toy", "Toy action", "tools/scripts").triggered.connect(
            lambda: clicks.append("action")
        )


place = getattr(DockWidgetFactoryBase, "DockPosition", DockWidgetFactoryBase).DockRight
Krita.instance().addExtension(ToyExtension(Krita.instance()))
Krita.instance().addDockWidgetFactory(DockWidgetFactory("harness_toy", place, Toy))
