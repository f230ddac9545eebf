"""Services of Compose files as projects: what is carried over, and what is named instead."""

from collections.abc import Mapping
from typing import Any

from tagboat.core.compose import ComposeProposal, propose_config
from tagboat.core.compose_parts import ComposeSurroundings
from tagboat.core.interpolation import SecretText

IMAGE = "git.example.com/acme/shop:v1.4.0"


def proposed(
    services: Mapping[str, Mapping[str, Any]],
    variables: Mapping[str, str] | None = None,
    env_files: Mapping[str, Mapping[str, str]] | None = None,
    **more: Any,  # noqa: ANN401 - other parts of the surroundings
) -> ComposeProposal:
    around = ComposeSurroundings(
        project="shop",
        folder="/srv/shop",
        variables=variables or {},
        read_env_file=(env_files or {}).get,
        several=len(services) > 1,
        **more,
    )
    return propose_config(services, around, "prod")


def web(
    body: Mapping[str, Any],
    **more: Any,  # noqa: ANN401 - as above
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the project of one service, and its notes by key."""
    made = proposed({"web": {"image": IMAGE, **body}}, **more)
    project: dict[str, Any] = made.document["projects"]["web"]
    return project, {note.key: note.reason for note in made.notes}


def test_a_whole_service() -> None:
    project, notes = web(
        {
            "ports": ["8080:3000"],
            "environment": {"LOG_LEVEL": "info", "DB_PASSWORD": "hunter2", "N": 1},
            "command": "serve --port 3000",
            "user": 1000,
            "mem_limit": "512m",
            "cpus": "0.5",
            "pids_limit": 100,
            "shm_size": "64m",
            "read_only": True,
            "init": True,
            "stop_signal": "SIGINT",
            "stop_grace_period": "1m30s",
            "cap_add": ["NET_ADMIN"],
            "extra_hosts": ["db:10.0.0.5"],
            "tmpfs": ["/cache:size=64m"],
            "volumes": ["data:/data"],
            "healthcheck": {"test": ["CMD", "curl", "-f", "http://localhost:3000/up"]},
            "labels": ["com.example.team=a", "traefik.http.routers.w.rule=Host(`shop.test`)"],
            "restart": "always",
            "x-mine": 1,
        }
    )
    assert project == {
        "image": "git.example.com/acme/shop",
        "port": 3000,
        "env": {"LOG_LEVEL": "info", "N": "1"},
        "secrets": {"DB_PASSWORD": "env:DB_PASSWORD"},
        "command": ["serve", "--port", "3000"],
        "entrypoint": "image",
        "user": "1000",
        "memory": "512m",
        "cpus": 0.5,
        "pids": 100,
        "shm_size": "64m",
        "read_only": True,
        "init": True,
        "stop_signal": "SIGINT",
        "stop_timeout_s": 90,
        "cap_add": ["NET_ADMIN"],
        "extra_hosts": {"db": "10.0.0.5"},
        "tmpfs": {"/cache": "size=64m"},
        "volumes": {"data": "/data"},
        "healthcheck": "/up",
        "labels": {"com.example.team": "a"},
        "stages": {"prod": {"tag_pattern": "semver:1.x", "domains": ["shop.test"]}},
    }
    assert notes.keys() == {"ports", "labels", "volumes"}
    assert "stays in the volume shop_data" in notes["volumes"]
    assert "hunter2" not in str(notes)


def test_all_that_is_not_carried_over_is_named() -> None:
    keys: dict[str, Any] = {
        "build": ".",
        "depends_on": ["db"],
        "links": ["db"],
        "privileged": True,
        "network_mode": "host",
        "devices": ["/dev/kvm"],
        "profiles": ["x"],
        "scale": 2,
        "container_name": "web",
        "extends": {"service": "base"},
        "configs": ["c"],
        "hostname": "web",
        "working_dir": "/app",
        "made_up": 1,
        "annotations": {"a": "b"},
        "mem_swappiness": 0,
        "pull_policy": "never",
        "restart": "on-failure:3",
        "command": [],
        "deploy": {"replicas": 3, "placement": {}, "resources": {"limits": {"memory": "1g"}}},
        "ports": ["80:8080", "9090:9090", "53:53/udp"],
        "volumes": ["./conf:/etc/app:ro"],
        "healthcheck": {"test": "pg_isready"},
    }
    project, notes = web(keys)
    assert keys.keys() <= notes.keys()
    assert project["memory"] == "1g"
    assert "binds" not in project
    assert "TAGBOAT_BIND_ROOTS" in notes["volumes"]
    # As `docker compose config` writes them.
    same = {"scale": 1, "pull_policy": "missing", "deploy": {"replicas": 1, "placement": {}}}
    assert web(same)[1] == {}
    off = {"privileged": False, "devices": [], "depends_on": {}, "hostname": None}
    assert web(off)[1] == {}


def test_binds_are_proposed_where_they_are_asked_for() -> None:
    project, _ = web({"volumes": ["./conf:/etc/app:ro", "/var/run/x.sock:/x.sock"]}, binds=True)
    assert project["binds"] == ["/srv/shop/conf:/etc/app:ro", "/var/run/x.sock:/x.sock"]


def test_each_key_of_a_service_is_carried_over_or_named() -> None:
    plain = web({})[0]
    texts = (
        *("blkio_config", "cgroup", "cgroup_parent", "container_name", "cpu_count", "cpu_percent"),
        *("cpu_period", "cpu_quota", "cpu_rt_period", "cpu_rt_runtime", "cpu_shares", "cpus"),
        *("cpuset", "credential_spec", "develop", "domainname", "extends", "gpus", "hostname"),
        *("ipc", "isolation", "label_file", "logging", "mac_address", "mem_limit", "pid"),
        *("mem_reservation", "mem_swappiness", "memswap_limit", "network_mode", "oom_score_adj"),
        *("pids_limit", "platform", "pull_refresh_after", "runtime", "scale", "shm_size"),
        *("stop_signal", "storage_opt", "sysctls", "user", "userns_mode", "uts", "working_dir"),
        *("command", "entrypoint", "env_file", "build", "provider", "deploy", "healthcheck"),
        *("stop_grace_period", "pull_policy", "restart"),
    )
    lists = (
        *("cap_add", "cap_drop", "configs", "depends_on", "device_cgroup_rules", "devices", "dns"),
        *("dns_opt", "dns_search", "external_links", "group_add", "links", "models", "post_start"),
        *("pre_stop", "profiles", "security_opt", "ulimits", "volumes_from", "networks", "tmpfs"),
        *("secrets", "volumes", "labels", "environment", "extra_hosts", "annotations", "ports"),
    )
    switches = ("init", "oom_kill_disable", "privileged", "read_only", "stdin_open", "tty")
    keys: dict[str, object] = {
        **dict.fromkeys(texts, "5"),
        **{key: ["80"] for key in lists},
        **dict.fromkeys((*switches, "use_api_socket"), True),
        "expose": ["80"],
        "driver_opts": {"a": "b"},
    }
    for key, value in keys.items():
        # A network of one service alone is nothing that it needs.
        around = {"networks": {"80": {"external": True}}} if key == "networks" else {}
        project, notes = web({key: value}, **around)
        assert project != plain or key in notes, key


def test_all_that_a_mount_loses_is_named() -> None:
    for volume, said in (
        ("data:/data:ro", "/data becomes writable"),
        ({"source": "data", "target": "/data", "read_only": True}, "/data becomes writable"),
        ("data:/data:nocopy,z", "/data: nocopy, z: Tagboat has no option"),
        ({"source": "d", "target": "/data", "volume": {"nocopy": True}}, "/data: nocopy: Tag"),
        ({"type": "tmpfs", "target": "/data", "tmpfs": {"mode": 1777}}, "/data: mode: Tagboat"),
        ({"type": "tmpfs", "target": "/data", "read_only": True}, "/data becomes writable"),
    ):
        made = proposed({"web": {"image": IMAGE, "volumes": [volume]}})
        assert [note for note in made.notes if said in note.reason], made.notes
    bind = {"type": "bind", "source": "/a", "target": "/b", "bind": {"propagation": "shared"}}
    assert "/b: propagation: Tagboat" in web({"volumes": [bind]}, binds=True)[1]["volumes"]
    twice = web({"volumes": ["/a"], "tmpfs": ["/a"]})[1]
    assert twice["tmpfs"] == "/a is mounted twice"


def test_options_of_shared_volumes_and_networks_are_named() -> None:
    notes = web(
        {"volumes": ["nfs:/data"], "networks": ["back"]},
        volumes={"nfs": {"driver": "local", "driver_opts": {"type": "nfs"}}},
        networks={"back": {"internal": True, "driver": "bridge", "ipam": {}}},
    )[1]
    assert notes["volumes"] == "nfs: driver_opts: Tagboat makes plain volumes"
    assert notes["networks"] == "back: internal: create the network with them"


def test_a_digest_is_named_with_a_tag_and_without() -> None:
    digest = f"sha256:{'a' * 64}"
    for image, pattern in ((f"x.example/a:1@{digest}", "1"), (f"x.example/a@{digest}", "*")):
        project, notes = web({"image": image})
        assert project["stages"]["prod"]["tag_pattern"] == pattern
        assert "the digest is not carried over" in notes["image"]


def test_parts_of_keys_that_are_left_out_are_named() -> None:
    for body, key, said in (
        ({"scale": 0}, "scale", "one instance"),
        ({"deploy": {"replicas": 3}}, "deploy", "replicas: on a swarm, set replicas of the stage"),
        (
            {"deploy": {"placement": {"constraints": ["node.role == manager"]}}},
            "deploy",
            'placement: on a swarm, set constraints of the stage: ["node.role==manager"]',
        ),
        (
            {"deploy": {"placement": {"constraints": ["a==b"], "preferences": [{"spread": "x"}]}}},
            "deploy",
            "placement: Tagboat deploys in its own way",
        ),
        ({"deploy": {"replicas": 0}}, "deploy", "replicas"),
        ({"deploy": {"resources": {"limits": {"devices": 1}}}}, "deploy", "limits.devices"),
        ({"secrets": [{"source": "a", "mode": 292, "uid": "5"}]}, "secrets", "a: mode, uid:"),
        ({"env_file": [{"path": "a.env", "format": "raw"}]}, "env_file", "a.env: the format"),
        (
            {"healthcheck": {"test": "curl http://localhost:80/up", "timeout": "1s"}},
            "healthcheck",
            "timeout: Tagboat asks at its own pace",
        ),
        ({"extra_hosts": ["db"]}, "extra_hosts", "db has no address"),
        ({"entrypoint": []}, "entrypoint", "image's own"),
        ({"command": ""}, "command", "image's own"),
        ({"restart": "on-failure"}, "restart", "release_command"),
        ({"restart": False}, "restart", "release_command"),
    ):
        notes = web(body, secrets={"a": {"file": "a"}}, env_files={"a.env": {}})[1]
        assert said in notes[key], notes


def test_no_secret_is_written_anywhere() -> None:
    tainted = SecretText("--password=hunter2")
    made = proposed(
        {
            "web": {
                "image": IMAGE,
                "command": [tainted],
                "hostname": tainted,
                "labels": {"a": tainted, "my.api.key": "hunter2"},
                "environment": ["URL=postgres://a:hunter2@db", "API_KEY=hunter2", "A_KEY="],
                "env_file": ["more.env", {"path": "gone.env", "required": False}],
            },
            "db": {"image": "postgres:16", "environment": {"API_KEY": "hunter3", "A": tainted}},
        },
        env_files={"more.env": {"SMTP_PASS": "hunter2", "PLAIN": "x"}},
    )
    assert "hunter" not in str(made)
    projects = made.document["projects"]
    assert projects["web"]["env"] == {"A_KEY": "", "PLAIN": "x"}
    assert projects["web"]["secrets"] == {
        "SMTP_PASS": "env:SMTP_PASS",
        "URL": "env:URL",
        "API_KEY": "env:API_KEY",
    }
    assert projects["db"]["secrets"] == {"API_KEY": "env:DB_API_KEY", "A": "env:A"}
    assert set(made.variables) == {"SMTP_PASS", "URL", "API_KEY", "DB_API_KEY", "A"}


def test_secrets_among_the_words_of_a_command_are_named_and_not_written() -> None:
    for line, name in (
        ("redis-server --requirepass hunter2", "--requirepass"),
        (["sh", "-c", "serve --db-password='hunter2'"], "--db-password"),
        ("serve postgres://a:hunter2@db/a", "a login in a URL"),
    ):
        project, notes = web({"command": line, "labels": {"a.token": "hunter2", "b": "c"}})
        assert (project["labels"], "command" in project) == ({"b": "c"}, False)
        assert name in notes["command"]
        assert "a.token" in notes["labels"]
        assert "hunter2" not in str((project, notes))


def test_what_networks_say_of_the_app_and_a_task_that_ends_is_named() -> None:
    own = {"back": {"aliases": ["cache"], "ipv4_address": "172.16.1.2"}, "out": None}
    notes = web({"networks": own, "restart": "no"})[1]
    assert "back: aliases, ipv4_address, cache:" in notes["networks"]
    assert "release_command" in notes["restart"]
    assert web({"restart": "unless-stopped"})[1] == {}


def test_environment_from_the_shell_and_from_files() -> None:
    project, notes = web(
        {"env_file": "gone.env", "environment": ["HOME", "GONE", "A=b"]},
        variables={"HOME": "/root"},
    )
    assert project["env"] == {"HOME": "/root", "A": "b"}
    assert notes == {
        "env_file": "gone.env cannot be read; its variables are missing",
        "environment": "GONE has no value, and the variable is not set",
    }


def test_command_and_entrypoint() -> None:
    assert web({"entrypoint": "/run.sh -x"})[0]["entrypoint"] == ["/run.sh", "-x"]
    both, _ = web({"entrypoint": ["/run.sh"], "command": ["a"]})
    assert (both["entrypoint"], both["command"]) == (["/run.sh"], ["a"])
    removed, _ = web({"entrypoint": [], "command": ["a"]})
    assert (removed.get("entrypoint"), removed["command"]) == (None, ["a"])
    assert "is not a command line" in web({"command": "sh -c 'a"})[1]["command"]


def test_healthchecks() -> None:
    assert web({"healthcheck": {"disable": True}})[0]["healthcheck"] == ""
    assert web({"healthcheck": {"test": ["NONE"]}})[0]["healthcheck"] == ""
    slow, notes = web(
        {
            "healthcheck": {
                "test": "wget http://localhost/up",
                "start_period": "5m",
                "interval": "1s",
            }
        }
    )
    assert (slow["port"], slow["healthcheck"]) == (80, "/up")
    assert slow["stages"]["prod"]["health_timeout_s"] == 303
    assert notes == {}
    other, notes = web({"ports": ["80"], "healthcheck": {"test": "curl http://localhost:81/up"}})
    assert ("healthcheck" in other, "healthcheck" in notes) == (False, True)
    assert "healthcheck" in web({"healthcheck": "x"})[1]


def test_secret_files() -> None:
    project, notes = web(
        {"secrets": ["a", {"source": "b", "target": "key"}, "c"], "read_only": True},
        secrets={"a": {"file": "./a.txt"}, "b": {"environment": "B"}, "c": {"external": True}},
    )
    assert project["secret_files"] == {"a": "file:/srv/shop/a.txt", "key": "env:B"}
    assert notes.keys() == {"secrets", "read_only"}
    assert "read_only" not in project


def test_variables_of_secret_files_are_to_be_set_as_well() -> None:
    made = proposed(
        {"web": {"image": IMAGE, "secrets": ["b"], "environment": {"B_KEY": "other"}}},
        variables={"B_KEY": "hunter2"},
        secrets={"b": {"environment": "B_KEY"}},
    )
    assert made.document["projects"]["web"]["secrets"] == {"B_KEY": "env:WEB_B_KEY"}
    assert set(made.variables) == {"B_KEY", "WEB_B_KEY"}


def test_services_reach_each_other_by_compose_s_own_network() -> None:
    services: dict[str, dict[str, Any]] = {
        "web": {"image": IMAGE},
        "db": {"image": "postgres:16", "networks": {"back": None, "out": None}},
    }
    made = proposed(services, networks={"out": {"external": True, "name": "front"}, "back": None})
    projects = made.document["projects"]
    assert projects["web"]["networks"] == ["shop_default"]
    assert projects["db"]["networks"] == ["shop_back", "front"]
    assert "docker network create shop_back" in made.notes[-1].reason
    assert "networks" not in web({})[0]


def test_rules_with_paths_are_named() -> None:
    rule = "traefik.http.routers.a.rule"
    said = [
        sorted(web({"labels": {rule: f"Host(`a.test`) && PathPrefix(`{path}`)"}})[1].values())
        for path in ("/", "/api")
    ]
    assert ["Tagboat routes whole hosts, not paths" in one for one in said] == [False, True]


def test_what_can_be_there_only_once() -> None:
    rule = {"traefik.http.routers.a.rule": "Host(`shop.test`) && PathPrefix(`/api`)"}
    services: dict[str, dict[str, Any]] = {
        "Web_1": {"image": IMAGE, "labels": rule},
        "web-1": {"image": "nginx", "labels": rule, "volumes": ["a:/a", "b:/a"]},
        "worker": {"image": IMAGE, "command": "work"},
        "builds": {"build": "."},
        "bad": {"image": "Not/An Image"},
        "pinned": {"image": "redis@sha256:" + "0" * 64},
    }
    made = proposed(services)
    projects = made.document["projects"]
    assert list(projects) == ["web_1", "web-1_2", "pinned"]
    assert "domains" not in projects["web-1_2"]["stages"]["prod"]
    assert projects["web-1_2"]["stages"]["prod"]["tag_pattern"] == "latest"
    assert projects["pinned"]["stages"]["prod"]["tag_pattern"] == "*"
    said = {(note.service, note.key): note.reason for note in made.notes}
    assert "shop.test is a domain of Web_1" in said["web-1", "labels"]
    assert said["web-1", "volumes"] == "/a is mounted twice"
    assert "its image git.example.com/acme/shop is that of web_1" in said["worker", "image"]
    assert "build it in your CI" in said["builds", "image"]
    assert said["bad", "image"].startswith("left out: ")


def test_odd_shapes_are_notes_and_no_faults() -> None:
    odd: list[object] = [None, 1, "x", [], {}, [{}], {"a": []}, [[1]], True]
    for key in (
        *("ports", "expose", "environment", "env_file", "command", "entrypoint", "healthcheck"),
        *("volumes", "tmpfs", "networks", "secrets", "deploy", "pids_limit", "extra_hosts"),
        *("labels", "user", "cpus", "mem_limit", "stop_grace_period", "cap_add", "read_only"),
    ):
        for value in odd:
            made = proposed({"web": {"image": IMAGE, key: value}})
            assert made.document["projects"]["web"]["image"] == "git.example.com/acme/shop"
