"""`tagboat export`, `tagboat diff` and `tagboat apply`: configuration as a file."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tagboat.cli import show
from tagboat.cli.client import LONG_TIMEOUT_S, ApiObject
from tagboat.cli.client_errors import InvalidFieldsError
from tagboat.cli.context import current_context
from tagboat.cli.options import JsonOption, connect
from tagboat.cli.secret_values import read_secret
from tagboat.cli.waiting import hint_while_slow
from tagboat.core.config_file import SECRET_MAPS, unknown_keys
from tagboat.core.errors import TagboatError
from tagboat.core.secret_refs import parse_secret_ref, secret_places
from tagboat.core.shell_words import shell_words

if TYPE_CHECKING:
    from tagboat.cli.config_yaml import ConfigText

FileArg = Annotated[str, typer.Argument(metavar="FILE", help="The YAML file; - is standard input.")]
PruneOption = Annotated[
    bool, typer.Option("--prune", help="Delete what the file does not name, in its sections.")
]
# Each container that is deleted may take its whole time to stop.
_APPLY_TIMEOUT_S = 600.0
_APPLYING = (
    "still applying: what is deleted is stopped first, which may take minutes. The server goes on"
    " even if this command ends"
)
_ACTION_SIGNS = {"create": "+", "change": "~", "delete": "-"}
_DONE = {"create": "created", "change": "changed", "delete": "deleted"}
_PART = "document."
_HOLDERS = ("registries", "projects", "stages")
_WITH_NULL = ("auto_create_images", "password")


def export_command(
    *,
    schema: Annotated[
        bool, typer.Option("--schema", help="The JSON Schema of such files, for editors.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Write all configuration as one YAML file.

    Secrets are references: the file has no value of one. Accounts, tokens, holds' times and
    signatures of webhooks are not part of it.
    """
    client = connect()
    if schema:
        show.as_json(client.get("/api/config/schema"))
        return
    document = client.get("/api/config")
    for secret in secret_places(document):
        secret.holder[secret.path[-1]] = f"env:{secret.variable} or keep"
    if as_json:
        show.as_json(document)
        return
    from tagboat.cli.config_yaml import write_config_text

    sys.stdout.write(write_config_text(_without_types(document)))


def diff_command(file: FileArg, *, prune: PruneOption = False, as_json: JsonOption = False) -> None:
    """Show what an apply of the file would change, field by field.

    Exit code 1 if anything would change. Values of secrets are never shown.
    """
    answer = _send("/api/config/plan", file, prune=prune)
    _show_plan(answer, done=False, as_json=as_json)
    if answer["changes"]:
        raise typer.Exit(1)


def apply_command(
    file: FileArg,
    *,
    prune: PruneOption = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would change.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Make the configuration what a file says.

    All of it is changed, in one transaction, or nothing. With --prune, what the file does not name
    is deleted after that, containers included; the content of volumes stays. Instances follow at
    their next deploy.
    """
    if dry_run:
        _show_plan(_send("/api/config/plan", file, prune=prune), done=False, as_json=as_json)
        return
    try:
        with hint_while_slow(_APPLYING):
            answer = _send("/api/config/apply", file, prune=prune, timeout_s=_APPLY_TIMEOUT_S)
    except KeyboardInterrupt:
        show.progress(
            "\nthe server goes on; this shows what is left to change:"
            f" tagboat diff {shell_words(str(file))}"
        )
        raise
    _show_plan(answer, done=True, as_json=as_json)
    if answer["volumes"]:
        show.progress(f"these volumes are still there: {', '.join(answer['volumes'])}")
    if answer["failures"]:
        left = "; ".join(
            f"the {one['kind']} {one['name']} is not deleted: {one['reason']}"
            for one in answer["failures"]
        )
        raise TagboatError(f"{left}. All else is applied; apply the same again")


def _send(path: str, file: str, *, prune: bool, timeout_s: float = LONG_TIMEOUT_S) -> ApiObject:
    """Send the content of a file. Raises TagboatError that names the lines of what is wrong."""
    content = _read(file)
    folder = Path.cwd() if file == "-" else Path(file).absolute().parent
    document = _with_secrets(content, folder)
    try:
        return connect().post(path, {"document": document, "prune": prune}, timeout_s=timeout_s)
    except InvalidFieldsError as error:
        if not error.errors:
            raise
        named = [(field.removeprefix(_PART), message) for field, message in error.errors.items()]
        raise TagboatError(
            "; ".join(f"{content.place_of(field)}: {field}: {message}" for field, message in named)
        ) from None


def read_yaml_file(file: str, expected: str) -> "ConfigText":
    """Return the content of a file, `-` for standard input, which is a map with `expected` keys.

    Raises YamlFileError, and OSError if it cannot be read.
    """
    # PyYAML takes a while to load, and few commands need it.
    from tagboat.cli.config_yaml import MAX_FILE_CHARACTERS, read_config_text

    name = "standard input" if file == "-" else file
    if file == "-":
        data = sys.stdin.buffer.read(4 * MAX_FILE_CHARACTERS + 1)
    else:
        with Path(file).open("rb") as stream:
            data = stream.read(4 * MAX_FILE_CHARACTERS + 1)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise TagboatError(f"{name}:{line}: not UTF-8 text") from None
    return read_config_text(text, name, expected)


def _read(file: str) -> "ConfigText":
    """Return the content of a file whose keys are all known."""
    content = read_yaml_file(file, "settings, registries or projects")
    if unknown := unknown_keys(content.document):
        raise TagboatError(
            "; ".join(
                f"{content.place(one.path)}: unknown key {one.path[-1][:80]!r}"
                + (f" in {'.'.join(one.path[:-1])}" if one.path[:-1] else "")
                + (f"; did you mean {one.nearest}?" if one.nearest else "")
                for one in unknown
            )
        )
    return content


def _with_secrets(content: "ConfigText", folder: Path) -> dict[str, Any]:
    """Return the document with the values of its secrets; null is one that stays."""
    document = _without_nulls(content.document)
    environ = current_context().environ
    for secret in secret_places(document):
        key = secret.path[-1]
        written = secret.holder[key]
        try:
            ref = parse_secret_ref(written if isinstance(written, str) else "")
            secret.holder[key] = read_secret(ref, environ, folder, is_file=secret.is_file)
        except TagboatError as error:
            where = f"{content.place(secret.path)}: {'.'.join(secret.path)}"
            raise TagboatError(f"{where}: {error}") from None
    return document


def _show_plan(answer: ApiObject, *, done: bool, as_json: bool) -> None:
    if as_json:
        show.as_json(answer)
        return
    changes: Sequence[ApiObject] = answer["changes"]
    for change in changes:
        name = f"{change['kind']} {change['name']}".rstrip()
        show.line(f"{_ACTION_SIGNS[change['action']]} {name}")
        for field in change["fields"]:
            before, after = (_format_value(field[side]) for side in ("before", "after"))
            show.line(
                f"    {field['field']}: {after}"
                if change["action"] == "create"
                else f"    {field['field']}: {before} → {after}"
            )
        if done and change["kind"] == "webhook" and change["action"] == "create":
            project, _, webhook = str(change["name"]).partition(" ")
            show.progress(
                f"the URL of the {name} is not shown; this replaces it by one that is shown once:"
                f" tagboat webhook rotate {shell_words(project, webhook)}"
            )
    if not changes:
        show.line("nothing is changed" if done else "nothing would change")
        return
    counts = [(action, sum(one["action"] == action for one in changes)) for action in _ACTION_SIGNS]
    words = [f"{number} {_DONE[action]}" for action, number in counts if number]
    show.line(", ".join(words) if done else f"would be: {', '.join(words)}")


def _format_value(value: object) -> str:
    if value is None:
        return "nothing"
    return value if isinstance(value, str) else show.compact(value)


def _without_nulls(body: dict[str, Any]) -> dict[str, Any]:
    """Return a copy without keys that have no value, as in `ttl_h:`.

    A thing that has only its name stays, and so does what null means something for.
    """
    said: dict[str, Any] = {}
    for key, value in body.items():
        if key in _HOLDERS and isinstance(value, dict):
            said[key] = {
                name: _without_nulls(one or {}) if isinstance(one, dict | None) else one
                for name, one in value.items()
            }
        elif key in SECRET_MAPS and isinstance(value, dict):
            said[key] = dict(value)
        elif isinstance(value, dict):
            said[key] = _without_nulls(value)
        elif value is not None or key in _WITH_NULL:
            said[key] = value
    return said


def _without_types(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Return JSON of the server as plain maps and lists, which YAML knows."""
    if isinstance(value, dict):
        return {key: _without_types(item) for key, item in value.items()}
    return [_without_types(item) for item in value] if isinstance(value, list) else value
