"""Which tags of a target are looked up."""

from datetime import UTC, datetime
from typing import cast

from tagboat.core.catalog import Project, Registry, RegistryKind, Stage
from tagboat.core.deploy import Instance, InstanceState
from tagboat.core.image import Digest, ImageName
from tagboat.core.polling import PollState
from tagboat.core.ports import TagSource
from tagboat.core.tags import parse_tag_pattern
from tagboat.polling.fingerprints import PollFingerprint
from tagboat.polling.target import PollTarget
from tests.support.endpoints import at

NOW = datetime(2026, 11, 24, tzinfo=UTC)
DIGEST = Digest("sha256:" + "a" * 64)
PROJECT = Project(
    id="p", name="app", image=ImageName("git.example.com", "acme/app"), created_at=NOW
)


def target(
    *patterns: str,
    live: str = "v1",
    registry: Registry | None = None,
    fingerprint: PollFingerprint | None = None,
) -> PollTarget:
    return PollTarget(
        project=PROJECT,
        registry=registry,
        live=[
            Instance(
                id="i",
                project_id="p",
                stage_id="dev",
                deploy_id="d",
                tag=live,
                digest=DIGEST,
                container="c",
                endpoints=(at(1),),
                fingerprint="f",
                state=InstanceState.LIVE,
                started_at=NOW,
            )
        ],
        state=PollState(project_id="p"),
        source=cast("TagSource", None),
        stages=[
            Stage(
                id=text, project_id="p", name=text, pattern=parse_tag_pattern(text), created_at=NOW
            )
            for text in patterns
        ],
        fingerprint=fingerprint,
    )


def test_live_tags_and_those_that_a_pattern_names_are_watched() -> None:
    assert target("latest", "v1", "v*").watched == ["v1", "latest"]


def test_a_fingerprint_stands_in_for_the_stages() -> None:
    assert target(fingerprint=PollFingerprint(b"", ("latest",))).watched == ["v1", "latest"]


def test_on_gitea_a_pattern_that_names_a_tag_in_upper_case_names_none() -> None:
    gitea = Registry(id="r", name="r", url="https://git.example.com", kind=RegistryKind.GITEA)
    assert target("Latest", registry=gitea).watched == ["v1"]


def test_a_fingerprint_tells_whether_anything_has_changed() -> None:
    subject = target(fingerprint=target().new_fingerprint(["v1"], {"v1": DIGEST}))
    assert not subject.has_changes(["v1"], {"v1": DIGEST}, complete=True)
    assert subject.has_changes(["v1", "v2"], {"v1": DIGEST}, complete=True)
    assert subject.has_changes(["v1"], {}, complete=True)
