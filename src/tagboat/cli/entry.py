"""Where the command line begins, and how failures are told."""

import os
import sys
from pathlib import Path
from typing import NoReturn, TextIO

from tagboat.core.errors import TagboatError
from tagboat.core.harmless import harmless


def run() -> None:
    """Run the command line and end the process: 0 done, 1 failed, 2 usage. A failure is one line on stderr."""
    sys.stdout, sys.stderr = (stream or _nowhere() for stream in (sys.stdout, sys.stderr))
    try:
        try:
            _carry_out()
        finally:
            sys.stdout.flush()
    except TagboatError as error:
        _fail(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        _leave_stdout()
        sys.exit(1)
    except OSError as error:
        _leave_stdout()
        where = f"{error.filename}: " if error.filename else ""
        _fail(f"{where}{error.strerror or error}")


def _carry_out() -> None:
    if sys.argv[1:] == ["serve"]:
        # The server lives long: without the library that reads command lines it is 10 MB smaller.
        from tagboat.cli.place import this_place
        from tagboat.cli.serve import serve

        sys.exit(serve(this_place()))
    from tagboat.cli.main import app

    app(prog_name="tagboat")


def _fail(words: str) -> NoReturn:
    print(f"tagboat: {harmless(' '.join(words.split()))}", file=sys.stderr)  # noqa: T201 - how failures are told
    sys.exit(1)


def _leave_stdout() -> None:
    """Let what is still to be written go nowhere: Python would try again at its end, and complain."""
    with _nowhere() as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


def _nowhere() -> TextIO:
    """What stands in for a stream that is closed."""
    return Path(os.devnull).open("w", encoding="utf-8")
