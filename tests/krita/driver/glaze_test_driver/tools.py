# mypy: ignore-errors
"""What a test can call inside Krita. Places are [x, y] in pixels of the screen."""

import sys  # noqa: F401 (for tests)
import time

from krita import Krita

from .qt import QtCore, QtWidgets

CANVASES = ("KisOpenGLCanvas2", "KisQPainterCanvas")


def window():
    """Krita's main window."""
    return Krita.instance().activeWindow().qwindow()


def fill_screen():
    """Give the main window the whole screen."""
    window().setGeometry(QtWidgets.QApplication.primaryScreen().geometry())


def has_keyboard():
    """Whether the window that should have the keyboard has it. If not, it gets it soon: no window manager does that."""
    app = QtWidgets.QApplication
    wanted = app.activeModalWidget() or app.activeWindow() or window()
    if app.activeWindow() is not wanted:
        wanted.activateWindow()
    return app.activeWindow() is wanted


def widget(name):
    """The widget on the screen that has this object name, or the button that says it."""
    shown = [one for one in QtWidgets.QApplication.allWidgets() if one.isVisible()]
    for one in shown:
        if one.objectName() == name:
            return one
    for one in shown:
        if isinstance(one, QtWidgets.QAbstractButton) and plain(one.text()) == name:
            return one
    raise LookupError(f"Krita shows no {name!r}")


def spot(name):
    """The middle of a widget, which has to be where a mouse can reach it."""
    found = widget(name)
    place = found.mapToGlobal(found.rect().center())
    top = QtWidgets.QApplication.widgetAt(place)
    if top is None or not (top is found or found.isAncestorOf(top)):
        raise LookupError(f"{name!r} is covered or out of sight")
    return [place.x(), place.y()]


def handle(name, value=None):
    """The middle of a slider's handle, where it is or where it would be at a value."""
    slider = widget(name)
    option = QtWidgets.QStyleOptionSlider()
    option.initFrom(slider)
    option.orientation = slider.orientation()
    option.minimum, option.maximum = slider.minimum(), slider.maximum()
    option.sliderPosition = option.sliderValue = slider.value() if value is None else value
    part = QtWidgets.QStyle.SubControl.SC_SliderHandle
    found = slider.style().subControlRect(QtWidgets.QStyle.ComplexControl.CC_Slider, option, part, slider)
    place = slider.mapToGlobal(found.center())
    return [place.x(), place.y()]


def entry(*path):
    """The middle of a menu entry, None while its menu is not open. path: texts from the menu bar on."""
    menu = window().menuBar()
    for text in path[:-1]:
        menu = choice(menu, text).menu()
    if not menu.isVisible():
        return None
    place = menu.mapToGlobal(menu.actionGeometry(choice(menu, path[-1])).center())
    return [place.x(), place.y()]


def choice(menu, text):
    """The action that an entry of a menu stands for."""
    texts = [plain(action.text()) for action in menu.actions()]
    if text not in texts:
        raise LookupError(f"there is no {text!r} among {texts}")
    return menu.actions()[texts.index(text)]


def plain(text):
    """A text without the marks for keyboard access."""
    return text.replace("&&", "\0").replace("&", "").replace("\0", "&")


def show_docker(name):
    docker = next(one for one in Krita.instance().dockers() if one.objectName() == name)
    docker.show()
    docker.raise_()


def canvas():
    """The widget that shows the active document."""
    shown = window().centralWidget().findChildren(QtWidgets.QWidget)
    return next((one for one in shown if one.metaObject().className() in CANVASES and one.isVisible()), None)


def on_canvas(x, y):
    """Where a pixel of the active document is seen, as long as the document fits and was not moved."""
    doc, zoom = active(), Krita.instance().activeWindow().activeView().canvas().zoomLevel()
    middle = canvas().mapToGlobal(canvas().rect().center())
    return [
        round(middle.x() + (x + 0.5 - doc.width() / 2) * zoom),
        round(middle.y() + (y + 0.5 - doc.height() / 2) * zoom),
    ]


def active():
    """The active document."""
    return Krita.instance().activeDocument()


def show(doc):
    """Show a document in a view of its own."""
    Krita.instance().activeWindow().addView(doc)
    doc.waitForDone()


def all_nodes(parent=None):
    """Every node of the active document, each before its children, from the bottom to the top."""
    for node in (parent or active().rootNode()).childNodes():
        yield node
        yield from all_nodes(node)


def node(name=None):
    """The node of this name, or the active one."""
    return active().activeNode() if name is None else next(one for one in all_nodes() if one.name() == name)


def area(box):
    """x, y, width, height of a box; without one, of the active document."""
    return box or [0, 0, active().width(), active().height()]


def described(node):
    """What the layers docker tells about a node, and its children."""
    return {
        "name": node.name(),
        "type": node.type(),
        "visible": node.visible(),
        "opacity": node.opacity(),
        "locked": node.locked(),
        "active": node == active().activeNode(),
        "children": [described(child) for child in node.childNodes()],
    }


def close_documents():
    """Close menus, dialogs and all documents without being asked anything."""
    for opened in (QtWidgets.QApplication.activePopupWidget, QtWidgets.QApplication.activeModalWidget):
        while opened():
            opened().close()
    for doc in Krita.instance().documents():
        doc.setModified(False)
        doc.setBatchmode(True)
        doc.close()


def quit_soon():
    close_documents()
    QtCore.QTimer.singleShot(0, Krita.instance().action("file_quit").trigger)


class Ticks(QtCore.QObject):
    """A 5 ms timer; the time between two of its ticks tells how long the GUI thread was busy."""

    def __init__(self):
        super().__init__()
        self._timer = QtCore.QTimer(self)
        self._timer.setTimerType(QtCore.Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._tick)

    def start(self):
        self._gaps = []
        self._last = time.perf_counter()
        self._timer.start(5)

    def stop(self):
        """Seconds between ticks."""
        self._tick()
        self._timer.stop()
        return self._gaps

    def _tick(self):
        now = time.perf_counter()
        self._gaps.append(now - self._last)
        self._last = now


ticks = Ticks()
