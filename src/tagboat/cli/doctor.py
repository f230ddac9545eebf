"""`tagboat doctor`: all findings, with what to do about each problem."""

from collections.abc import Iterator
from dataclasses import asdict

import typer

from tagboat.cli import disk_space, show
from tagboat.cli.client import Client
from tagboat.cli.client_errors import TokenRefusedError
from tagboat.cli.context import CommandContext, current_context
from tagboat.cli.machine_checks import Finding, check_engine_and_ingress, check_this_machine
from tagboat.cli.options import JsonOption
from tagboat.cli.server_checks import check_health, check_with_token
from tagboat.core.errors import SettingsError, TagboatError


def doctor_command(*, as_json: JsonOption = False) -> None:
    """Look for problems, and say what to do about them.

    Checks settings, data directory, free disk space, server, database, engine, ingress and
    registries. Exit code 1 if anything is wrong.
    """
    findings = list(find_problems(current_context()))
    # All checks run before anything is printed: the widths of columns depend on them.
    wrong = sum(not finding.ok for finding in findings)
    if as_json:
        show.as_json([asdict(finding) for finding in findings])
    else:
        show.table(
            ("", "check", "found"),
            (("ok" if f.ok else "WRONG", f.check, f.detail) for f in findings),
        )
        show.line(
            f"{wrong} of {len(findings)} checks found a problem." if wrong else "All is well."
        )
    if wrong:
        raise typer.Exit(1)


def find_problems(context: CommandContext) -> Iterator[Finding]:
    """Yield the result of every check, of this machine and of the server."""
    try:
        # The settings of this machine say nothing about a server elsewhere.
        settings = None if context.remote().url else context.settings()
    except SettingsError as error:
        detail = f"{error} (the other checks need it: fix it and run this again)"
        yield Finding("settings", ok=False, detail=detail)
        return
    if settings is not None:
        yield Finding("settings", ok=True, detail="valid")
        yield from check_this_machine(settings)
    try:
        client = Client(context.server())
        health = client.health()
    except TagboatError as error:
        yield Finding("server", ok=False, detail=str(error))
        if settings is not None:
            yield from check_engine_and_ingress(settings)
        return
    yield from check_health(health)
    if settings is None:
        yield from (
            Finding(
                f"disk of {disk['name']}",
                ok=not disk["low"],
                detail=disk_space.describe_disk(disk),
            )
            for disk in disk_space.list_disks(client)
        )
    yield from (
        Finding(check, ok=True, detail=detail)
        for check, detail in disk_space.describe_usage(client)
    )
    try:
        yield from check_with_token(client)
    except TokenRefusedError as error:
        detail = f"{error}; the other checks need it"
        yield Finding("token", ok=False, detail=detail)
    except TagboatError as error:
        yield Finding("registries", ok=False, detail=str(error))
