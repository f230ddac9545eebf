"""`python -m bench`: all measurements in about an hour.

Needs a Docker engine and the programs of `make test`.
"""

import sys
import tempfile
from pathlib import Path

from bench import (
    big_database,
    burst,
    deploys_under_load,
    fronts,
    hostile_calls,
    hostile_registry,
    idle,
    pages,
    poll_requests,
    poll_scale,
    pools,
    push_time,
    rest,
    scale,
    swarm_scale,
    webhook_flood,
    webhook_rate,
)
from bench.rig import BenchError


def main() -> int:
    """Measure and print; 1 when something could not be measured."""
    with tempfile.TemporaryDirectory(prefix="tagboat-bench-") as name:
        folder = Path(name)
        used = folder / "used"
        try:
            print("Push to answering", flush=True)
            push_time.measure(folder)
            print("Many pushes at once", flush=True)
            burst.measure(folder)
            print("A long queue, many projects, a long history", flush=True)
            big_database.measure(folder)
            print("The pages", flush=True)
            pages.measure(folder)
            print("Polling at rest", flush=True)
            poll_requests.measure(folder)
            print(f"{poll_scale.MANY} repositories polled by one server", flush=True)
            poll_scale.measure(folder)
            print("Webhook calls, each answered once it is on disk", flush=True)
            webhook_rate.measure(folder, used)
            webhook_rate.measure_on_postgres(folder)
            print("Right webhook calls, while others flood the webhook", flush=True)
            webhook_flood.measure(folder)
            print("Right webhook calls, while registries that mean harm are polled", flush=True)
            hostile_registry.measure(folder)
            print("Calls of whoever means ill", flush=True)
            hostile_calls.measure(folder)
            print("Twenty deploys under load, through the ingress", flush=True)
            deploys_under_load.measure(folder)
            print("A minute of requests to one app, each way in", flush=True)
            fronts.measure(folder)
            print("Pools in the ingress", flush=True)
            pools.measure(folder)
            print(f"{scale.MANY} stages on one server", flush=True)
            scale.measure(folder)
            print("Many services on a swarm of three nodes", flush=True)
            swarm_scale.measure(folder)
            print("Start and rest", flush=True)
            idle.measure(folder, used)
            rest.measure(folder)
        except BenchError as error:
            print(f"bench: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
