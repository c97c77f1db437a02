# mypy: ignore-errors
"""Lets a test drive this Krita: what it sends over a loopback socket is run in the GUI thread.

One JSON object a line. The test sends {"code", "values"}, this answers {"result"} or {"error"}, and sends {"event"}
(and {"event": "exception", "text"}) whenever something happens. Bytes travel as {"bytes": base64}.
"""

import ast
import base64
import faulthandler
import json
import os
import signal
import socket
import sys
import threading
import traceback

from krita import Extension, Krita

from . import tools
from .qt import QtCore

EVENTS = ("windowCreated", "viewCreated", "viewClosed", "imageCreated", "imageClosed", "applicationClosing")


class Driver(QtCore.QObject):
    def __init__(self, port):
        super().__init__()
        self._names = dict(vars(tools))
        self._received = bytearray()
        self._sending = threading.Lock()
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._notifier = QtCore.QSocketNotifier(self._socket.fileno(), QtCore.QSocketNotifier.Type.Read, self)
        self._notifier.activated.connect(self._receive)

    def send(self, **message):
        line = json.dumps(message, default=packed).encode() + b"\n"
        with self._sending:
            self._socket.sendall(line)

    def forward_exceptions(self):
        """Send the test what nobody caught; Krita itself would show a modal dialog."""
        sys.excepthook = self._report
        threading.excepthook = lambda args: self._report(args.exc_type, args.exc_value, args.exc_traceback)
        sys.unraisablehook = lambda args: self._report(args.exc_type, args.exc_value, args.exc_traceback)

    def _report(self, kind, value, trace):
        self.send(event="exception", text="".join(traceback.format_exception(kind, value, trace)))

    def _receive(self, *_):
        data = self._socket.recv(1 << 20)
        if not data:  # the test is gone
            os._exit(1)
        self._received += data
        while b"\n" in self._received:
            line, _, self._received = self._received.partition(b"\n")
            self._answer(json.loads(line, object_hook=unpacked))

    def _answer(self, request):
        try:
            self._names.update(request["values"])
            self.send(result=self._run(request["code"]))
        except Exception:
            self.send(error=traceback.format_exc())

    def _run(self, code):
        """Run statements; the value of the last one, if it is an expression."""
        tree = ast.parse(code)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, "<test>", "exec"), self._names)
        return eval(compile(ast.Expression(last.value), "<test>", "eval"), self._names) if last else None


def packed(value):
    if isinstance(value, (bytes, bytearray, QtCore.QByteArray)):
        return {"bytes": base64.b64encode(bytes(value)).decode()}
    raise TypeError(f"{value!r} cannot be sent to the test")


def unpacked(found):
    return base64.b64decode(found["bytes"]) if found.keys() == {"bytes"} else found


class DriverExtension(Extension):
    def setup(self):
        faulthandler.register(signal.SIGUSR1)  # the test wants to know where a Krita hangs
        self.driver = Driver(int(os.environ["GLAZE_TEST_DRIVER"]))
        self.driver.forward_exceptions()
        notifier = Krita.instance().notifier()
        notifier.setActive(True)
        for name in EVENTS:
            getattr(notifier, name).connect(lambda *_, name=name: self.driver.send(event=name))

    def createActions(self, window):
        QtCore.QTimer.singleShot(0, self._ready)

    def _ready(self):
        self.driver.send(event="ready")


Krita.instance().addExtension(DriverExtension(Krita.instance()))
