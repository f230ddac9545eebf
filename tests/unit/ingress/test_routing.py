import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagboat.core.protocol import AppProtocol
from tagboat.core.route import Route, RouteState
from tagboat.ingress.routing import (
    changed_map,
    changes,
    map_file,
    parse_got_map,
    parse_shown_map,
    refusals,
    routing_map,
)
from tests.support.endpoints import target

HOSTS = st.from_regex(r"[a-z0-9]([a-z0-9._-]{0,20}[a-z0-9])?", fullmatch=True)
MAPS = st.dictionaries(HOSTS, st.sampled_from(["20000", "20001", "held", "none"]), max_size=8)


def test_a_map_says_where_each_host_leads() -> None:
    routes = [
        Route("b.localhost", RouteState.OPEN, target(20001)),
        Route("a.localhost", RouteState.HELD),
        Route("c_1.localhost", RouteState.NONE),
    ]
    assert (
        map_file(routing_map(routes)) == "a.localhost held\nb.localhost 20001\nc_1.localhost none\n"
    )


def test_no_routes_are_an_empty_file() -> None:
    assert map_file(routing_map([])) == ""


@pytest.mark.parametrize(
    "host", ["", "A", "a b", "a\n", "a;b", "a#b", "-a", "a.", "é", "a" * 254, "*.localhost", "a:80"]
)
def test_what_cannot_be_a_host(host: str) -> None:
    routes = [
        Route("a", RouteState.NONE),
        Route(host, RouteState.NONE),
        Route("b", RouteState.NONE),
    ]
    made, refused = routing_map(routes), refusals(routes)
    assert made == {"a": "none", "b": "none"}
    assert ["cannot be a route's host" in why for why in refused] == [True]


def test_what_is_no_http_has_its_protocol_beside_its_port() -> None:
    routes = [
        Route(protocol.value, RouteState.OPEN, target(20001), protocol) for protocol in AppProtocol
    ]
    assert map_file(routing_map(routes)) == "h2c 20001/h2c\nhttp 20001\nhttps 20001/https\n"


@pytest.mark.parametrize("port", [-1, 0, 65536])
def test_what_cannot_be_a_port(port: int) -> None:
    routes = [Route("a", RouteState.OPEN, target(port)), Route("b", RouteState.OPEN, target(1))]
    made, refused = routing_map(routes), refusals(routes)
    assert made == {"b": "1"}
    assert [f"leads to port {port}" in why for why in refused] == [True]


def test_a_host_is_claimed_once() -> None:
    routes = [Route("a", RouteState.NONE), Route("a", RouteState.HELD)]
    made, refused = routing_map(routes), refusals(routes)
    assert (made, refused) == ({"a": "none"}, ["two routes claim the host a"])


def test_haproxys_answer() -> None:
    assert parse_shown_map("0x55aa a.localhost 20001\n0x55ab b.localhost held\n\n") == {
        "a.localhost": "20001",
        "b.localhost": "held",
    }
    assert parse_shown_map("\n") == {}


@pytest.mark.parametrize("text", ["Unknown map identifier.\n", "0x55aa a.localhost\n", "a b c\n"])
def test_what_is_no_answer(text: str) -> None:
    assert parse_shown_map(text) is None


@given(in_force=MAPS, wanted=MAPS)
def test_the_changes_lead_from_any_map_to_any_other(
    in_force: dict[str, str], wanted: dict[str, str]
) -> None:
    obeyed = dict(in_force)
    for command in changes(in_force, wanted):
        verb, word, file, host, *way = command.split(" ")
        assert (word, file) == ("map", "routes.map")
        assert (host in obeyed) == (verb != "add"), (
            "HAProxy would refuse it, or hold the host twice"
        )
        if verb == "del":
            del obeyed[host]
        else:
            (obeyed[host],) = way
    assert obeyed == wanted
    assert len(changes(in_force, wanted)) <= len(in_force.keys() | wanted.keys())


@given(wanted=MAPS)
def test_what_is_in_force_needs_no_change(wanted: dict[str, str]) -> None:
    assert changes(wanted, dict(wanted)) == []


GOT = (
    'type=str, case=sensitive, found=yes, idx=tree, key="a.localhost", value="20001", '
    'type="str"\n\n'
    "type=str, case=sensitive, found=no\n\n"
    'type=str, case=sensitive, found=yes, idx=tree, key="c.localhost", value="held", type="str"\n\n'
)


def test_what_haproxy_says_of_some_hosts() -> None:
    hosts = ["a.localhost", "b.localhost", "c.localhost"]
    assert parse_got_map(GOT, hosts) == {"a.localhost": "20001", "c.localhost": "held"}
    assert parse_got_map("", []) == {}


@pytest.mark.parametrize("text", ["", "Unknown map identifier.\n", GOT + GOT])
def test_what_is_no_answer_of_some_hosts(text: str) -> None:
    assert parse_got_map(text, ["a.localhost", "b.localhost", "c.localhost"]) is None


@given(
    before=MAPS,
    put=MAPS,
    gone=st.sets(st.sampled_from(["a.localhost", "b.localhost", "never.localhost"])),
)
def test_a_change_leaves_what_it_does_not_name(
    before: dict[str, str], put: dict[str, str], gone: set[str]
) -> None:
    after = changed_map(before, put, gone)
    assert {host: after[host] for host in put} == put
    others = before.keys() - put.keys() - gone
    assert {host: way for host, way in after.items() if host not in put} == {
        host: before[host] for host in others
    }
