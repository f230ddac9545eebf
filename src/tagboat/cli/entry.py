"""Entry point of the command line, which turns failures into one line and an exit code."""

import os
import sys
from pathlib import Path
from typing import NoReturn, TextIO

from tagboat.core.errors import TagboatError
from tagboat.core.harmless import harmless


def run() -> None:
    """Run the command line and end the process: 0 done, 1 failed, 2 usage.

    A failure is one line on stderr.
    """
    # Python sets a stream that the caller has closed to None.
    sys.stdout, sys.stderr = (stream or _open_devnull() for stream in (sys.stdout, sys.stderr))
    try:
        try:
            if sys.argv[1:] == ["serve"]:
                # The server lives long: without typer it takes 10 MB less memory.
                from tagboat.cli.context import current_context
                from tagboat.cli.serve import serve_command

                sys.exit(serve_command(current_context()))
            if sys.argv[1:] == ["edge"]:
                from tagboat.cli.context import current_context
                from tagboat.cli.edge import edge_command

                sys.exit(edge_command(current_context()))
            from tagboat.cli.main import program

            program(prog_name="tagboat")
        finally:
            # What is left in the buffer would fail in the same way, and hide where.
            if not isinstance(sys.exception(), OSError):
                sys.stdout.flush()
    except TagboatError as error:
        _exit_failed(str(error))
    except KeyboardInterrupt:
        sys.exit(130)  # 128 + SIGINT, as shells have it
    except BrokenPipeError:
        _discard_stdout()
        sys.exit(1)
    except OSError as error:
        _discard_stdout()
        # The name of a file says more than the system call that failed.
        where = f"{error.filename}: " if error.filename else ""
        _exit_failed(f"{where}{error.strerror or error}")


def _exit_failed(message: str) -> NoReturn:
    line = harmless(" ".join(message.split()))
    print(f"tagboat: {line}", file=sys.stderr)  # noqa: T201 - for people
    sys.exit(1)


def _discard_stdout() -> None:
    # Python would try to write the rest again when it ends, and print a traceback.
    with _open_devnull() as devnull:
        os.dup2(devnull.fileno(), sys.stdout.fileno())


def _open_devnull() -> TextIO:
    return Path(os.devnull).open("w", encoding="utf-8")
