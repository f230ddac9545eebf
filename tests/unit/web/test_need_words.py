import pytest

from tagboat.core.delivery import Named
from tagboat.core.values import replace
from tagboat.operations.queries.needs import Need, NeedKind, NeedTarget
from tagboat.web.messages import Tone
from tagboat.web.need_words import need_line, need_path

NEED = Need(
    kind=NeedKind.FAILED,
    project=Named("p", "shop"),
    stage=Named("s", "prod"),
    sentence="it failed",
    todo="look",
    target=NeedTarget.DEPLOY,
    target_id="d1",
)


@pytest.mark.parametrize(
    ("kind", "target", "path"),
    [
        (NeedKind.FAILED, NeedTarget.DEPLOY, "/deploys/d1"),
        (NeedKind.HELD, NeedTarget.STAGE, "/projects/shop/prod"),
        (NeedKind.SENDER, NeedTarget.DELIVERY, "/deliveries/d1"),
        (NeedKind.SILENT, NeedTarget.REGISTRY, "/connect"),
        (NeedKind.REGISTRY, NeedTarget.REGISTRY, "/registries"),
        (NeedKind.DISK, NeedTarget.DISK, None),
    ],
)
def test_each_need_leads_where_it_can_be_dealt_with(
    kind: NeedKind, target: NeedTarget, path: str | None
) -> None:
    assert need_path(replace(NEED, kind=kind, target=target)) == path


def test_a_line_begins_with_a_capital_unless_a_name_stands_before_it() -> None:
    assert need_line(NEED).sentence == "it failed"
    assert need_line(replace(NEED, project=None, stage=None)).sentence == "It failed"


def test_what_is_broken_is_red_and_what_waits_is_yellow() -> None:
    tones = {kind: need_line(replace(NEED, kind=kind)).tone for kind in NeedKind}
    assert {kind for kind, tone in tones.items() if tone is Tone.BAD} == {
        NeedKind.FAILED,
        NeedKind.UNHEALTHY,
        NeedKind.DISK,
    }
