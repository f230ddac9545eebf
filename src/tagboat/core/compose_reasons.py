"""Reasons why keys of a Compose service are not carried over, in words for a person."""

from collections.abc import Mapping

_ISOLATION = "Tagboat runs apps in their own namespaces"
_OF_IMAGE = "build it into the image"

REASONS: Mapping[str, str] = {
    "build": "Tagboat deploys images that your CI has built and pushed to a registry",
    "depends_on": "Tagboat starts each app by itself; let the app wait until it reaches the others",
    "links": "apps on one network reach each other by the names of their projects",
    "external_links": "apps on one network reach each other by the names of their projects",
    "configs": f"Tagboat has no configs; {_OF_IMAGE}, or use secret_files",
    "privileged": "Tagboat runs no privileged containers",
    "network_mode": "each project has its own network; with `host`, give the ports by publish",
    "devices": "add them to `devices` once the server allows them (TAGBOAT_BIND_ROOTS)",
    "gpus": "Tagboat has no option for GPUs",
    "profiles": "all services that are named here become projects",
    "restart": "Tagboat starts again what ends; use release_command for a task that ends",
    "scale": "on a swarm, set replicas of the stage; elsewhere it has one instance of each tag",
    "extends": "only what stands in the service itself is read; copy the rest into it",
    "container_name": "Tagboat names containers PROJECT-STAGE-ID, because two run during a deploy",
    "hostname": "on networks the app is found by the names PROJECT and PROJECT-STAGE",
    "domainname": "on networks the app is found by the names PROJECT and PROJECT-STAGE",
    "mac_address": "two containers run during a deploy",
    "working_dir": f"Tagboat has no option for it; {_OF_IMAGE} (WORKDIR)",
    "cap_drop": "Tagboat drops NET_RAW, MKNOD, AUDIT_WRITE, SYS_CHROOT and SETFCAP by itself",
    "security_opt": "Tagboat sets no-new-privileges by itself, and nothing else",
    "logging": "Tagboat keeps the last 30 MB of each log",
    "ulimits": "Tagboat has no option for it; set it for the engine (default-ulimits)",
    "sysctls": "Tagboat has no option for it",
    "dns": "Tagboat has no option for it; set it for the engine",
    "dns_search": "Tagboat has no option for it; set it for the engine",
    "dns_opt": "Tagboat has no option for it; set it for the engine",
    "group_add": f"Tagboat has no option for it; {_OF_IMAGE}",
    "volumes_from": "stages do not share volumes",
    "pid": _ISOLATION,
    "ipc": _ISOLATION,
    "uts": _ISOLATION,
    "userns_mode": _ISOLATION,
    "cgroup": _ISOLATION,
    "cgroup_parent": _ISOLATION,
    "cpu_shares": "use cpus",
    "cpu_quota": "use cpus",
    "cpu_period": "use cpus",
    "cpuset": "use cpus",
    "mem_reservation": "Tagboat sets limits only",
    "memswap_limit": "Tagboat's memory is the limit of memory and swap together",
    "tty": "Tagboat's containers have no terminal",
    "stdin_open": "Tagboat's containers have no standard input",
    "pull_policy": "Tagboat pulls each image from its registry before it deploys it",
    "platform": "the platform of the engine is used",
    "runtime": "the engine's default is used",
    "develop": "it is for development",
    "post_start": "Tagboat has release_command, which runs before the new container starts",
    "pre_stop": "Tagboat sends the stop signal only",
}
NO_OPTION = "Tagboat has no option for it"
SILENT = frozenset({"image", "attach"})
"""Keys that are read apart, or change nothing a person would miss."""
SAME_ANYWAY: Mapping[str, tuple[object, ...]] = {
    "restart": ("always", "unless-stopped"),
    "pull_policy": ("always", "missing", "if_not_present"),
    "scale": (1, "1"),
}
"""Values of keys that say what Tagboat does by itself."""
