"""Endpoints of this machine, by their ports."""

from tagboat.core.deploy import Instance
from tagboat.core.endpoint import LOOPBACK, Endpoint
from tagboat.core.route import Target
from tagboat.core.workload import WorkloadSpec, WorkloadStatus


def at(port: int) -> Endpoint:
    return Endpoint(LOOPBACK, port)


def target(*ports: int, instance: str = "") -> Target:
    return Target(instance or f"i{'-'.join(map(str, ports))}", tuple(map(at, ports)))


def port_of(reached: Instance | WorkloadSpec | WorkloadStatus) -> int:
    """The port at which it is reached, 0 where it listens on nothing."""
    if isinstance(reached, WorkloadSpec):
        return reached.endpoint.port if reached.endpoint else 0
    return reached.endpoints[0].port if reached.endpoints else 0
