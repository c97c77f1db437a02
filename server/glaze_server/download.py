"""Downloading one encoder's files: what was interrupted is taken up again, and only what is whole is ever seen.

huggingface_hub knows addresses, tokens, proxies, mirrors and when to try again; the file is written here, since that
library throws away what came before a process ended.
"""

from __future__ import annotations

import errno
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glaze_plugin import places
from glaze_plugin.errors import BadInput, GlazeError
from glaze_server.engine import pulled, stock
from glaze_server.engine.catalogue import File, Model
from glaze_server.engine.pulled import Kept, Record

Say = Callable[[dict[str, Any]], None]

NEWEST = "main"
ROOM = 64 << 20
"""Bytes of the disk that must stay free beyond a download."""
BUSY = (408, 429, 500, 502, 503, 504)
"""What a hub answers that may be able to do more in a moment."""
PATIENCE_SECONDS = 60
"""s that a hub is given at most before it is asked again."""
SAY_SECONDS = 0.2
"""s between two lines about progress."""


@dataclass(frozen=True)
class Remote:
    """A file on the hub. etag: names its content. sha256: what its content must have, "" where nobody knows."""

    file: File
    url: str
    headers: dict[str, str]
    commit: str
    size: int
    etag: str
    sha256: str

    def part(self, folder: Path) -> Path:
        """What has come of it so far."""
        return folder / f"{self.file.name}.{re.sub(r'[^0-9A-Za-z]', '', self.etag)[:16]}.part"


def pull(one: Model, say: Say) -> None:
    """Download an encoder's files into its folder; what an earlier call left unfinished is taken up again.

    Files become visible when all have come and have their checksums. Raises GlazeError with a sentence.
    """
    name = one.name
    if name in stock.DEFAULT:
        raise BadInput("embedded", f"The encoder {name} is part of Glaze.")
    if not one.repository:
        remedy = f"Put {one.by_hand[0].name} from {one.source} into {places.models()}."
        raise BadInput("not_on_hub", f"The encoder {name} is on no hub.", remedy)
    folder = stock.folder(one)
    record = pulled.read(folder)
    if record and pulled.whole(folder, record):
        say({"pulled": name, "path": str(folder), "revision": record.revision})
        return
    incoming = places.private(places.private(places.models() / ".incoming") / name)
    with _alone(incoming, one), _in_words(one):
        _check_proxy()
        remotes = list(_look(one, record))
        total = sum(remote.size for remote in remotes)
        say({"pulling": name, "licence": one.licence, "total": total})
        _check_room(one, incoming, total - sum(_had(remote, incoming) for remote in remotes))
        before = 0
        for remote in remotes:
            _fetch(one, remote, incoming, _Ticker(say, before, total))
            before += remote.size
        kept = tuple(_arrived(one, remote, incoming) for remote in remotes)
        places.private(folder)
        for remote in remotes:
            remote.part(incoming).replace(folder / remote.file.name)
        pulled.write(folder, Record(one.repository, remotes[0].commit, kept))
    shutil.rmtree(incoming, ignore_errors=True)
    say({"pulled": name, "path": str(folder), "revision": remotes[0].commit})


def _check_proxy() -> None:
    """Raises GlazeError where the HTTP client cannot use the proxy that is set, as it cannot one of SOCKS."""
    from huggingface_hub import get_session

    try:
        get_session()
    except Exception as error:  # ValueError, ImportError or the client's own
        raise GlazeError(
            "bad_proxy",
            "The proxy that is set for this computer is of a kind that downloads cannot use.",
            "Set HTTPS_PROXY to one whose address begins with http://, and unset ALL_PROXY.",
        ) from error


def _look(one: Model, record: Record | None) -> Iterator[Remote]:
    """What the hub says of each file. Where no revision is known in advance, the one of the first download counts."""
    from huggingface_hub import hf_hub_url
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    revision = one.revision or (record.revision if record else NEWEST)
    known = {kept.name: kept.sha256 for kept in record.files} if record else {}
    for file in one.files:
        url = hf_hub_url(one.repository, file.path, revision=revision)
        found = _metadata(url)
        if not found.commit_hash or not found.etag or found.size is None:
            raise GlazeError(
                "no_hub", f"What answers for the hub does not know {one.repository} as a hub would.", PROXY
            )
        if revision not in (NEWEST, found.commit_hash):
            raise GlazeError(
                "no_hub", f"What answers for the hub has {one.repository} at another revision than asked for.", PROXY
            )
        revision = found.commit_hash  # all of them of one commit
        of_hub = found.etag if re.fullmatch("[0-9a-f]{64}", found.etag) else ""
        sha256 = file.sha256 or known.get(file.name, "") or of_hub
        yield Remote(file, url, build_hf_headers(), found.commit_hash, found.size, found.etag, sha256)


def _metadata(url: str) -> Any:
    """What the hub says of a file. One that is busy is asked again after the time that it names, and then ever more
    rarely; one that cannot be reached is not waited for.
    """
    from huggingface_hub import errors, get_hf_file_metadata

    try:
        return get_hf_file_metadata(url)
    except errors.HfHubHTTPError as error:
        if error.response is None or error.response.status_code not in BUSY:
            raise
        wait = error.response.headers.get("Retry-After", "")
        time.sleep(min(int(wait) if wait.isdecimal() else 1, PATIENCE_SECONDS))
        return get_hf_file_metadata(url, retry_on_errors=True)


def _had(remote: Remote, folder: Path) -> int:
    part = remote.part(folder)
    return part.stat().st_size if part.exists() else 0


def _check_room(one: Model, folder: Path, missing: int) -> None:
    free = shutil.disk_usage(folder).free
    if missing + ROOM > free:
        raise GlazeError(
            "disk_full",
            f"The encoder {one.name} needs {missing / 1e6:.0f} MB more, and {free / 1e6:.0f} MB are free.",
            "Free some space, or set GLAZE_HOME to a folder on another disk.",
        )


class _Ticker:
    """Says how far a download is; what the hub's library takes for a progress bar. before: bytes that came before."""

    def __init__(self, say: Say, before: int, total: int) -> None:
        self._say, self._done, self._total = say, before, total
        self._said = 0.0

    def update(self, count: float) -> None:
        """count: bytes that have come, fewer than none where the hub begins anew."""
        self._done += int(count)
        if time.monotonic() - self._said > SAY_SECONDS or self._done >= self._total:
            self._said = time.monotonic()
            self._say({"done": self._done, "total": self._total})

    def __enter__(self) -> _Ticker:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def _fetch(one: Model, remote: Remote, folder: Path, ticker: _Ticker) -> None:
    """Bring what is missing of a file. A connection that is cut is taken up again a few times."""
    from huggingface_hub.file_download import http_get

    part, had = remote.part(folder), _had(remote, folder)
    if had > remote.size:
        part.unlink()
        had = 0
    ticker.update(had)
    with part.open("r+b" if had else "wb") as file:
        file.seek(had)
        http_get(
            remote.url,
            file,
            resume_size=had,
            headers=dict(remote.headers),
            expected_size=remote.size,
            displayed_filename=one.name,
            tqdm_class=lambda **_: ticker,  # type: ignore[arg-type]
        )


def _arrived(one: Model, remote: Remote, folder: Path) -> Kept:
    """The file's record. Raises GlazeError where it is not what it should be; it is thrown away then."""
    part = remote.part(folder)
    found = pulled.sha256(part)
    if remote.sha256 not in ("", found):
        part.unlink()
        raise GlazeError(
            "checksum",
            f"What came as {remote.file.path} of {one.repository} is not the published file; it was thrown away.",
            "Try again; if it happens again, leave HF_ENDPOINT unset.",
        )
    return Kept(remote.file.name, remote.size, found)


PROXY = "Look at HF_ENDPOINT and HTTPS_PROXY, if you have set them."


@contextmanager
def _alone(folder: Path, one: Model) -> Iterator[None]:
    """One download of a model at a time. Raises GlazeError."""
    from filelock import FileLock, Timeout

    lock = FileLock(folder.with_name(f"{folder.name}.lock"))
    try:
        with lock.acquire(timeout=0):
            yield
    except Timeout:
        raise GlazeError("busy", f"The encoder {one.name} is being downloaded already.") from None


@contextmanager
def _in_words(one: Model) -> Iterator[None]:
    """What the hub's library raises, as sentences."""
    from huggingface_hub import constants, errors, get_token

    again = f"Run `glaze models pull {one.name}` again; it goes on where it stopped."
    try:
        if constants.is_offline_mode():
            raise GlazeError(
                "offline", "HF_HUB_OFFLINE is set, so nothing is downloaded.", "Unset it for the download."
            )
        yield
    except errors.GatedRepoError as error:
        page = f"{constants.ENDPOINT}/{one.repository}"
        raise GlazeError(
            "needs_token",
            f"{one.repository} is given only to those who have accepted its licence.",
            f"Accept it on {page}, make a token for reading in the settings there, and put it into HF_TOKEN.",
        ) from error
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.EntryNotFoundError) as error:
        raise GlazeError("not_found", f"The hub does not have {one.repository} as Glaze knows it.", PROXY) from error
    except errors.HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        if status == 401 and get_token():
            raise GlazeError(
                "bad_token",
                "The hub does not accept your token; it may have expired.",
                f"Renew it, or do without: unset HF_TOKEN, or delete {constants.HF_TOKEN_PATH}.",
            ) from error
        if status == 429:
            raise GlazeError("hub_busy", "The hub asks to wait: there were too many requests.", again) from error
        raise GlazeError("hub_error", f"The hub answered with error {status}.", again) from error
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise GlazeError("disk_full", "The disk became full during the download.", again) from error
        raise GlazeError("no_connection", f"The download of {one.name} was interrupted.", again) from error
    except Exception as error:
        if not type(error).__module__.startswith("httpx"):
            raise
        raise GlazeError("no_connection", f"The hub cannot be reached, or was lost: {error}.", again) from error
