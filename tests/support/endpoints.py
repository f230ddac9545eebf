"""Endpoints of this machine, by their ports."""

from tagboat.core.deploy import Instance
from tagboat.core.endpoint import LOOPBACK, Endpoint
from tagboat.core.workload import WorkloadSpec, WorkloadStatus


def at(port: int) -> Endpoint:
    return Endpoint(LOOPBACK, port)


def port_of(reached: Instance | WorkloadSpec | WorkloadStatus) -> int:
    """The port at which it is reached, 0 where it listens on nothing."""
    return reached.endpoint.port if reached.endpoint else 0
