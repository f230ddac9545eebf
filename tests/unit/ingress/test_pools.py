"""Where pools are in HAProxy, and the commands that fill and empty them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagboat.core.endpoint import Endpoint
from tagboat.core.protocol import AppProtocol
from tagboat.ingress.config import ConfigInput, pools_in, render_config
from tagboat.ingress.pools import (
    Layout,
    Pool,
    Server,
    additions,
    assign,
    grown,
    incomplete,
    parse_servers,
    pools_section,
    removals,
    section_in,
    size_of,
)
from tests.support.endpoints import at

INPUT = ConfigInput(listen=("127.0.0.1", 7080))
HEAD = (
    "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight"
    " srv_iweight srv_port\n"
)


def a_pool(instance: str, *ports: int, protocol: AppProtocol = AppProtocol.HTTP) -> Pool:
    return Pool(instance, protocol, tuple(map(at, ports)))


def test_servers_are_read_from_haproxys_answer() -> None:
    rows = (
        "2 repeatable 1 app 127.0.0.1 2 0 1 1 0\n"
        "9 b0 1 i1-0 10.0.0.5 2 0 1 1 8080\n"
        "9 b0 2 i1-1 10.0.0.6 0 1 1 1 8081\n"
        "10 b1 1 i_2-0 127.0.0.1 2 0 1 1 80\n"
    )
    assert parse_servers(HEAD + rows) == {
        "b0": [
            Server("i1-0", Endpoint("10.0.0.5", 8080)),
            Server("i1-1", Endpoint("10.0.0.6", 8081), on=False),
        ],
        "b1": [Server("i_2-0", at(80))],
    }
    assert parse_servers(HEAD) == {}
    assert parse_servers("Can't find backend.") is None


def test_an_instance_stays_where_its_servers_are_and_others_take_what_is_free() -> None:
    servers = {"b1": [Server("i1-0", at(1))], "b0": [Server("left-0", at(2), on=False)]}
    pools = [a_pool("i1", 1), a_pool("i2", 3), a_pool("i3", 4)]
    assert assign(servers, pools, 3) == {"i1": "b1", "i2": "b2"}
    assert assign(servers, pools, 4) == {"i1": "b1", "i2": "b2", "i3": "b3"}
    assert assign({}, pools, 0) == {}


def test_missing_servers_are_added_and_those_in_maintenance_brought_back() -> None:
    servers = {"b1": [Server("i1-0", at(1), on=False), Server("i1-1", at(2))]}
    pool = a_pool("i1", 1, 3)
    assert incomplete(servers, [pool], {"i1": "b1"}) == ["b1"]
    assert additions(servers, [pool], {"i1": "b1"}) == [
        "add server b1/i1-2 127.0.0.1:3 check inter 1s fall 2 rise 1",
        "enable health b1/i1-2",
        "enable server b1/i1-2",
        "enable server b1/i1-0",
    ]
    assert additions(servers, [pool], {}) == []


def test_servers_that_nobody_has_any_more_are_removed() -> None:
    servers = {
        "b0": [Server("i1-0", at(1)), Server("i1-1", at(2)), Server("i1-2", at(3), on=False)],
        "b1": [Server("old-0", at(4))],
        "b2": [Server("busy-0", at(5))],
    }
    assert removals(servers, {"i1": a_pool("i1", 1)}, {"old"}) == [
        "disable server b0/i1-1",
        "del server b0/i1-1",
        "del server b0/i1-2",
        "disable server b1/old-0",
        "del server b1/old-0",
    ]


@pytest.mark.parametrize(
    ("size", "needed", "wanted"),
    [(0, 0, 0), (0, 1, 16), (16, 12, 16), (16, 13, 32), (0, 1000, 2048), (64, 1, 64)],
)
def test_the_number_of_back_ends_grows_before_all_are_used(
    size: int, needed: int, wanted: int
) -> None:
    assert grown(size, needed) == wanted


@given(size=st.integers(0, 5000), needed=st.integers(0, 3000))
def test_there_is_always_room_and_never_less_than_before(size: int, needed: int) -> None:
    assert grown(size, needed) >= max(size, needed)


def test_the_file_has_the_servers_and_the_fingerprint_only_their_number() -> None:
    layout = Layout({}, 4, {"b2": a_pool("i1", 1, 2, protocol=AppProtocol.H2C)})
    section = pools_section(layout)
    assert size_of(section) == 4
    assert re.findall(r"^(backend b\d|  server \S+ \S+)", section, re.MULTILINE) == [
        "backend b0",
        "backend b1",
        "backend b2",
        "  server i1-0 127.0.0.1:1",
        "  server i1-1 127.0.0.1:2",
        "backend b3",
    ]
    rendered = render_config(INPUT, section)
    assert section_in(rendered.files["haproxy.cfg"]) == section
    assert pools_in(rendered.fingerprint) == 4
    assert render_config(INPUT, pools_section(Layout({}, 4))).fingerprint == rendered.fingerprint
    assert render_config(INPUT).fingerprint != rendered.fingerprint
    assert pools_in(render_config(INPUT).fingerprint) == 0
    assert pools_in("tagboat-0123456789abcdef") == 0, "of an earlier release"


def test_without_pools_the_file_says_nothing_of_them() -> None:
    assert pools_section(Layout({"a.localhost": "20000"})) == ""
    assert section_in(render_config(INPUT).files["haproxy.cfg"]) == ""
