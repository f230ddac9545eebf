"""How apps are run, as projects and stages are told over HTTP: what is taken, what is shown,
what is refused.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from tagboat.core.catalog import run_config
from tagboat.core.run import RunConfig
from tagboat.core.values import replace
from tagboat.host_paths import host_paths
from tests.support.api import UNSAID, Api, running_api

pytestmark = pytest.mark.anyio

SAID: dict[str, object] = {
    "volumes": {"data": "/var/lib/data", "up.loads": "/srv/uploads"},
    "memory": 512 << 20,
    "cpus": 1.5,
    "pids": 200,
    "command": ["serve", "--port", "80", ""],
    "user": "1000:www-data",
    "networks": ["backend", "db_1"],
    "labels": {"traefik.http.routers.app.rule": "Host(`a`)", "x": ""},
    "stop_signal": "SIGINT",
    "stop_timeout_s": 0,
    "release_command": ["migrate", "--all"],
    "release_timeout_s": 86_400,
    "entrypoint": ["/init", "--"],
    "extra_hosts": {"db": "10.0.0.1", "host.docker.internal": "host-gateway"},
    "shm_size": 256 << 20,
    "init": True,
    "tmpfs": {"/tmp": "size=64m,mode=1777", "/run": ""},  # noqa: S108 - in the container
    "read_only": False,
    "cap_add": ["NET_ADMIN"],
    "publish": ["127.0.0.1:5353:53/udp"],
}


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with running_api(tmp_path) as api:
        yield api


async def project(api: Api, name: str = "app", /, **more: object) -> Any:  # noqa: ANN401 - JSON
    answer = await api.caller.post(
        "/api/projects", {"name": name, "image": f"git.example.com/acme/{name}", **more}
    )
    assert answer.status == 201, answer.body
    return answer.json


async def stage(api: Api, owner: Any, name: str = "dev", /, **more: object) -> Any:  # noqa: ANN401 - JSON
    body = {"name": name, "tag_pattern": f"{name}*", **more}
    answer = await api.caller.post(f"/api/projects/{owner['id']}/stages", body)
    assert answer.status == 201, answer.body
    return answer.json


def path_of(thing: Any) -> str:  # noqa: ANN401 - JSON
    return (
        f"/api/stages/{thing['id']}" if "tag_pattern" in thing else f"/api/projects/{thing['id']}"
    )


async def config(api: Api, owner: Any, lane: Any) -> RunConfig:  # noqa: ANN401 - JSON
    return await api.store.read(
        lambda reader: run_config(reader.project(owner["id"]), reader.stage(lane["id"]))
    )


@pytest.mark.parametrize("kind", ["project", "stage"])
async def test_everything_is_taken_and_shown_on_both_ways_in(api: Api, kind: str) -> None:
    made = (
        await project(api, **SAID)
        if kind == "project"
        else await stage(api, await project(api), **SAID)
    )
    nothing = {name: None if name in MAPS else UNSAID[name] for name in SAID}
    cleared = await api.caller.patch(path_of(made), nothing)
    changed = await api.caller.patch(path_of(made), SAID)

    assert made | SAID == made
    assert cleared.json | UNSAID == cleared.json
    assert changed.json == made
    assert changed.json.items() >= (await api.caller.get(path_of(made))).json.items()


MAPS = ("volumes", "labels", "extra_hosts", "tmpfs")


@pytest.mark.parametrize("kind", ["project", "stage"])
@pytest.mark.parametrize(
    ("field", "first", "second"),
    [
        ("env", ("A", "1"), ("B", "2")),
        ("volumes", ("data", "/data"), ("logs", "/logs")),
        ("labels", ("a", "1"), ("b", "2")),
        ("extra_hosts", ("db", "10.0.0.1"), ("mq", "10.0.0.2")),
        ("tmpfs", ("/tmp", "size=1m"), ("/cache", "")),  # noqa: S108 - in the container
    ],
)
async def test_maps_are_merged_and_null_removes(
    api: Api, kind: str, field: str, first: tuple[str, str], second: tuple[str, str]
) -> None:
    owner = await project(api)
    made = owner if kind == "project" else await stage(api, owner)

    async def patched(changes: object) -> object:
        answer = await api.caller.patch(path_of(made), {field: changes})
        assert answer.status == 200, answer.json
        return answer.json[field]

    assert await patched(dict([first])) == dict([first])
    assert await patched(dict([second])) == dict([first, second])
    assert await patched({first[0]: None, "/gone" if field == "tmpfs" else "gone": None}) == dict(
        [second]
    )
    assert await patched({}) == dict([second])
    assert await patched(None) == {}


async def test_a_merged_map_keeps_to_the_limits(api: Api) -> None:
    made = await project(api, env={f"A{number}": "" for number in range(150)})
    path = path_of(made)
    over = await api.caller.patch(path, {"env": {f"B{number}": "" for number in range(51)}})
    assert over.json["errors"] == [
        {"field": "env", "message": "would be 201 with those there are; at most 200"}
    ]
    await api.caller.patch(path, {"volumes": {"a": "/data"}})
    same = await api.caller.patch(path, {"volumes": {"b": "/data"}})
    assert (same.status, same.json["errors"][0]["field"]) == (422, "volumes")
    moved = await api.caller.patch(path, {"volumes": {"a": None, "b": "/data"}})
    assert moved.json["volumes"] == {"b": "/data"}


async def test_what_is_not_named_stays(api: Api) -> None:
    made = await project(api, **SAID, secrets={"A": "a"})

    changed = (await api.caller.patch(path_of(made), {"pids": 7})).json

    assert changed == made | {"pids": 7}


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (6 << 20, 6291456),
        ("6m", 6291456),
        ("512m", 536870912),
        ("512M", 536870912),
        ("512MiB", 536870912),
        ("1.5g", 1610612736),
        ("1.5 GB", 1610612736),
        ("8388608", 8388608),
        ("8192k", 8388608),
        (8388608.0, 8388608),
        ("1024t", 1 << 50),
        (0, 0),
        ("0", 0),
    ],
)
async def test_memory_may_be_written_as_people_do(api: Api, given: object, shown: int) -> None:
    assert (await project(api, memory=given))["memory"] == shown


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("SIGTERM", "SIGTERM"),
        ("INT", "SIGINT"),
        ("sigquit", "SIGQUIT"),
        ("15", "SIGTERM"),
        (9, "SIGKILL"),
        (40, "40"),
        ("", ""),
    ],
)
async def test_signals_may_be_named_or_numbered(api: Api, given: object, shown: str) -> None:
    assert (await project(api, stop_signal=given))["stop_signal"] == shown


async def test_a_path_loses_its_last_slash_and_networks_their_repeats(api: Api) -> None:
    made = await project(api, volumes={"data": "/data/"}, networks=["db", "db"])

    assert (made["volumes"], made["networks"]) == ({"data": "/data"}, ["db"])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("secrets", {"A=B": "x"}),
        ("secrets", {"A\u0000": "x"}),
        ("secrets", {"A" * 256: "x"}),
        ("secrets", {"": "x"}),
        ("secrets", {"A": 1}),
        ("secrets", {"A": "x\u0000"}),
        ("secrets", {"A": "x" * 32769}),
        ("secrets", ["A"]),
        ("secrets", {f"A{number}": "" for number in range(201)}),
        ("secret_files", {"../x": "x"}),
        ("secret_files", {"..": "x"}),
        ("secret_files", {".": "x"}),
        ("secret_files", {"a/b": "x"}),
        ("secret_files", {"": "x"}),
        ("secret_files", {"a..b": "x"}),
        ("secret_files", {"a" * 256: "x"}),
        ("secret_files", {"a": "x" * (512 * 1024 + 1)}),
        ("volumes", {"data": "data"}),
        ("volumes", {"data": ""}),
        ("volumes", {"data": "/"}),
        ("volumes", {"data": "/a/../b"}),
        ("volumes", {"data": "/.."}),
        ("volumes", {"data": "/a/./b"}),
        ("volumes", {"data": "//a"}),
        ("volumes", {"data": "/a:ro"}),
        ("volumes", {"data": "/a,b"}),
        ("volumes", {"data": "/proc"}),
        ("volumes", {"data": "/sys/fs"}),
        ("volumes", {"data": "/dev/"}),
        ("volumes", {"data": "/run/secrets"}),
        ("volumes", {"data": "/run/secrets/x"}),
        ("volumes", {"data": "/run"}),
        ("volumes", {"data": "/" + "a" * 255}),
        ("volumes", {"a": "/data", "b": "/data"}),
        ("volumes", {"a": "/data", "b": "/data/"}),
        ("volumes", {"a/b": "/data"}),
        ("volumes", {"": "/data"}),
        ("memory", 1),
        ("memory", (6 << 20) - 1),
        ("memory", "5m"),
        ("memory", "2048t"),
        ("memory", -1),
        ("memory", "a lot"),
        ("memory", "1..5g"),
        ("memory", "-1g"),
        ("memory", True),
        ("memory", None),
        ("memory", 2**70),
        ("cpus", -1),
        ("cpus", 0.001),
        ("cpus", 1024.5),
        ("cpus", "2"),
        ("cpus", True),
        ("cpus", None),
        ("pids", -1),
        ("pids", 2**22 + 1),
        ("pids", 1.5),
        ("command", "serve"),
        ("command", ["", "x"]),
        ("command", [1]),
        ("command", ["x\u0000"]),
        ("command", ["x"] * 201),
        ("command", ["x" * 4097]),
        ("release_command", ["", "x"]),
        ("release_command", None),
        ("release_timeout_s", 0),
        ("release_timeout_s", 86_401),
        ("release_timeout_s", "60"),
        ("entrypoint", "imag"),
        ("entrypoint", ["", "x"]),
        ("entrypoint", [1]),
        ("entrypoint", None),
        ("extra_hosts", {"a b": "10.0.0.1"}),
        ("extra_hosts", {"db": "db.example.com"}),
        ("extra_hosts", {"db": "10.0.0.1\n"}),
        ("extra_hosts", {"": "10.0.0.1"}),
        ("shm_size", 1),
        ("shm_size", "lots"),
        ("shm_size", -1),
        ("init", "yes"),
        ("init", 1),
        ("read_only", "true"),
        ("tmpfs", {"/": ""}),
        ("tmpfs", {"/proc": ""}),
        ("tmpfs", {"data": ""}),
        ("tmpfs", {"/a": "size=lots"}),
        ("tmpfs", {"/a": "suid"}),
        ("tmpfs", {"/a": "size=1m", "/a/": "size=2m"}),
        ("cap_add", ["ALL"]),
        ("cap_add", ["all"]),
        ("cap_add", ["CAP_SYS_ADMIN"]),
        ("cap_add", ["SYS_MODULE"]),
        ("cap_add", ["FLY"]),
        ("cap_add", [""]),
        ("cap_add", "NET_ADMIN"),
        ("devices", ["/dev/kvm"]),
        ("devices", ["/srv/a"]),
        ("devices", ["/dev/../etc"]),
        ("binds", ["/srv/a:/a"]),
        ("binds", ["/:/host"]),
        ("binds", ["/var/run/docker.sock:/var/run/docker.sock"]),
        ("binds", ["/srv/a:/proc"]),
        ("binds", ["data:/a"]),
        ("binds", ["/srv/../etc:/a"]),
        ("binds", None),
        ("publish", ["80"]),
        ("publish", ["0:80"]),
        ("publish", ["80:80/sctp"]),
        ("publish", [80]),
        ("user", "a b"),
        ("user", ":1"),
        ("user", "a:b:c"),
        ("networks", ["host"]),
        ("networks", ["none"]),
        ("networks", ["bridge"]),
        ("networks", ["container:x"]),
        ("networks", ["n"] * 21),
        ("networks", "db"),
        ("labels", {"tagboat.managed": "false"}),
        ("labels", {"tagboat.anything": "x"}),
        ("labels", {"a b": "x"}),
        ("labels", {"a=b": "x"}),
        ("labels", {"a": 1}),
        ("stop_signal", "SIGNAL"),
        ("stop_signal", "0"),
        ("stop_signal", 65),
        ("stop_signal", "15x"),
        ("stop_signal", True),
        ("stop_signal", None),
        ("stop_timeout_s", -1),
        ("stop_timeout_s", 3601),
        ("stop_timeout_s", "30"),
    ],
)
async def test_what_cannot_work_is_refused_and_named(api: Api, field: str, value: object) -> None:
    owner = await project(api)
    lane = await stage(api, owner)

    answers = [
        await api.caller.post(
            "/api/projects", {"name": "x", "image": "git.example.com/acme/x", field: value}
        ),
        await api.caller.patch(path_of(owner), {field: value}),
        await api.caller.post(
            f"/api/projects/{owner['id']}/stages", {"name": "x", "tag_pattern": "x", field: value}
        ),
        await api.caller.patch(path_of(lane), {field: value}),
    ]

    for answer in answers:
        assert answer.status == 422, answer.body
        assert answer.json["errors"][0]["field"].partition(".")[0] == field
        assert answer.json["errors"][0]["message"]
    assert (await api.caller.get(path_of(owner))).json == owner
    saved: dict[str, object] = {
        "warnings": [],
        "preview": None,
    }  # only an answer to a change has these
    assert (await api.caller.get(path_of(lane))).json | saved == lane


async def test_numbers_that_are_none_are_refused(api: Api) -> None:
    body = b'{"name": "x", "image": "git.example.com/acme/x", "cpus": NaN}'

    answer = await api.caller.post("/api/projects", body)

    assert (answer.status, answer.json["errors"][0]["field"]) == (422, "cpus")


# Secrets go in and never come out.


async def test_secrets_are_merged_by_name_and_shown_by_name_only(api: Api) -> None:
    owner = await project(
        api,
        secrets={"TOKEN": "s3cr3t-1", "KEY": "s3cr3t-2", "GONE": None},
        secret_files={"tls.key": "s3cr3t-3"},
    )
    lane = await stage(api, owner, secrets={"TOKEN": "s3cr3t-4"})

    changed = await api.caller.patch(
        path_of(owner),
        {"secrets": {"KEY": None, "NEW": "s3cr3t-5"}, "secret_files": {".env": "s3cr3t-6"}},
    )

    assert (owner["secrets"], owner["secret_files"], lane["secrets"]) == (
        ["KEY", "TOKEN"],
        ["tls.key"],
        ["TOKEN"],
    )
    assert (changed.json["secrets"], changed.json["secret_files"]) == (
        ["NEW", "TOKEN"],
        [".env", "tls.key"],
    )
    options = (await config(api, owner, lane)).options
    assert options.secrets == {"TOKEN": "s3cr3t-4", "NEW": "s3cr3t-5"}
    assert options.secret_files == {"tls.key": "s3cr3t-3", ".env": "s3cr3t-6"}
    for path in ("/api/projects", path_of(owner), f"{path_of(owner)}/stages", path_of(lane)):
        assert b"s3cr3t" not in (await api.caller.get(path)).body


async def test_the_merged_secrets_have_a_limit_too(api: Api) -> None:
    owner = await project(api, secrets={f"A{number}": "" for number in range(200)})

    refused = await api.caller.patch(path_of(owner), {"secrets": {"B": ""}})
    swapped = await api.caller.patch(path_of(owner), {"secrets": {"B": "", "A0": None}})

    assert (refused.status, refused.json["detail"]) == (
        422,
        "secrets: would be 201 with those there are; at most 200",
    )
    assert (swapped.status, len(swapped.json["secrets"])) == (200, 200)


@pytest.mark.parametrize(
    "body",
    [
        {"secrets": {"TOKEN=not-to-be-seen": "x"}},
        {"secrets": {"TOKEN": "not-to-be-seen\u0000"}},
        {"secrets": {"TOKEN": {"value": "not-to-be-seen"}}},
        {"secrets": "not-to-be-seen"},
        {"secret_files": {"/not-to-be-seen": "x"}},
        {"secret_files": {"key": ["not-to-be-seen"]}},
        {"secrets": {"TOKEN": "not-to-be-seen"}, "env": {"TOKEN": ""}},
        {"secrets": {"TOKEN": "not-to-be-seen"}, "memory": 1},
        {"secrets": {"TOKEN": "not-to-be-seen"}},
    ],
)
async def test_no_answer_and_no_log_shows_a_secret(tmp_path: Path, body: dict[str, object]) -> None:
    with structlog.testing.capture_logs() as lines, running_api(tmp_path) as api:
        owner = await project(api)
        made = await api.caller.post(
            "/api/projects", {"name": "x", "image": "git.example.com/acme/x", **body}
        )
        changed = await api.caller.patch(path_of(owner), body)

    assert len(lines) == 3
    assert b"not-to-be-seen" not in made.body + changed.body
    assert "not-to-be-seen" not in json.dumps(lines, default=str)


async def test_a_secret_that_is_in_env_too_is_refused_wherever_the_two_meet(api: Api) -> None:
    both = {"env": {"A": "1"}, "secrets": {"A": "2"}}
    owner = await project(api, env={"OPEN": "1"}, secrets={"CLOSED": "2"})
    lane = await stage(api, owner, env={"LANE": "1"})

    within = await api.caller.patch(path_of(owner), both)
    below = await api.caller.patch(path_of(lane), {"env": {"CLOSED": "3"}})
    above = await api.caller.patch(path_of(owner), {"secrets": {"LANE": "3"}})
    new = await api.caller.post(
        f"{path_of(owner)}/stages", {"name": "x", "tag_pattern": "x", "secrets": {"OPEN": "3"}}
    )

    said = [answer.json["detail"] for answer in (within, below, above, new)]
    assert said == [
        "secrets: A is a secret of the project and in env of the project; leave one of the two out",
        (
            "secrets: CLOSED is a secret of the project and in env of the stage dev; leave "
            "one of the two out"
        ),
        (
            "secrets: LANE is a secret of the project and in env of the stage dev; leave "
            "one of the two out"
        ),
        (
            "secrets: OPEN is a secret of the stage x and in env of the project; leave one "
            "of the two out"
        ),
    ]
    changes = {"env": {"OPEN": None}, "secrets": {"OPEN": "1"}}
    moved = await api.caller.patch(path_of(owner), changes)
    assert moved.status == 200


# What cannot work together.


async def test_two_volumes_of_project_and_stage_cannot_have_one_path(api: Api) -> None:
    owner = await project(api, volumes={"a": "/data"})

    refused = await api.caller.post(
        f"{path_of(owner)}/stages", {"name": "dev", "tag_pattern": "*", "volumes": {"b": "/data"}}
    )
    lane = await stage(api, owner, volumes={"a": "/data", "b": "/more"})
    later = await api.caller.patch(path_of(owner), {"volumes": {"c": "/more"}})

    assert (
        refused.json["detail"]
        == "volumes: a and b, of the project and the stage dev, both have the path /data"
    )
    assert (later.status, later.json["errors"][0]["field"]) == (422, "volumes")
    assert (await config(api, owner, lane)).options.volumes == {"a": "/data", "b": "/more"}


async def test_what_cannot_run_twice_has_one_instance(api: Api) -> None:
    owner = await project(api)
    lane = await stage(api, owner, strategy="recreate")
    several = await stage(api, owner, "pr", max_instances=5)

    answers = [
        await api.caller.patch(path_of(lane), {"max_instances": 2}),
        await api.caller.patch(path_of(several), {"strategy": "recreate"}),
        await api.caller.post(
            f"{path_of(owner)}/stages",
            {"name": "x", "tag_pattern": "x", "strategy": "recreate", "max_instances": 2},
        ),
    ]

    for answer in answers:
        assert answer.status == 422
        assert (
            answer.json["detail"]
            == "strategy: recreate is for an app that cannot run twice; it needs max_instances 1"
        )


async def test_the_only_instance_is_not_taken_away_by_its_age(api: Api) -> None:
    owner = await project(api)
    lane = await stage(api, owner, max_instances=2, ttl_h=48)

    refused = await api.caller.patch(path_of(lane), {"max_instances": 1})
    new = await api.caller.post(
        f"{path_of(owner)}/stages", {"name": "x", "tag_pattern": "x", "ttl_h": 1}
    )
    cleared = await api.caller.patch(path_of(lane), {"max_instances": 1, "ttl_h": None})

    assert (refused.status, new.status, cleared.status) == (422, 422, 200)
    assert refused.json["errors"][0]["field"] == "ttl_h"
    assert (lane["ttl_h"], cleared.json["ttl_h"]) == (48, None)


# What of the machine an app may be given.


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "root"
    (made / "app").mkdir(parents=True)
    (made / "out").symlink_to("/etc")
    return made


@pytest.fixture
def allowing(tmp_path: Path, root: Path) -> Iterator[Api]:
    """The API of a server that allows paths below `root`, and one device."""
    data = tmp_path / "data"
    data.mkdir()
    paths = host_paths((str(root), "/dev/null"), "unix:///var/run/docker.sock", data)
    with running_api(data, host_path=paths.where) as api:
        yield api


async def test_paths_below_the_roots_are_taken_and_shown_as_they_are_meant(
    allowing: Api, root: Path
) -> None:
    made = await project(
        allowing, binds=[f"{root}/app/:/a:ro", f"{root}/app:/b:rw"], devices=["/dev/null"]
    )
    assert (made["binds"], made["devices"]) == (
        [f"{root}/app:/a:ro", f"{root}/app:/b"],
        ["/dev/null:/dev/null:rwm"],
    )
    lane = await stage(allowing, made, binds=[f"{root}:/c:ro"])
    assert (await config(allowing, made, lane)).options.binds == (
        f"{root}/app:/a:ro",
        f"{root}/app:/b",
        f"{root}:/c:ro",
    )


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("binds", "/etc:/a", "/etc is not below a path that TAGBOAT_BIND_ROOTS allows: "),
        (
            "binds",
            "ROOT/out:/a",
            "/out, which leads to /etc, is not below a path that TAGBOAT_BIND_ROOTS allows: ",
        ),
        ("binds", "ROOT/out/ssh:/a", "which leads to /etc/ssh, is not below"),
        ("binds", "/run/docker.sock:/a", "/run/docker.sock is not below"),
        ("devices", "/dev/kvm", "/dev/kvm is not below"),
    ],
)
async def test_other_paths_are_refused_with_the_reason(
    allowing: Api, root: Path, field: str, value: str, says: str
) -> None:
    owner = await project(allowing)
    lane = await stage(allowing, owner)
    for thing in (owner, lane):
        answer = await allowing.caller.patch(
            path_of(thing), {field: [value.replace("ROOT", str(root))]}
        )
        assert (answer.status, answer.json["errors"][0]["field"]) == (422, field)
        assert says in answer.json["detail"]


async def test_without_roots_the_refusal_names_the_setting(api: Api) -> None:
    answer = await api.caller.patch(path_of(await project(api)), {"binds": ["/srv/a:/a"]})
    assert answer.json["detail"] == (
        "binds: /srv/a is a path of the server's host, and none is allowed; an "
        "administrator of the server can allow some with"
        " TAGBOAT_BIND_ROOTS"
    )


async def test_paths_allowed_once_keep_nobody_from_changing_something_else(
    allowing: Api, root: Path
) -> None:
    made = await project(allowing, binds=[f"{root}/app:/a"])
    (root / "app").rmdir()
    (root / "app").symlink_to("/etc")
    assert (await allowing.caller.patch(path_of(made), {"memory": "64m"})).status == 200
    again = await allowing.caller.patch(
        path_of(made), {"binds": [f"{root}/app:/a", f"{root}/app:/b"]}
    )
    assert (again.status, again.json["errors"][0]["field"]) == (422, "binds")


# What cannot be mounted, published or overlap together.


@pytest.mark.parametrize(
    ("ours", "theirs", "field"),
    [
        ({"volumes": {"a": "/a"}}, {"tmpfs": {"/a": ""}}, "tmpfs"),
        ({"secret_files": {"k": "v"}}, {"read_only": True}, "read_only"),
        ({"secret_files": {"k": "v"}}, {"tmpfs": {"/run": ""}}, "tmpfs"),
        ({"publish": ["80:80"]}, {"max_instances": 2}, "publish"),
        ({"publish": ["80:80"]}, {"strategy": "rolling"}, "publish"),
    ],
)
async def test_what_cannot_be_had_together_is_refused(
    api: Api,
    ours: Any,  # noqa: ANN401 - JSON
    theirs: Any,  # noqa: ANN401 - JSON
    field: str,
) -> None:
    owner = await project(api, **ours)
    body = {"name": "dev", "tag_pattern": "*", **theirs}
    answer = await api.caller.post(f"{path_of(owner)}/stages", body)
    assert (answer.status, answer.json["errors"][0]["field"]) == (422, field)
    assert (
        await api.caller.post(f"{path_of(owner)}/stages", {"name": "dev", "tag_pattern": "*"})
    ).status == 201


async def test_the_strategy_in_force_is_shown_beside_the_one_that_was_set(api: Api) -> None:
    owner = await project(api)
    lane = await stage(api, owner)
    seen = [(lane["strategy"], lane["strategy_in_force"], lane["warnings"])]
    for change in (
        {"volumes": {"a": "/a"}},
        {"strategy": "rolling"},
        {"strategy": None},
        {"volumes": {}, "strategy": "recreate"},
    ):
        saved = (await api.caller.patch(path_of(lane), change)).json
        seen.append((saved["strategy"], saved["strategy_in_force"], saved["warnings"]))
    warning = (
        "the strategy is rolling, so at each deploy old and new instance write at once "
        "to what is at /a;"
        " with strategy null the old one stops first"
    )
    assert seen == [
        (None, "rolling", []),
        (None, "recreate", []),
        ("rolling", "rolling", [warning]),
        (None, "recreate", []),
        ("recreate", "recreate", []),
    ]


async def test_what_the_image_keeps_decides_too(api: Api) -> None:
    owner = await project(api)
    lane = await stage(api, owner)
    await api.store.write(
        lambda tx: tx.put_stage(replace(tx.stage(lane["id"]), image_volumes=("/data",)))
    )
    assert (await api.caller.get(path_of(lane))).json["strategy_in_force"] == "recreate"
    several = (await api.caller.patch(path_of(lane), {"max_instances": 3})).json
    assert several["strategy_in_force"] == "rolling"
    assert several["warnings"] == [
        "all instances of the stage, up to 3, share what is at /data, and write to it at once"
    ]
    kept = (
        await api.caller.patch(path_of(lane), {"max_instances": 1, "tmpfs": {"/data": ""}})
    ).json
    assert (kept["strategy_in_force"], kept["warnings"]) == ("rolling", [])


@pytest.mark.parametrize(
    "name", ["discovery.type", "MY-VAR", "ConnectionStrings:Main", "1A", "a b", "größe"]
)
async def test_a_variable_may_have_any_name_that_the_engine_takes(api: Api, name: str) -> None:
    made = await project(api, env={name: "x"})
    assert made["env"] == {name: "x"}
    assert (await project(api, "other", secrets={name: "x"}))["secrets"] == [name]
    both = await api.caller.patch(path_of(made), {"secrets": {name: "x"}})
    assert (both.status, both.json["errors"][0]["field"]) == (422, "secrets")


async def test_the_images_own_entrypoint_may_be_kept(api: Api) -> None:
    made = await project(api, entrypoint="image", command=["--port", "80"])
    assert made["entrypoint"] == "image"
    lane = await stage(api, made, entrypoint=["/init"])
    assert (await config(api, made, lane)).options.entrypoint == ("/init",)
    assert (await api.caller.patch(path_of(made), {"entrypoint": []})).json["entrypoint"] == []
