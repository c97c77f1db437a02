"""The commands about the daemon and its jobs."""

from __future__ import annotations

import subprocess

from rich.table import Table
from rich.text import Text

from glaze_plugin import places
from glaze_plugin.cli.output import console, errors, print_json
from glaze_plugin.client import Client
from glaze_plugin.errors import BadInput, DaemonUnavailable
from glaze_plugin.launch import end_daemon, find_daemon, start_command, wait_for_end

NAME = "glaze command line"
UNIT = """\
[Unit]
Description=Glaze daemon: style cloaks for artists' pictures

[Service]
ExecStart={command}
Restart=on-failure
RestartSec=5

[Install]
WantedBy=default.target
"""


def connected() -> Client:
    """A client of the daemon, which is started where none runs."""
    return Client.connect(NAME, lambda what: errors.print(f"{what} …") if errors.is_terminal else None)


def _running() -> Client | None:
    found = find_daemon(NAME)
    return Client.over(NAME, found) if found else None


def run(host: str) -> int:
    """Run the daemon in the foreground and return its exit code."""
    return subprocess.call([*start_command(), "--host", host])


def unit() -> None:
    """Print a unit for systemd's user instance."""
    command = " ".join(f'"{word}"' if " " in word else word for word in start_command())
    print(UNIT.format(command=command), end="")


def start() -> None:
    """Start the daemon unless it runs."""
    with connected() as client:
        console.print(f"The Glaze daemon runs (process {client.welcome.pid}).")


def stop() -> None:
    """Stop the daemon, also one that hangs or speaks another protocol."""
    if _end():
        console.print("The Glaze daemon has stopped.")
    else:
        console.print("No Glaze daemon is running.")


def restart() -> None:
    """Stop the daemon, if one runs, and start one of this version."""
    _end()
    start()


def _end() -> bool:
    """End the daemon that lives; False where none does."""
    try:
        client = _running()
        if client is None:
            return False
        with client:
            client.shutdown()
            wait_for_end(client.welcome.pid)
    except DaemonUnavailable:
        end_daemon()
    return True


def status(json: bool) -> None:
    """Print the daemon's state. Raises DaemonUnavailable where none runs."""
    client = _running()
    if client is None:
        if json:
            print_json({"running": False})
        raise DaemonUnavailable("not_running", "No Glaze daemon is running.", "`glaze daemon start` starts it.")
    with client:
        state = client.status()
    if json:
        print_json({"running": True, **vars(state)})
        return
    rows = {
        "version": state.version,
        "process": str(state.pid),
        "running for": f"{state.uptime:.0f} s",
        "worker": state.worker,
        "device": state.device,
        "encoders": ", ".join(state.encoders),
        "styles": ", ".join(state.styles),
        "target style": state.style or "none is kept yet",
        "jobs": f"{state.jobs_running} running, {state.jobs_waiting} waiting",
        "disk": f"{state.disk / 1e6:.0f} MB of jobs and results in {places.state() / 'jobs'}",
        "log": state.log,
    }
    for name, value in rows.items():
        console.print(f"{name:13}{value}", soft_wrap=True)


def jobs(json: bool) -> None:
    """Print the daemon's jobs; none where no daemon runs."""
    client = _running()
    found = []
    if client:
        with client:
            found = client.jobs()
    if json:
        print_json(found)
        return
    table = Table("id", "kind", "picture", "state", box=None, pad_edge=False)
    for job in found:
        state = job["state"] + (f" {job['progress']:.0%}" if job["state"] == "running" else "")
        table.add_row(job["job"][:12], job["kind"], Text(job["label"]), state)
    console.print(table if found else "No jobs.")


def cancel(start_of_id: str) -> None:
    """Cancel the one job whose id starts like that."""
    client = _running()
    if client is None:
        raise DaemonUnavailable("not_running", "No Glaze daemon is running, so there is no job to cancel.")
    with client:
        matching = [job["job"] for job in client.jobs() if job["job"].startswith(start_of_id)]
        if len(matching) != 1:
            number = "No job has" if not matching else f"{len(matching)} jobs have"
            raise BadInput("unknown_job", f"{number} an id that starts with {start_of_id!r}.")
        client.cancel_job(matching[0])
    console.print(f"Cancelled {matching[0][:12]}.")
