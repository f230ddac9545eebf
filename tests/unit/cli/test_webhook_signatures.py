"""`tagboat webhook sign`, `signature`, `unsign`: the secret comes in unseen, and never out."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.unit.cli.conftest import PROGRAM, Tagboat
from tests.unit.cli.fake_server import HOOK, SIGNED, FakeServer, page, problem

GLOBAL = "/api/settings/webhook/signature"
OWN = "/api/webhooks/h1"
HEADER = {"kind": "header", "header": "authorization"}


def test_the_url_for_all_images(tagboat: Tagboat, server: FakeServer) -> None:
    done = tagboat("webhook", "sign", "hmac-sha256", piped="hush\n")
    bear = (
        "must have an HMAC-SHA256 of their body, as Gitea, Forgejo and GitHub send it; "
        "others are answered 404"
    )
    assert done.stdout == f"calls of the URL for all images {bear}\n"
    assert (server.asked[-1].call, server.asked[-1].body) == (
        f"PUT {GLOBAL}", {"kind": "hmac-sha256", "header": None, "secret": "hush"},
    )  # fmt: skip
    assert "hush" not in done.stdout + done.stderr


def test_a_url_of_a_projects_own(tagboat: Tagboat, server: FakeServer, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(" hu sh\r\n")
    server.answers[f"PATCH {OWN}"] = HOOK | {"signature": HEADER}
    words = [
        "webhook",
        "sign",
        "header",
        "app",
        "ci",
        "--header",
        "Authorization",
        "--secret-file",
        "secret",
    ]
    said = (
        "calls of the webhook ci of app must have the secret in the header authorization; "
        "others are answered 404\n"
    )
    assert tagboat(*words).stdout == said
    assert server.asked[-1].call == f"PATCH {OWN}"
    assert server.asked[-1].body == {
        "signature": {"kind": "header", "header": "Authorization", "secret": " hu sh"}
    }
    assert json.loads(tagboat(*words, "--json").stdout) == HEADER


def test_what_is_signed_is_shown(tagboat: Tagboat, server: FakeServer) -> None:
    assert "must have an HMAC-SHA256" in tagboat("webhook", "signature").stdout
    assert json.loads(tagboat("webhook", "signature", "--json").stdout) == SIGNED
    assert (
        tagboat("webhook", "signature", "app", "ci").stdout
        == "calls of the webhook ci of app need no signature\n"
    )
    server.answers["GET /api/projects/p1/webhooks"] = page(
        HOOK | {"signature": {"kind": "hmac-sha1", "header": None}}
    )
    assert "as Nexus sends it" in tagboat("webhook", "signature", "app", "ci").stdout


def test_a_signature_is_demanded_no_more(tagboat: Tagboat, server: FakeServer) -> None:
    assert (
        tagboat("webhook", "unsign").stdout == "calls of the URL for all images need no signature\n"
    )
    assert server.calls("DELETE") == [f"DELETE {GLOBAL}"]
    assert json.loads(tagboat("webhook", "unsign", "app", "ci", "--json").stdout) == {
        "kind": None,
        "header": None,
    }
    assert (server.asked[-1].call, server.asked[-1].body) == (f"PATCH {OWN}", {"signature": None})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            b"\n",
            (
                "the shared secret is missing: secret is empty. Type it when asked, pipe it in, "
                "or name a file that holds it"
            ),
        ),
        (b"\xff", "secret: not UTF-8 text"),
        (b"x" * 65537, "secret: longer than 65536 bytes"),
    ],
)
def test_a_file_that_holds_no_secret(
    tagboat: Tagboat, server: FakeServer, tmp_path: Path, content: bytes, said: str
) -> None:
    (tmp_path / "secret").write_bytes(content)
    assert tagboat.fails("webhook", "sign", "hmac-sha1", "--secret-file", "secret") == said
    assert server.asked == []


def test_nothing_piped_in(tagboat: Tagboat, server: FakeServer) -> None:
    assert "the shared secret is missing: standard input is empty" in tagboat.fails(
        "webhook", "sign", "hmac-sha1"
    )
    assert server.asked == []


def test_what_the_server_refuses_is_told(tagboat: Tagboat, server: FakeServer) -> None:
    server.answers[f"PUT {GLOBAL}"] = problem(422, "header: no such name")
    words = ["webhook", "sign", "header", "--header", "a b"]
    assert tagboat.fails(*words, piped="hush") == "header: no such name"


def test_a_webhook_that_is_not_there_is_told_before_the_secret_is_asked_for(
    tagboat: Tagboat,
) -> None:
    assert tagboat.fails("webhook", "sign", "hmac-sha1", "app", "nope").startswith(
        "there is no webhook of app named 'nope'"
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("sign", "Missing argument 'KIND'"),
        ("sign md5", "is not one of 'hmac-sha256', 'hmac-sha1', 'header'"),
        ("sign header", "KIND: name the header with the secret"),
        ("sign hmac-sha1 --header X", "KIND hmac-sha1 has a fixed header"),
        ("sign hmac-sha1 app", "NAME: which of the project's URLs?"),
        ("sign hmac-sha1 --secret-file nowhere", "'nowhere' does not exist"),
        ("unsign app", "NAME: which of the project's URLs?"),
        ("signature app", "NAME: which of the project's URLs?"),
    ],
)
def test_wrong_usage(tagboat: Tagboat, server: FakeServer, words: str, said: str) -> None:
    done = tagboat("webhook", *words.split(), piped="hush")
    assert (done.returncode, done.stdout, said in done.stderr) == (2, "", True)
    assert server.asked == []


@pytest.mark.parametrize(
    ("typed", "code", "said"),
    [(b"hush\n", 0, ""), (b"\x04", 1, "tagboat: nothing was changed\n"), (b"\x03", 130, "")],
)
def test_on_a_terminal_the_secret_is_typed_unseen(
    tagboat: Tagboat, server: FakeServer, typed: bytes, code: int, said: str
) -> None:
    ours, theirs = os.openpty()
    # Tests that run in the background ignore Ctrl-C.
    words = [
        "setsid",
        "--ctty",
        "env",
        "--default-signal=INT",
        *PROGRAM,
        "webhook",
        "sign",
        "hmac-sha256",
    ]
    with (
        os.fdopen(ours, "r+b", buffering=0) as keyboard,
        subprocess.Popen(
            words, env=tagboat.environ, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process,
    ):
        shown = b""
        while not shown.endswith(b"(not shown): "):
            shown += keyboard.read(100)
        keyboard.write(typed)
        try:
            out, err = process.communicate(timeout=120)
        finally:
            process.kill()
        os.set_blocking(ours, False)
        shown += keyboard.read(100) or b""
        os.close(theirs)
    assert (process.returncode, err.decode()) == (code, said)
    assert shown.startswith(b"Shared secret (not shown): ")
    assert b"hush" not in shown + out
    assert [asked.body["secret"] for asked in server.asked] == ["hush"] * (code == 0)
