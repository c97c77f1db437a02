"""A hub on this computer: repositories as files in memory, answered as the real one does, with faults on request.

HEAD and GET of /{repository}/resolve/{revision}/{path}, as huggingface_hub asks: X-Repo-Commit, ETag, and for weights
X-Linked-ETag and X-Linked-Size, with a redirect to where their bytes are; ranges; errors by X-Error-Code.
"""

from __future__ import annotations

import hashlib
import random
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

COMMIT = "c0ffee" * 6 + "cafe"
LARGE = ".safetensors"
"""What the real hub keeps as large files: named by their SHA-256 and served from elsewhere."""
WEIGHTS = "diffusion_pytorch_model.safetensors"
TINY_SIZE = 24_000_000
"""Bytes, more than twice what a download writes at once, so that half of it leaves something on the disk."""


class Hub:
    """repositories: name → path → bytes. faults: path → what goes wrong with it.

    "cut" sends half of what is asked for, once; "cut for good" sends nothing from then on; "wrong" changes the bytes;
    "busy" answers 429 with Retry-After until that time is over; "busy for good" always; "gated" is 401; "missing" 404;
    A token "hf_expired" is 401 whatever is asked for.
    "another revision" is another commit than the one that is asked for.
    "slow" sends in small pieces, with pauses; "stalls" sends half and then nothing, once.
    """

    def __init__(self) -> None:
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.faults: dict[str, str] = {}
        self.asked: list[tuple[str, str, str]] = []
        """Method, path, Range of every request."""
        self.refused: list[float] = []
        """When "busy" was answered."""
        hub = self

        class Handler(_Handler):
            def __init__(self, *arguments: object) -> None:
                self.hub = hub
                super().__init__(*arguments)  # type: ignore[arg-type]

        self._servers = [ThreadingHTTPServer(("127.0.0.1", 0), Handler) for _ in range(2)]
        self.address, self.elsewhere = (f"http://127.0.0.1:{server.server_port}" for server in self._servers)
        for server in self._servers:
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def ranges(self, path: str) -> list[str]:
        """The ranges in which the bytes of a path were asked for, "" for all."""
        return [wanted for method, asked, wanted in self.asked if method == "GET" and asked.endswith(path)]


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path, wanted = unquote(self.path), self.headers.get("Range", "")
        self.hub.asked.append((self.command, path, wanted))
        repository, _, rest = path.strip("/").partition("/resolve/")
        revision, _, file = rest.partition("/")
        elsewhere = path.startswith("/elsewhere//")
        if elsewhere:
            _, repository, file = path.split("//")
        data = self.hub.repositories.get(repository, {}).get(file)
        fault = self.hub.faults.get(file, "")
        self.commit = COMMIT if revision == "main" or fault == "another revision" else revision
        if self.headers.get("Authorization") == "Bearer hf_expired":
            self._refuse(401, "", {"X-Error-Message": "Invalid credentials in Authorization header"})
        elif fault == "gated" and not elsewhere and self.headers.get("Authorization") != "Bearer hf_right":
            self._refuse(401, "GatedRepo")
        elif fault == "busy for good" or (fault == "busy" and self._still_busy()):
            self._refuse(429, "", {"Retry-After": "1" if fault == "busy" else "0"})
        elif repository not in self.hub.repositories:
            self._refuse(401, "RepoNotFound")
        elif data is None or fault == "missing":
            self._refuse(404, "EntryNotFound")
        elif file.endswith(LARGE) and not elsewhere:
            self._send_on(repository, file, data)
        else:
            self._send(file, data, fault, wanted)

    def _still_busy(self) -> bool:
        now = time.monotonic()
        if self.hub.refused and now > self.hub.refused[0] + 1:
            return False
        self.hub.refused.append(now)
        return True

    def _refuse(self, status: int, code: str, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in ({"X-Error-Code": code} | (headers or {})).items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send_on(self, repository: str, file: str, data: bytes) -> None:
        self.send_response(302)
        self.send_header("Location", f"{self.hub.elsewhere}/elsewhere//{repository}//{file}")
        self.send_header("X-Repo-Commit", self.commit)
        self.send_header("X-Linked-ETag", f'"{hashlib.sha256(data).hexdigest()}"')
        self.send_header("X-Linked-Size", str(len(data)))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, file: str, data: bytes, fault: str, wanted: str) -> None:
        start = int(wanted.removeprefix("bytes=").rstrip("-") or 0)
        if fault == "wrong":
            data = data[:-1] + bytes([data[-1] ^ 1])
        self.send_response(206 if wanted else 200)
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        body = data[start:]
        self.send_header("X-Repo-Commit", self.commit)
        self.send_header("ETag", f'"{hashlib.sha1(data).hexdigest()}"')
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()
        if self.command == "HEAD":
            return
        half = len(body) // 2
        if fault == "cut for good":
            self.wfile.write(body[: half if not start else 0])
            self.close_connection = True
        elif fault == "cut":
            del self.hub.faults[file]
            self.wfile.write(body[:half])
            self.close_connection = True
        elif fault == "stalls":
            del self.hub.faults[file]
            self.wfile.write(body[:half])
            self.wfile.flush()
            time.sleep(5)
            self.close_connection = True
        elif fault == "slow":
            for begin in range(0, len(body), 1 + len(body) // 8):
                self.wfile.write(body[begin : begin + 1 + len(body) // 8])
                self.wfile.flush()
                time.sleep(0.1)
        else:
            self.wfile.write(body)


def hub_with(repository: str) -> Hub:
    """A hub with one model in the layout of diffusers; nothing loads it, so its weights are any bytes."""
    hub = Hub()
    hub.repositories = {repository: {"config.json": b"{}", WEIGHTS: random.Random(1).randbytes(TINY_SIZE)}}
    return hub
