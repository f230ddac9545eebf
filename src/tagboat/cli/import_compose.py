"""`tagboat import compose`: a proposal of the configuration file for a Compose file."""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tagboat.cli import show
from tagboat.cli.config_file import read_yaml_file
from tagboat.cli.context import current_context
from tagboat.cli.options import JsonOption
from tagboat.cli.prompts import read_text_file
from tagboat.core.compose import ComposeProposal, propose_config
from tagboat.core.compose_parts import ComposeNote, ComposeSurroundings
from tagboat.core.dotenv import parse_dotenv
from tagboat.core.errors import InvalidValueError, TagboatError
from tagboat.core.interpolation import Interpolation
from tagboat.core.naming import parse_name

if TYPE_CHECKING:
    from tagboat.cli.config_yaml import ConfigText

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
_COMPOSE_NAME = re.compile(r"[^a-z0-9_-]+")

_PROPOSAL_HEAD = """\
# A proposal by 'tagboat import compose', which changes nothing. Read it, and what the command said
# on stderr. 'tagboat diff FILE' says what it would change, 'tagboat apply FILE' changes it.

"""


@app.callback()
def import_group() -> None:
    """Propose a configuration file for apps that run elsewhere."""


@app.command("compose")
def compose_command(
    file: Annotated[str, typer.Argument(metavar="FILE", help="The Compose file; - is stdin.")],
    services: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SERVICE]...", help="Only these services; else all."),
    ] = None,
    *,
    stage: Annotated[
        str, typer.Option("--stage", metavar="NAME", help="The name of the stages.")
    ] = "prod",
    binds: Annotated[
        bool,
        typer.Option("--binds", help="Paths of the machine too; the server must allow them."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Print a configuration file for the services of a Compose file.

    It goes to standard output, and what is not carried over to standard error, service by service.
    Nothing is changed, and no server is needed. One file is read: join several first, with 'docker
    compose config'. Values that look like secrets are never printed: they become references to
    environment variables.

    Example: tagboat import compose compose.yaml web > tagboat.yaml
    """
    try:
        parse_name(stage)
    except InvalidValueError as error:
        raise typer.BadParameter(str(error), param_hint="--stage") from None
    content = read_yaml_file(file, "services")
    folder = Path.cwd() if file == "-" else Path(file).absolute().parent
    proposal = propose_from(content, folder, services or (), stage, binds=binds)
    # Plain strings only, of which YAML is written.
    document = json.loads(json.dumps(proposal.document))
    notes = [*proposal.notes, *_accepted_part(document)]
    for note in notes:
        show.progress(f"{note.service}: {note.key}: {note.reason}")
    if not document["projects"]:
        raise TagboatError("no service can be carried over; the reasons are above")
    if proposal.variables:
        show.progress(
            f"Secrets are not written. Set these variables for 'tagboat apply':"
            f" {', '.join(proposal.variables)}"
        )
    if as_json:
        show.as_json({"document": document, "notes": [asdict(note) for note in notes]})
    else:
        from tagboat.cli.config_yaml import write_config_text

        sys.stdout.write(write_config_text(document, _PROPOSAL_HEAD))
    # The first poll of a new project only records the tags that there are.
    show.progress("Nothing is deployed by 'tagboat apply' itself. After it:")
    for name in document["projects"]:
        show.progress(f"  tagboat deploy {name} {stage} {proposal.tags[name] or 'TAG'} --wait")


def propose_from(
    content: "ConfigText", folder: Path, chosen: Sequence[str], stage: str, *, binds: bool
) -> ComposeProposal:
    """Return the proposal for the services of a file. Raises TagboatError that names the line."""
    # Variables of services that are not asked for need not be set.
    bodies = chosen_services(content, chosen)
    # As in Compose, the shell goes before `.env`.
    variables = {**_dotenv(folder / ".env", {}), **current_context().environ}
    interpolation = Interpolation(variables)
    expanded = {
        name: _expanded(content, ("services", name), body, interpolation)
        for name, body in bodies.items()
    }
    top = {
        key: _expanded(content, (key,), content.document.get(key) or {}, interpolation)
        for key in ("volumes", "networks", "secrets")
    }
    if wrong := next((key for key, part in top.items() if not isinstance(part, dict)), None):
        raise TagboatError(f"{content.place((wrong,))}: {wrong} must be a map")
    name = _expanded(content, ("name",), content.document.get("name") or "", interpolation)
    for missing in interpolation.unset:
        show.progress(f"the variable {missing} is not set, and counts as empty")
    if "include" in content.document:
        show.progress("include: other files are not read")

    def read_env_file(path: str) -> Mapping[str, str] | None:
        # Optional or not is for the caller to say.
        place = folder / path
        return _dotenv(place, variables) if place.is_file() else None

    surroundings = ComposeSurroundings(
        # In Compose's own order, and spelled as it does.
        project=_COMPOSE_NAME.sub(
            "", (variables.get("COMPOSE_PROJECT_NAME") or str(name) or folder.name).lower()
        ).lstrip("_-")
        or "app",
        folder=str(folder),
        variables=variables,
        read_env_file=read_env_file,
        **top,
        binds=binds,
        several=len(expanded) > 1,
    )
    return propose_config(expanded, surroundings, stage)


def chosen_services(content: "ConfigText", chosen: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the chosen services, all where none is chosen."""
    found = content.document.get("services")
    if not isinstance(found, dict) or not found:
        raise TagboatError(
            f"{content.place(('services',))}: there are no services; is it a Compose file?"
        )
    for name in chosen:
        if name not in found:
            near = get_close_matches(name, found, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(found)}"
            raise TagboatError(f"{content.name} has no service {name}; {hint}")
    for name, body in found.items():
        if not isinstance(body, dict):
            raise TagboatError(f"{content.place(('services', name))}: {name} must be a map")
    return {name: body for name, body in found.items() if not chosen or name in chosen}


def _dotenv(path: Path, variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of a file, none where there is no file."""
    if not path.is_file():
        return {}
    try:
        return parse_dotenv(read_text_file(path), variables)
    except InvalidValueError as error:
        raise TagboatError(f"{path}: {error}") from None


def _expanded(
    content: "ConfigText",
    path: tuple[str, ...],
    value: Any,  # noqa: ANN401 - any YAML
    interpolation: Interpolation,
) -> Any:  # noqa: ANN401 - as above
    """Return a value with its variables replaced. Raises TagboatError that names the line."""
    if isinstance(value, dict):
        return {
            key: _expanded(content, (*path, key), one, interpolation) for key, one in value.items()
        }
    if isinstance(value, list):
        return [
            _expanded(content, (*path, str(number)), one, interpolation)
            for number, one in enumerate(value)
        ]
    try:
        return interpolation.expand(value) if isinstance(value, str) else value
    except InvalidValueError as error:
        raise TagboatError(f"{content.place(path)}: {'.'.join(path)}: {error}") from None


def _accepted_part(document: dict[str, Any]) -> list[ComposeNote]:
    """Take out of a document all that the server would refuse, and return notes about it."""
    # The server's own schema, so that the two cannot differ.
    from tagboat.api.config_schemas import ConfigDocument
    from tagboat.api.lenient import TooMuchRefusedError, accepted_part

    try:
        _, refused = accepted_part(ConfigDocument, document)
    except TooMuchRefusedError as error:
        raise TagboatError(f"too much of the file cannot be used: {error}") from None
    return [
        ComposeNote(path[1], ".".join(path[2:]) or "service", reason) for path, reason in refused
    ]
