"""PostgreSQL's programs `pg_dump` and `pg_restore`."""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.engine import URL, make_url

from tagboat.core.errors import SettingsError, StoreUnavailableError

_PG_VERSION = re.compile(r"\(PostgreSQL\) (\d+)")
_INSTALL = (
    "install PostgreSQL's client programs (sudo apt install postgresql-client; the container image "
    "has none: see docs/backup.md)"
)


class DumpProgramError(SettingsError):
    """A program of PostgreSQL's is missing, or too old for the server."""


def dump_database(url: str, server_major: int, target: Path) -> None:
    """Write the database into `target` in the custom format of `pg_dump`, as of one moment.

    Raises DumpProgramError, and StoreUnavailableError if it fails.
    """
    program = _find_pg_program("pg_dump")
    found = _PG_VERSION.search(_run_pg(program, "--version"))
    if found is None:
        raise DumpProgramError(f"{program} is not a program of PostgreSQL's; {_INSTALL}")
    # An older one refuses too, in words that do not say what to do.
    if (major := int(found[1])) < server_major:
        raise DumpProgramError(
            f"pg_dump is of version {major}, and the server of version {server_major}: install "
            f"the newer programs (postgresql-client-{server_major})"
        )
    # Uncompressed, as the whole backup is compressed; and for a server with other roles.
    options = ["--format=custom", "--compress=0", "--no-owner", "--no-privileges"]
    with _address(url) as address:
        _run_pg(program, *options, "--lock-wait-timeout=60s", f"--file={target}", address)
    check_dump(target)


def check_dump(dump: Path) -> None:
    """Raise StoreUnavailableError unless `pg_restore` can read the dump."""
    _run_pg(_find_pg_program("pg_restore"), "--list", str(dump))


def load_dump(url: str, dump: Path) -> None:
    """Load a dump into an empty database, all or nothing.

    Raises DumpProgramError, and StoreUnavailableError if it fails.
    """
    options = ["--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges"]
    with _address(url) as address:
        _run_pg(_find_pg_program("pg_restore"), *options, address, str(dump))


def _find_pg_program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise DumpProgramError(f"the program {name} is not found; {_INSTALL}")
    return path


@contextmanager
def _address(url: str) -> Iterator[str]:
    """Yield the option that names the database. Its password is in a file of our own."""
    parsed = make_url(url)
    password = parsed.password or parsed.query.get("password")
    # `set` cannot take a password away.
    parsed = URL.create(
        "postgresql",
        username=parsed.username,
        host=parsed.host,
        port=parsed.port,
        database=parsed.database,
        query=parsed.difference_update_query(["password"]).query,
    )
    # Not beside the backup: libpq does not read a plus as a space, as SQLAlchemy writes it.
    with tempfile.TemporaryDirectory(prefix="tagboat-") as folder:
        if password:
            # Other users see the arguments of programs, and the environment is not ours to read.
            file = Path(folder) / "pgpass"
            file.touch(mode=0o600)
            escaped = str(password).replace("\\", "\\\\").replace(":", "\\:")
            file.write_text(f"*:*:*:*:{escaped}\n")
            parsed = parsed.update_query_dict({"passfile": str(file)})
        yield f"--dbname={parsed.render_as_string(hide_password=False)}"


def _run_pg(program: str, *words: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - one of the programs above
            [program, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except OSError as error:
        raise DumpProgramError(f"{program} cannot be run: {error.strerror}") from None
    if done.returncode:
        said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        # The first line says what failed; the others repeat the statement.
        why = said[0][:500] if said else f"exit code {done.returncode}"
        raise StoreUnavailableError(f"{Path(program).name} failed: {why}")
    return done.stdout
