"""A host outlives its daemon."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

HOST = """
import select
import signal
from glaze_plugin.errors import DaemonUnavailable
from glaze_plugin.launch import connect
from glaze_plugin.messages import Hello

signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # as in a program that embeds Python
link, welcome = connect("host")
print(welcome.pid, flush=True)
select.select([link], [], [])  # its end has come, and is not read yet
try:
    while True:
        link.send(Hello(client="host", version="0"))
except DaemonUnavailable as error:
    print(error.code)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGPIPE")
def test_to_write_to_a_daemon_that_has_died_does_not_end_the_host(own_home: Path) -> None:
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", HOST], stdout=pipe, text=True) as host:
        assert host.stdout
        os.kill(int(host.stdout.readline()), signal.SIGKILL)
        said, _ = host.communicate(timeout=60)
    assert (host.returncode, said) == (0, "daemon_gone\n")
