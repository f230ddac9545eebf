"""`tagboat volumes`: the volumes that Tagboat made for stages."""

import typer

from tagboat.cli import disk_space, show
from tagboat.cli.list_group import ListGroup
from tagboat.cli.options import JsonOption, connect

app = typer.Typer(cls=ListGroup, invoke_without_command=True, rich_markup_mode=None)


@app.callback()
def volumes_group(ctx: typer.Context, *, as_json: JsonOption = False) -> None:
    """List the volumes of stages, also of deleted ones."""
    if ctx.invoked_subcommand is None:
        volumes_list(as_json=as_json)


@app.command("ls", hidden=True)
@app.command("list")
def volumes_list(*, as_json: JsonOption = False) -> None:
    """List the volumes of stages, and how large they are.

    One whose stage was deleted is kept until somebody deletes it: 'docker volume rm NAME'. Those on
    nodes of a swarm are listed by the settings of their stages, without their size; 'docker volume
    rm NAME' on the node deletes one.
    """
    # An engine may need a minute to add up what is in them.
    volumes = connect().get_long("/api/disk", usage="true")["taken"]["volumes"]
    if as_json:
        show.as_json(volumes)
    elif volumes:
        # A server of an earlier version does not know of nodes.
        on_nodes = any(volume.get("node") is not None for volume in volumes)
        show.table(
            ("project", "stage", "size", "volume", *(("node",) if on_nodes else ())),
            (
                (
                    volume["project"] or "(deleted)",
                    volume["stage"],
                    None if volume["bytes"] is None else disk_space.format_size(volume["bytes"]),
                    volume["name"],
                    *((volume.get("node"),) if on_nodes else ()),
                )
                for volume in volumes
            ),
        )
    else:
        show.line("No stage has a volume.")
