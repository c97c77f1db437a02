"""Packs the Krita add-on for Krita's Tools ▸ Scripts ▸ Import Python Plugin from File. `make krita-zip` runs it.

Krita's importer finds a plugin only by an entry of the archive for its folder, which zipfile does not write by itself.
The same files give the same bytes.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from glaze_plugin import __version__
from glaze_plugin.install.common import Files
from glaze_plugin.install.krita import addon

ZIP = Path("dist") / f"glaze-krita-{__version__}.zip"
FILE, FOLDER = 0o100644 << 16, 0o40755 << 16 | 0x10
"""Kind and mode as Unix and DOS have them."""
UNIX = 3


def pack(files: Files, archive: Path) -> None:
    """Write the add-on as a zip: what goes into `pykrita` and `actions` lies at its top."""
    content = {name.split("/", 1)[1]: data for name, data in files.items()}
    folders = {f"{parent}/" for name in content for parent in PurePosixPath(name).parents if parent.name}
    with ZipFile(archive, "w") as out:
        for name in sorted({*content, *folders}):
            entry = ZipInfo(name)
            entry.create_system = UNIX
            entry.external_attr = FOLDER if name in folders else FILE
            entry.compress_type = ZIP_DEFLATED
            out.writestr(entry, content.get(name, b""))


if __name__ == "__main__":
    ZIP.parent.mkdir(exist_ok=True)
    pack(addon(), ZIP)
    print(ZIP)
