"""Changes of maps, while somebody else changes the same."""

from collections.abc import Mapping

import pytest

from tagboat.cli.client import ApiObject, Client
from tagboat.cli.context import ServerAddress
from tagboat.cli.run_maps import MapHolder, change_maps, names_in_words
from tagboat.core.errors import TagboatError
from tests.unit.cli.fake_server import PROJECT, STAGE, TOKEN, FakeServer, Said, problem

HOLDER = MapHolder(ApiObject(PROJECT), ApiObject(STAGE))
STALE = problem(412, "it was changed since you read it: env; read it again")


@pytest.fixture
def client(server: FakeServer) -> Client:
    return Client(ServerAddress(server.url, TOKEN, "TAGBOAT_URL"))


def test_the_version_that_was_read_is_the_one_that_is_changed(
    client: Client, server: FakeServer
) -> None:
    change_maps(client, HOLDER, lambda _: {"env": {"A": "1"}})
    assert server.asked[-1].headers["if-match"] == '"one"'


def test_a_change_meanwhile_is_planned_again(client: Client, server: FakeServer) -> None:
    seen = []

    def plan(now: ApiObject) -> Mapping[str, Mapping[str, str | None]]:
        seen.append(now["env"])
        return {"env": {"A": "1"}}

    server.answers["GET /api/stages/s1"] = [
        Said(STAGE, headers={"etag": '"one"'}),
        Said(STAGE | {"env": {"B": "2"}}, headers={"etag": '"two"'}),
    ]
    server.answers["PATCH /api/stages/s1"] = [STALE, STAGE]
    change_maps(client, HOLDER, plan)
    assert seen == [STAGE["env"], {"B": "2"}]
    matched = [one.headers.get("if-match") for one in server.asked if "PATCH" in one.call]
    assert matched == ['"one"', '"two"']


def test_changes_without_end_are_given_up(client: Client, server: FakeServer) -> None:
    server.answers["PATCH /api/stages/s1"] = STALE
    with pytest.raises(TagboatError, match=r"^app dev was changed by others .* Run the command"):
        change_maps(client, HOLDER, lambda _: {"env": {"A": "1"}})
    assert len(server.calls("PATCH")) == 5


def test_an_empty_plan_asks_for_nothing(client: Client, server: FakeServer) -> None:
    assert change_maps(client, HOLDER, lambda _: {"env": {}}) == STAGE
    assert server.calls("PATCH") == []


@pytest.mark.parametrize(
    ("number", "words"), [(1, "0"), (2, "0 and 1"), (3, "0, 1 and 2"), (25, "18, 19 and 5 more")]
)
def test_names_make_a_part_of_a_sentence(number: int, words: str) -> None:
    assert names_in_words([str(one) for one in range(number)]).endswith(words)
