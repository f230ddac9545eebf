"""A release: the version, the changelog, and what people download.

    python -m tools.release cut 0.2.0   make that the version, and "Unreleased" its section
    python -m tools.release build       build the last commit into dist/

`cut` changes files, which you then commit. `build` writes the wheel, the sdist, the parts list
(SBOM), the image if a Docker engine answers (--no-image: never), and SHA256SUMS. All but the image
are the same bytes for the same commit. --home URL is the address of the repository's files, such as
https://git.example.com/acme/tagboat/src/tag/v0.2.0: the links of the README begin with it, and the
packages name the repository.
"""

import argparse
import gzip
import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, date, datetime
from pathlib import Path

from packaging.version import InvalidVersion, Version

from tools.lock import LOCK, parse
from tools.packages import ROOT, build_packages
from tools.sbom import sbom_of

VERSION_FILE = "src/tagboat/__init__.py"
CHANGELOG = "CHANGELOG.md"
# Documents that name the files of the newest release.
NAMING = ("README.md", "docs/installing.md")
_VERSION = re.compile(r'^__version__ = "([^"]+)"$', re.MULTILINE)
_UNRELEASED = "## [Unreleased]"
_LINK = re.compile(r"(?P<image>!?)(?P<text>\[[^]]*]\()(?![a-z]+:|#)(?P<path>[^)\s]+\))")
# How forges name the address at which a file is shown: Gitea and Forgejo, GitHub, GitLab.
_SHOWN = re.compile(r"/(?:src|blob)/")


class ReleaseError(Exception):
    """The reason why there can be no release, with what to do."""


def version_in(text: str) -> str:
    """Return the version that the package's file names."""
    match = _VERSION.search(text)
    if match is None:
        raise ReleaseError(f"{VERSION_FILE} names no version")
    return match[1]


def section_of(changelog: str, version: str) -> str | None:
    """Return what the changelog says of a version, None if it has no section with a date."""
    heading = re.search(
        rf"^## \[{re.escape(version)}] - \d{{4}}-\d\d-\d\d$", changelog, re.MULTILINE
    )
    if heading is None:
        return None
    return re.split(r"^## ", changelog[heading.end() :], maxsplit=1, flags=re.MULTILINE)[0].strip()


def cut(changelog: str, version: str, today: date) -> str:
    """Return the changelog with "Unreleased" as the section of `version`, and an empty new one."""
    before, found, rest = changelog.partition(f"{_UNRELEASED}\n")
    if not found:
        raise ReleaseError(f"{CHANGELOG} has no section {_UNRELEASED}")
    if section_of(changelog, version) is not None:
        raise ReleaseError(f"{CHANGELOG} has a section for {version} already")
    if not re.split(r"^## ", rest, maxsplit=1, flags=re.MULTILINE)[0].strip():
        raise ReleaseError(f"{CHANGELOG} has nothing under {_UNRELEASED}")
    return f"{before}{_UNRELEASED}\n\n## [{version}] - {today.isoformat()}\n{rest}"


def check_next(version: str, last: str, *, is_cut: bool) -> None:
    """Raise ReleaseError unless `version` can follow `last`, a release if `is_cut`."""
    try:
        new, old = Version(version), Version(last)
    except InvalidVersion:
        raise ReleaseError(f"{version} is not a version, such as 0.2.0") from None
    if str(new) != version:
        raise ReleaseError(f"{version} is usually written {new}")
    if new < old or (new == old and is_cut):
        raise ReleaseError(f"{version} does not come after {last}")


def absolute_links(markdown: str, home: str) -> str:
    """Return the text with its links to files of the repository below the URL `home`."""
    shown = home.rstrip("/")
    # An image is needed itself, not the page that shows it.
    raw = _SHOWN.sub("/raw/", shown, count=1)

    def absolute(link: re.Match[str]) -> str:
        base = raw if link["image"] else shown
        return f"{link['image']}{link['text']}{base}/{link['path']}"

    return _LINK.sub(absolute, markdown)


def with_home(pyproject: str, home: str) -> str:
    """Return pyproject.toml with the repository's address."""
    repository = _SHOWN.split(home)[0].removesuffix("/-")
    urls = f'Repository = "{repository}"\nChangelog = "{home.rstrip("/")}/{CHANGELOG}"\n'
    scripts = "[project.scripts]\n"
    return pyproject.replace(scripts, f"[project.urls]\n{urls}\n{scripts}", 1)


def checksums(files: list[Path]) -> str:
    """Return the lines of SHA256SUMS, as `sha256sum --check` reads them."""
    return "".join(
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
        for path in sorted(files, key=lambda path: path.name)
    )


def cut_release(version: str) -> None:
    """Write the version and its section of the changelog. Raises ReleaseError."""
    package, changelog = ROOT / VERSION_FILE, ROOT / CHANGELOG
    text, log = package.read_text(), changelog.read_text()
    last = version_in(text)
    check_next(version, last, is_cut=section_of(log, last) is not None)
    changelog.write_text(cut(log, version, datetime.now(UTC).date()))
    package.write_text(_VERSION.sub(f'__version__ = "{version}"', text))
    for document in (ROOT / name for name in NAMING):
        document.write_text(document.read_text().replace(f"tagboat-{last}-", f"tagboat-{version}-"))
    print(f"Look at {CHANGELOG}, then: git commit -am 'Release {version}' && git tag v{version}")


def build_release(dist: Path, *, home: str | None, image: bool) -> list[Path]:
    """Build the last commit into the directory `dist`, which is emptied; return the files.

    Raises ReleaseError if there are changes that are not committed, or the changelog has no
    section for the version.
    """
    if _git("status", "--porcelain"):
        raise ReleaseError("there are changes that are not committed: commit or stash them")
    epoch = int(_git("log", "-1", "--format=%ct"))
    shutil.rmtree(dist, ignore_errors=True)
    dist.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="tagboat-release-") as folder:
        source = Path(folder)
        _export(source)
        version = version_in((source / VERSION_FILE).read_text())
        if section_of((source / CHANGELOG).read_text(), version) is None:
            raise ReleaseError(
                f"{CHANGELOG} has no section for {version} with a date: "
                "python -m tools.release cut VERSION writes it"
            )
        if home:
            readme, pyproject = source / "README.md", source / "pyproject.toml"
            readme.write_text(absolute_links(readme.read_text(), home))
            pyproject.write_text(with_home(pyproject.read_text(), home))
        packages = build_packages(source, dist, epoch)
        sbom = dist / f"tagboat-{version}.cdx.json"
        sbom.write_text(_sbom(source, version, epoch))
    files = [packages.wheel, packages.sdist, sbom]
    if image:
        files.append(_save_image(dist / f"tagboat-{version}-image.tar.gz", version))
    (dist / "SHA256SUMS").write_text(checksums(files))
    return [*files, dist / "SHA256SUMS"]


def _sbom(source: Path, version: str, epoch: int) -> str:
    return sbom_of(
        version,
        (source / "pyproject.toml").read_text(),
        parse((source / LOCK.name).read_text())[0],
        (source / "src/tagboat/web/vendored.toml").read_text(),
        epoch,
    )


def _export(target: Path) -> None:
    done = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, capture_output=True, check=True)
    subprocess.run(["tar", "-x"], cwd=target, input=done.stdout, check=True)


def _save_image(path: Path, version: str) -> Path:
    name = f"tagboat:{version}"
    subprocess.run(["tools/image", name, "tagboat:latest"], cwd=ROOT, check=True)
    plain = path.with_suffix("")
    subprocess.run(["docker", "save", "-o", plain, name, "tagboat:latest"], check=True)
    with plain.open("rb") as saved, gzip.open(path, "wb") as packed:
        shutil.copyfileobj(saved, packed)
    plain.unlink()
    return path


def _has_engine() -> bool:
    done = subprocess.run(["docker", "version"], capture_output=True, check=False)
    return done.returncode == 0


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def main(words: list[str]) -> int:
    """Execute the command; return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("cut").add_argument("version")
    build = commands.add_parser("build")
    build.add_argument("--home")
    build.add_argument("--no-image", action="store_true")
    given = parser.parse_args(words)
    try:
        if given.command == "cut":
            cut_release(given.version)
            return 0
        image = not given.no_image and shutil.which("docker") is not None and _has_engine()
        for path in build_release(ROOT / "dist", home=given.home, image=image):
            print(f"{path.stat().st_size:>12,}  {path.relative_to(ROOT)}")
        if not image:
            print("No image was built.")
    except ReleaseError as error:
        print(f"no release: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
