"""Tables on a terminal: whatever its width, nothing is cut."""

import os
import re
import subprocess
import termios
from threading import Timer

import pytest

from tests.unit.cli.conftest import PROGRAM, Tagboat
from tests.unit.cli.fake_server import (
    DELIVERY,
    DEPLOY,
    PROJECT,
    FakeServer,
    page,
)

ROW = ["18eb04a56a9b8c7abb9755aa", "2026-11-24 10:00:00Z", "distribution", "(all)", "202"]
WHY = (
    "git.example.com/acme/app:v1 is unmatched: tag v1 matches no stage's pattern, "
    "of which there are: dev release-*, prod v2*"
)


def on_terminal(tagboat: Tagboat, columns: int, *words: str) -> list[str]:
    """The lines that a command shows on a terminal of that width, without the codes for bold."""
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (25, columns))
    with (
        os.fdopen(ours, "rb", buffering=0) as screen,
        subprocess.Popen(
            [*PROGRAM, *words],
            env={**tagboat.environ, "TERM": "xterm"},
            stdin=theirs,
            stdout=theirs,
            stderr=subprocess.PIPE,
        ) as process,
    ):
        os.close(theirs)
        # A program that never ends must fail a test, not stop all of them.
        killer = Timer(30, process.kill)
        killer.start()
        shown = b""
        while part := read(screen.fileno()):
            shown += part
        killer.cancel()
        assert (process.wait(120), process.stderr and process.stderr.read()) == (0, b"")
    return re.sub(r"\x1b\[[0-9;]*m", "", shown.decode()).splitlines()


def read(screen: int) -> bytes:
    """Return what is shown next; nothing once the program has ended."""
    try:
        return os.read(screen, 65536)
    except OSError:  # how Linux tells that nobody has the terminal any more
        return b""


@pytest.fixture(autouse=True)
def one_call(server: FakeServer) -> None:
    server.answers["GET /api/deliveries"] = page(
        DELIVERY | {"id": ROW[0], "sender": ROW[2], "reason": WHY}
    )


def test_the_last_column_is_folded_where_there_is_room(tagboat: Tagboat) -> None:
    first, rule, row, *more = on_terminal(tagboat, 120, "deliveries")
    assert first.split() == ["id", "received", "sender", "webhook", "status", "outcome"]
    assert len(rule) <= 120
    assert re.split(" {2,}", row)[:5] == ROW
    begins = first.index("outcome")
    assert {line[:begins].strip() for line in more} == {""}
    assert " ".join(line[begins:] for line in [row, *more]).split() == WHY.split()


def test_it_is_below_its_row_where_there_is_not(tagboat: Tagboat) -> None:
    lines = on_terminal(tagboat, 80, "deliveries")
    first, outcome, rule, row, *below = lines
    assert (first.split(), outcome) == (
        ["id", "received", "sender", "webhook", "status"],
        "    outcome",
    )
    assert re.split(" {2,}", row) == ROW
    assert {line[:4] for line in below} == {"    "}
    assert " ".join(below).split() == WHY.split()
    assert [line for line in lines if len(line) > 80] == []
    assert set(rule) == {"-"}


def test_a_terminal_too_narrow_for_the_names(tagboat: Tagboat) -> None:
    first, rule, row, *below = on_terminal(tagboat, 30, "deliveries")
    assert (first, rule, row) == ("id", "-" * 30, ROW[0])
    moved = "received: {}, sender: {}, webhook: {}, status: {}, outcome: ".format(*ROW[1:])
    assert " ".join(below).split() == (moved + WHY).split()


def test_columns_that_do_not_fit_stand_below_with_their_names(
    tagboat: Tagboat, server: FakeServer
) -> None:
    names = {"name": "invoices", "id": "x"}
    deploy = DEPLOY | {"id": ROW[0], "project": names, "stage": names | {"name": "production"}}
    server.answers["GET /api/deploys"] = page(deploy)
    first, rule, row, below = on_terminal(tagboat, 80, "deploys")
    assert first.split() == ["deploy", "project", "stage", "tag", "status", "by"]
    assert row.split() == [
        "18eb04a56a9b8c7abb9755aa",
        "invoices",
        "production",
        "v1",
        "succeeded",
        "webhook",
    ]
    assert below == "    when: 2026-11-24 10:00:00Z, why: v1 is live"
    assert len(rule) <= 80


def test_what_a_sender_wrote_steers_no_terminal(tagboat: Tagboat, server: FakeServer) -> None:
    server.answers["GET /api/deliveries"] = page(
        DELIVERY | {"reason": "\x1b]0;title\x07 \u202egnp.ü 猫"}
    )
    assert tagboat("deliveries").stdout.endswith(" ?]0;title? ?gnp.ü 猫\n")


def test_nothing_to_say_takes_no_line(tagboat: Tagboat, server: FakeServer) -> None:
    server.answers["GET /api/deploys"] = page()
    nothing = {
        "possible": False,
        "reason": "nothing was ever live",
        "deploy": None,
        "tag": None,
        "digest": None,
    }
    server.answers["GET /api/stages/s1/rollback"] = nothing
    assert on_terminal(tagboat, 40, "status")[-1] == "    rollback: none"
    server.answers["GET /api/projects"] = page()
    assert len(on_terminal(tagboat, 40, "status")) == 2


def test_a_table_that_is_not_for_a_terminal_has_one_whole_line_for_a_row(
    tagboat: Tagboat, server: FakeServer
) -> None:
    image = "git.example.com/" + "x" * 230
    error = "first line\nand " + "no end of it " * 40 + ":tag: [red]"
    server.answers["GET /api/projects"] = page(
        PROJECT | {"image": image, "poll": {"last_at": None, "error": error}}
    )
    *_, row = tagboat("projects").stdout.splitlines()
    assert row.split() == ["app", image, "8080", "dev", "v1", "failed:", *error.split()]
