"""`python -m glaze_server.hub list|pull|verify|remove [NAME…]`: the weights of encoders, CLIP and CSD, in JSON lines.

`glaze models` runs it in a process of its own, as a painting program may. It needs neither daemon nor torch, and `pull`
is the only action that touches the network. Lines: {"model": …}, {"pulling": …, "total": bytes},
{"done": bytes, "total": bytes}, {"pulled": …}, {"verified": …}, {"removed": …}, and {"error": …}, which is the last.
"""

from __future__ import annotations

import json
import shutil
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from glaze_plugin import places
from glaze_plugin.errors import BadInput, GlazeError, described
from glaze_server.download import Say, pull
from glaze_server.engine import pulled
from glaze_server.engine.catalogue import MODELS, OTHERS, find_any
from glaze_server.engine.stock import DEFAULT, folder, own, weights_file


def facts() -> Iterator[dict[str, Any]]:
    """What an artist may want to know of each encoder and of CLIP and CSD, the own ones last.

    size: bytes to download, or null. family: "" for what is no encoder.
    """
    for one in (MODELS | OTHERS).values():
        path = weights_file(one)
        yield {
            "name": one.name,
            "about": one.about,
            "family": one.family,
            "licence": one.licence,
            "size": one.size,
            "about_size": one.about_size,
            "tiny": one.tiny,
            "gated": one.gated,
            "memory": one.memory,
            "repository": one.repository,
            "path": str(path) if path else "",
        }
    for name, path in own().items():
        yield {"name": name, "about": "your own", "family": name, "licence": "", "size": None, "path": str(path)}


def verify(name: str, say: Say) -> bool:
    """Compare an encoder's files with what was published or downloaded; whether they are the same."""
    one = find_any(name)
    path, record = weights_file(one), pulled.read(folder(one))
    if path is None:
        raise BadInput("missing_weights", f"The weights of the encoder {name!r} are not on this computer.")
    published = {file.name: file.sha256 for file in one.by_hand}.get(path.name)
    if record:
        same: bool | None = pulled.whole(path.parent, record)
    else:
        same = pulled.sha256(path) == published if published else None
    say({"verified": name, "same": same, "path": str(path)})
    return same is not False


def remove(name: str, say: Say) -> None:
    """Delete what was downloaded of an encoder, finished or not.

    Raises BadInput where that is nothing, and GlazeError where something of it cannot be deleted.
    """
    one = find_any(name)
    here, incoming = folder(one), places.models() / ".incoming" / name
    downloaded = [here] * bool(pulled.read(here)) + [incoming] * incoming.exists()
    if not downloaded:
        path = weights_file(one)
        if path and one.name not in DEFAULT:
            raise BadInput("own_file", f"The encoder {name} was not downloaded by Glaze.", f"Delete {path} yourself.")
        raise BadInput("nothing_there", f"Nothing of the encoder {name} was downloaded.")
    try:
        for path in downloaded:
            _delete(path)
    except OSError as error:
        raise GlazeError(
            "not_removed",
            f"The encoder {name} is still there, at least in part: {error.filename}: {error.strerror}.",
            "Stop what uses it (`glaze daemon stop`), and see that the folder can be written; then remove it again.",
        ) from error
    say({"removed": name})


def _delete(folder: Path) -> None:
    """Delete a folder, its record last: what is left until then still counts as downloaded. Raises OSError."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != pulled.RECORD:
            path.unlink()
    shutil.rmtree(folder)


def main(arguments: list[str] | None = None) -> int:
    """Do what the arguments say. Returns the exit code."""
    action, *names = (sys.argv[1:] if arguments is None else arguments) or ["list"]

    def say(line: dict[str, Any]) -> None:
        print(json.dumps(line), flush=True)

    try:
        if action == "list":
            for fact in facts():
                say({"model": fact})
        elif action == "pull":
            for name in names:
                pull(find_any(name), say)
        elif action == "verify":
            there = [name for name, one in (MODELS | OTHERS).items() if name not in DEFAULT and weights_file(one)]
            found = names or there
            same = [verify(name, say) for name in found]
            return 0 if all(same) else 1
        elif action == "remove":
            for name in names:
                remove(name, say)
        else:
            raise BadInput("action", f"There is no action {action!r}; there are list, pull, verify and remove.")
    except GlazeError as error:
        say({"error": described(error)})
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        traceback.print_exc()
        said = GlazeError("hub_fault", f"`glaze models {action}` has a fault ({type(error).__name__}: {error}).")
        say({"error": described(said)})
        return said.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
