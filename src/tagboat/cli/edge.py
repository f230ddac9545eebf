"""`tagboat edge`. Its help is here; as `serve`, it runs without loading typer."""

from tagboat.cli.context import CommandContext
from tagboat.cli.serve import leave_out

EDGE_HELP = """Run only an ingress, which follows the servers elsewhere.

For a second host in front of the same apps: HAProxy there follows the routes that the servers
record in PostgreSQL, and their deploys wait for it. It needs the servers' TAGBOAT_DATABASE_URL and
TAGBOAT_BASE_DOMAIN, a TAGBOAT_DATA_DIR of its own, and no encryption key. The ingress is set as for
'tagboat serve': TAGBOAT_INGRESS_LISTEN, TAGBOAT_INGRESS_TRUSTED, TAGBOAT_INGRESS_START.

The apps must be reachable from there: tasks of a Docker Swarm are. Containers of one Docker engine
answer at 127.0.0.1 of its machine only. HAProxy keeps running when the edge ends; see 'tagboat
ingress'.
"""


def edge_command(context: CommandContext) -> int:
    """Run an edge until it is stopped; return the exit code."""
    settings = context.settings(dotenv=True)
    leave_out()
    # Imported after the line above, which it depends on.
    from tagboat.edge import run_edge
    from tagboat.ingress.runner import notify_ready

    return run_edge(settings, lambda: notify_ready(context.environ.get("NOTIFY_SOCKET")))
