# mypy: ignore-errors
"""Lets a test drive this GIMP: run by its Python interpreter for batch commands, it runs what comes over a socket.

One JSON object a line: {"code", "values"}, answered by {"result"} or {"error"}; {"tools"} forgets all names but what
that code makes; null ends it. Bytes travel as {"bytes": base64}, other things that JSON has not as their repr.
"""

import ast
import base64
import faulthandler
import json
import os
import signal
import socket
import traceback

from gi.repository import Gimp


def packed(value):
    return {"bytes": base64.b64encode(value).decode()} if isinstance(value, bytes) else repr(value)


def unpacked(found):
    return base64.b64decode(found["bytes"]) if found.keys() == {"bytes"} else found


def evaluated(code, scope):
    tree = ast.parse(code)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "<test>", "exec"), scope)
    return eval(compile(ast.Expression(last.value), "<test>", "eval"), scope) if last else None


def serve(port):
    scope = {}
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    stream = socket.create_connection(("127.0.0.1", port)).makefile("rwb")

    def send(**message):
        stream.write(json.dumps(message, default=packed).encode() + b"\n")
        stream.flush()

    send(pid=os.getpid(), version=Gimp.version())
    for line in stream:
        request = json.loads(line, object_hook=unpacked)
        if request is None:
            return
        try:
            if "tools" in request:
                scope = {"Gimp": Gimp}
                exec(compile(request["tools"], "<tools>", "exec"), scope)
                send(result=None)
            else:
                scope.update(request["values"])
                send(result=evaluated(request["code"], scope))
        except Exception:
            send(error=traceback.format_exc())
