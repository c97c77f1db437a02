"""The parts of Qt that the add-on uses, from the Qt that Krita itself has loaded: 5 up to Krita 5.3, 6 from Krita 6."""

import pykrita

if getattr(pykrita, "qt_major_version", lambda: 5)() == 6:
    from PyQt6 import QtCore, QtGui, QtWidgets

    QAction = QtGui.QAction
else:
    from PyQt5 import QtCore, QtGui, QtWidgets

    QAction = QtWidgets.QAction

Qt = QtCore.Qt

__all__ = ["QAction", "Qt", "QtCore", "QtGui", "QtWidgets"]
