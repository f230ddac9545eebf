"""`tagboat uninstall`: all traces of an installation on this machine and its engine."""

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec import Struct

from tagboat.cli import show
from tagboat.cli.backup import database_place, local_settings
from tagboat.cli.context import current_context
from tagboat.cli.login_file import StoredLogin, login_path, read_login
from tagboat.cli.options import JsonOption, VolumesOption, YesOption
from tagboat.cli.prompts import confirm
from tagboat.core.errors import TagboatError
from tagboat.data_dir import open_data_dir, server_runs

if TYPE_CHECKING:
    from tagboat.installation.traces import RemovedTraces
    from tagboat.installation.uninstall import UninstallPlan
    from tagboat.settings import Settings

UNINSTALL_HELP = """Remove every trace of Tagboat: apps, HAProxy, data.

Only what this installation has made is touched: by its label on the engine, and by its record. The
data in volumes stays, unless --volumes is given; adopted volumes stay in any case. The server must
be stopped, and so must others on its database. Asks before it removes anything.

\b
Examples:
  tagboat uninstall --dry-run
  tagboat uninstall --volumes
"""
_SERVICES = ("tagboat.service", "tagboat-ingress.service", "tagboat-edge.service")
_UNIT_FOLDER = Path("/etc/systemd/system")


def uninstall_command(
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only list what would be removed.")
    ] = False,
    yes: YesOption = False,
    volumes: VolumesOption = False,
    without_engine: Annotated[
        bool,
        typer.Option(
            "--without-engine", help="Go on if the engine does not answer; list what stays there."
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """See UNINSTALL_HELP."""
    import asyncio

    context = current_context()
    settings = local_settings(context, "Tagboat is removed")
    runs, login = server_runs(settings.data_dir), login_path(context.environ)
    if runs and not dry_run:
        raise TagboatError(
            "the server runs. Stop it first (Ctrl-C, or 'sudo systemctl stop tagboat'); apps go on "
            "running until they are removed here"
        )
    # The lock keeps a server from starting in the middle, and making things again.
    lockable = not dry_run and settings.data_dir.exists() and any(settings.data_dir.iterdir())
    options = _Options(dry_run, yes, volumes, without_engine, as_json)
    with open_data_dir(settings.data_dir, restoring=True) if lockable else nullcontext():
        asyncio.run(_uninstall(settings, login, options))


class _Options(Struct, frozen=True):
    dry_run: bool
    yes: bool
    volumes: bool
    without_engine: bool
    as_json: bool


async def _uninstall(settings: "Settings", login: Path, options: _Options) -> None:
    from tagboat.core.registry_logins import StoredLogins
    from tagboat.engine_choice import RegistrySource, choose_engine
    from tagboat.installation.uninstall import carry_out, plan_uninstall

    stored = read_login(login)
    # The login may be for a server elsewhere, which is not removed here.
    here = {settings.public_url, settings.listen_url}
    own_login = login if stored is not None and stored.url in here else None
    runtime = choose_engine(settings, RegistrySource(), StoredLogins())
    try:
        plan = await plan_uninstall(database_place(settings), runtime, own_login)
        document = plan_document(plan, volumes=options.volumes)
        if not options.as_json:
            _show_traces(plan, settings, stored, volumes=options.volumes)
        if options.dry_run or plan.is_empty:
            if options.as_json:
                show.as_json(document)
            return
        plan.require_removable(without_engine=options.without_engine)
        if not options.yes:
            confirm("All of this is removed for good.", "all of this would be removed for good")
        removed = await carry_out(
            plan, runtime, volumes=options.volumes, without_engine=options.without_engine
        )
    finally:
        await runtime.close()
    if options.as_json:
        show.as_json(
            document | {"failures": list(removed.failures), "in_use": list(removed.in_use)}
        )
    else:
        _show_outcome(plan, removed)
    if removed.failures:
        raise typer.Exit(1)


def _show_traces(
    plan: "UninstallPlan", settings: "Settings", stored: StoredLogin | None, *, volumes: bool
) -> None:
    if plan.is_empty:
        show.line(f"Nothing to remove: there is no trace of Tagboat in {plan.data_dir}.")
        return
    rows = list(plan_rows(plan, volumes=volumes))
    if settings.database_url is not None and plan.record is not None:
        rows.append(("database (kept)", "the one of TAGBOAT_DATABASE_URL: drop it with dropdb"))
    if stored is not None and plan.login is None:
        rows.append(("login (kept)", f"it is for {stored.url}: 'tagboat logout' removes it"))
    if units := installed_units():
        rows.append(("services (kept)", unit_words(units)))
    show.table(("what", "which"), rows)


def plan_rows(plan: "UninstallPlan", *, volumes: bool) -> Iterator[tuple[str, str]]:
    """Yield the rows of the list: what is removed, and what stays and why."""
    from tagboat.installation.uninstall import other_words

    traces, record = plan.engine, plan.record
    if others := record.others if record is not None else ():
        yield "others (stop first)", "; ".join(other_words(others))
    if traces is not None:
        yield "containers", ", ".join(one.name for one in traces.containers)
        yield "networks", ", ".join(traces.networks)
        yield "images", ", ".join(traces.images)
        yield "volumes" if volumes else "volumes (kept)", ", ".join(traces.volumes)
        on_nodes = "on nodes of the swarm, 'docker volume rm NAME' there removes one"
        unknown = tuple(one.name for one in traces.unknown)
        for what, why, names in (
            ("volumes (kept)", on_nodes, traces.on_nodes),
            ("volumes (kept)", "adopted, not made by Tagboat", traces.adopted),
            ("containers (kept)", "no deploy on record has made them", unknown),
        ):
            if names:
                yield what, f"{why}: {', '.join(names)}"
    elif plan.why_not:
        found = "; ".join(find_words(record.installation if record else ""))
        yield "engine (not asked)", f"{plan.why_not}. What is there stays: {found}"
    if plan.haproxy or plan.runner:
        yield "HAProxy", "process " + ", ".join(map(str, plan.haproxy or (plan.runner,)))
    place = str(plan.data_dir)
    for what, why, paths in (
        ("data", place, plan.entries),
        ("files (kept)", f"others have put them into {place}", plan.foreign_entries),
    ):
        if paths:
            yield what, f"{why}: {', '.join(path.name for path in paths)}"
    if plan.login:
        yield "login", str(plan.login)


def plan_document(plan: "UninstallPlan", *, volumes: bool) -> dict[str, object]:
    """Return the plan as JSON: what is removed, and under `kept` what stays."""
    traces = plan.engine
    found = {
        "containers": [one.name for one in traces.containers] if traces else [],
        "networks": list(traces.networks) if traces else [],
        "images": list(traces.images) if traces else [],
        "volumes": list(traces.volumes) if traces and volumes else [],
    }
    kept = {
        "containers": [one.name for one in traces.unknown] if traces else [],
        "volumes": [*(() if volumes else traces.volumes), *traces.adopted, *traces.on_nodes]
        if traces
        else [],
        "files": [str(path) for path in plan.foreign_entries],
        "services": list(installed_units()),
    }
    return {
        "installation": plan.record.installation if plan.record else None,
        "other_servers": [one.id for one in plan.record.others] if plan.record else [],
        **found,
        "haproxy": list(plan.haproxy),
        "files": [str(path) for path in plan.entries],
        "login": str(plan.login) if plan.login else None,
        "engine_error": plan.why_not or None,
        "kept": kept,
    }


def _show_outcome(plan: "UninstallPlan", removed: "RemovedTraces") -> None:
    for one in removed.in_use:
        show.line(f"{one} is used by others, and stays")
    for failure in removed.failures:
        show.progress(failure)
    if removed.failures:
        show.progress("Not everything is removed. Mend that, and run this again")
        return
    if plan.why_not:
        show.line("What is on the engine stays. When it answers again, these commands list it:")
        for command in find_words(plan.record.installation if plan.record else ""):
            show.line(f"  {command}")
    show.line("Tagboat is removed, except for the program itself and its services.")
    if units := installed_units():
        show.line(f"The services: {unit_words(units)}")
    show.line("The program: 'uv tool uninstall tagboat', 'pipx uninstall tagboat', or its folder.")


def find_words(installation: str) -> tuple[str, ...]:
    """Return the commands that list what an installation has on an engine; "" for all of them."""
    label = f"tagboat.installation={installation}" if installation else "tagboat.installation"
    return tuple(
        f"docker {what} --filter label={label}" for what in ("ps -a", "network ls", "volume ls")
    )


def installed_units() -> tuple[str, ...]:
    """Return the names of Tagboat's services that systemd has."""
    return tuple(name for name in _SERVICES if (_UNIT_FOLDER / name).exists())


def unit_words(units: tuple[str, ...]) -> str:
    """Return the command that removes services."""
    paths = " ".join(str(_UNIT_FOLDER / name) for name in units)
    return f"sudo systemctl disable --now {' '.join(units)} && sudo rm {paths}"
