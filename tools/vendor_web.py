"""The files of other projects that the pages use: fetched with npm, checked, and put in place.

    python tools/vendor_web.py check     print what is not as recorded; exit 1 if anything is
    python tools/vendor_web.py write     fetch the recorded versions again, and record the files

`src/tagboat/web/vendored.toml` records packages, their integrity as npm states it, and the hash of
each file. No host is named: npm knows which registry it uses.
"""

import base64
import hashlib
import io
import re
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
WEB = ROOT / "src" / "tagboat" / "web"
RECORD = WEB / "vendored.toml"
STATIC = WEB / "static"
SPRITE = "icons.svg"
# Ours: the hull, the funnel and the mast of a tug.
_TAGBOAT = '<path d="M3 15h18l-2.2 5H6.2z"/><path d="M7 15V9h7l3 6"/><path d="M10 9V4h3"/>'
_SHAPE = re.compile(r"<(?:path|circle|rect|line|polyline|polygon|ellipse)\b[^>]*/>")


def check(record: Mapping[str, Any], static: Path) -> list[str]:
    """Return what is not as recorded, in words; empty if all is."""
    recorded = {name: entry for one in record["package"] for name, entry in one["files"].items()}
    wrong = [
        f"{name} is not the file that was recorded"
        for name, entry in recorded.items()
        if not (static / name).is_file() or _sha256((static / name).read_bytes()) != entry["sha256"]
    ]
    sprite = (static / SPRITE).read_text() if (static / SPRITE).is_file() else ""
    wrong += [f"{SPRITE} has no {icon}" for icon in record["icons"] if f'id="{icon}"' not in sprite]
    there = {f"vendor/{path.name}" for path in (static / "vendor").iterdir()}
    return wrong + [f"{name} is not recorded" for name in sorted(there - recorded.keys())]


def write(record: Mapping[str, Any], static: Path) -> str:
    """Fetch the packages and write their files; return the new text of the record."""
    text = RECORD.read_text().partition("\n[[package]]")[0].rstrip() + "\n"
    for package in record["package"]:
        archive = _fetch(f"{package['name']}@{package['version']}", package["integrity"])
        for name, entry in package["files"].items():
            content = (
                _sprite(archive, record["icons"]).encode()
                if name == SPRITE
                else archive[entry["from"]]
            )
            (static / name).write_bytes(content)
            entry["sha256"] = _sha256(content)
        text += _entry(package)
    return text


def _entry(package: Mapping[str, Any]) -> str:
    head = "".join(
        f'{key} = "{package[key]}"\n' for key in ("name", "version", "licence", "integrity")
    )
    files = "".join(
        f'\n[package.files."{name}"]\nfrom = "{entry["from"]}"\nsha256 = "{entry["sha256"]}"\n'
        for name, entry in package["files"].items()
    )
    return f"\n[[package]]\n{head}{files}"


def _fetch(package: str, integrity: str) -> dict[str, bytes]:
    """Return the files of a package by their path; exit if it is not the one recorded."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            ["npm", "pack", package, "--silent"], cwd=folder, check=True, stdout=subprocess.DEVNULL
        )
        (packed,) = Path(folder).iterdir()
        content = packed.read_bytes()
    found = "sha512-" + base64.b64encode(hashlib.sha512(content).digest()).decode()
    if integrity and found != integrity:
        sys.exit(f"{package} is not the package that was recorded: its integrity is {found}")
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        members = {member.name.partition("/")[2]: member for member in archive if member.isfile()}
        return {
            name: stream.read()
            for name, member in members.items()
            if (stream := archive.extractfile(member)) is not None
        }


def _sprite(archive: Mapping[str, bytes], icons: list[str]) -> str:
    symbols = []
    for icon in icons:
        shapes = (
            _TAGBOAT
            if icon == "tagboat"
            else "".join(_SHAPE.findall(archive[f"icons/{icon}.svg"].decode()))
        )
        symbols.append(f'<symbol id="{icon}" viewBox="0 0 24 24">{shapes}</symbol>')
    return '<svg xmlns="http://www.w3.org/2000/svg">\n' + "\n".join(symbols) + "\n</svg>\n"


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def main(arguments: list[str]) -> int:
    """Run the command; return its exit code."""
    record = tomllib.loads(RECORD.read_text())
    if arguments == ["write"]:
        RECORD.write_text(write(record, STATIC))
        return 0
    if arguments != ["check"]:
        print(__doc__)
        return 2
    wrong = check(record, STATIC)
    for line in wrong:
        print(line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
