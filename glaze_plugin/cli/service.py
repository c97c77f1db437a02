"""The commands about the daemon and its jobs."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time

from rich.table import Table

from glaze_plugin.cli.output import console, errors, print_json
from glaze_plugin.client import Client
from glaze_plugin.connection import find_daemon, read_connection, start_command
from glaze_plugin.errors import BadInput, DaemonUnavailable

NAME = "glaze command line"
STOP_SECONDS = 10.0


def connected() -> Client:
    """A client of the daemon, which is started where none runs."""
    return Client.connect(NAME, lambda what: errors.print(f"{what} …") if errors.is_terminal else None)


def _running() -> Client | None:
    found = find_daemon(NAME)
    return Client(NAME, *found) if found else None


def run() -> int:
    """Run the daemon in the foreground and return its exit code."""
    return subprocess.call(start_command())


def start() -> None:
    """Start the daemon unless it runs."""
    with connected() as client:
        console.print(f"The Glaze daemon runs (process {client.welcome.pid}).")


def stop() -> None:
    """Stop the daemon, also one that speaks another protocol."""
    connection = read_connection()
    try:
        client = _running()
    except DaemonUnavailable:
        client = None
        if connection:
            with contextlib.suppress(OSError):
                os.kill(connection.pid, signal.SIGTERM)
    else:
        if client is None:
            console.print("No Glaze daemon is running.")
            return
        with client:
            client.shutdown()
    deadline = time.monotonic() + STOP_SECONDS
    while read_connection() == connection:
        if time.monotonic() > deadline:
            raise DaemonUnavailable("will_not_stop", "The Glaze daemon does not stop.", "Look into its log.")
        time.sleep(0.05)
    console.print("The Glaze daemon has stopped.")


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
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_row("version", state.version)
    table.add_row("process", str(state.pid))
    table.add_row("running for", f"{state.uptime:.0f} s")
    table.add_row("worker", state.worker)
    table.add_row("device", state.device)
    table.add_row("encoders", ", ".join(state.encoders))
    table.add_row("styles", ", ".join(state.styles))
    table.add_row("jobs", f"{state.jobs_running} running, {state.jobs_waiting} waiting")
    table.add_row("log", state.log)
    console.print(table)


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
        table.add_row(job["job"][:12], job["kind"], job["label"], state)
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
