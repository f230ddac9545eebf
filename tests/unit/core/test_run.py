"""What a deploy makes of what project and stage say, and when that counts as changed."""

from tagboat.core.run import KEEP_ENTRYPOINT, NO_OPTIONS, RunConfig, RunOptions
from tagboat.core.values import replace

PLAIN = RunConfig(port=8080, healthcheck="", env={"A": "1"})


def with_options(options: RunOptions) -> RunConfig:
    return replace(PLAIN, options=options)


def test_the_stage_goes_before_the_project_maps_are_merged_and_lists_joined() -> None:
    project = RunOptions(
        entrypoint=("a",),
        extra_hosts={"db": "10.0.0.1", "mq": "10.0.0.2"},
        shm_size=1 << 20,
        init=True,
        tmpfs={"/tmp": "", "/run": ""},  # noqa: S108 - in the container
        read_only=True,
        cap_add=("NET_ADMIN",),
        devices=("/dev/a:/dev/a:rwm",),
        binds=("/srv/a:/a",),
        publish=("127.0.0.1:53:53/udp",),
        release_timeout_s=60,
    )
    stage = RunOptions(
        entrypoint=KEEP_ENTRYPOINT,
        extra_hosts={"db": "host-gateway"},
        init=False,
        tmpfs={"/tmp": "size=1m"},  # noqa: S108 - in the container
        read_only=False,
        cap_add=("IPC_LOCK", "NET_ADMIN"),
        devices=("/dev/b:/dev/b:r",),
        binds=("/srv/b:/b:ro",),
        publish=("0.0.0.0:54:54/tcp",),
    )
    merged = stage.over(project)
    assert merged == RunOptions(
        entrypoint="image",
        extra_hosts={"db": "host-gateway", "mq": "10.0.0.2"},
        shm_size=1 << 20,
        init=False,
        tmpfs={"/tmp": "size=1m", "/run": ""},  # noqa: S108 - in the container
        read_only=False,
        cap_add=("NET_ADMIN", "IPC_LOCK"),
        devices=("/dev/a:/dev/a:rwm", "/dev/b:/dev/b:r"),
        binds=("/srv/a:/a", "/srv/b:/b:ro"),
        publish=("127.0.0.1:53:53/udp", "0.0.0.0:54:54/tcp"),
        release_timeout_s=60,
    )
    assert NO_OPTIONS.over(project) == project


def test_the_fingerprints_of_what_runs_since_before_there_were_newer_options_hold() -> None:
    assert PLAIN.fingerprint == "d871ea864832c803"
    assert (
        with_options(RunOptions(memory=64 << 20, command=("serve",))).fingerprint
        == "5fc5d41523127c2c"
    )


def test_what_is_not_said_is_no_part_of_the_fingerprint() -> None:
    options = RunOptions(memory=64 << 20)
    for name in ("entrypoint", "tmpfs", "init", "publish", "release_timeout_s"):
        assert name not in options.said
    assert with_options(RunOptions(init=False)).fingerprint != PLAIN.fingerprint
    assert (
        with_options(replace(options, init=True)).fingerprint != with_options(options).fingerprint
    )
    assert (
        with_options(replace(options, entrypoint="image")).fingerprint
        != with_options(options).fingerprint
    )


def test_the_image_says_its_volumes_itself() -> None:
    assert replace(PLAIN, image_volumes=("/data",)).fingerprint == PLAIN.fingerprint
