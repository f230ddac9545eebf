"""Which addresses networks get."""

from ipaddress import IPv4Network
from itertools import islice
from pathlib import Path

from tagboat.runtime.docker.subnets import kept_address, local_routes, lower_half, shares

POOL = IPv4Network("10.112.0.0/14")
TABLE = """\
Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT
eth0\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\t0\t0\t0
tun0\t0000000A\t00000000\t0001\t0\t0\t0\t000000FF\t0\t0\t0
eth1\t0000710A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
"""


def test_two_thousand_projects_have_networks_of_their_own() -> None:
    taken: set[IPv4Network] = set()
    for number in range(100):
        taken.add(next(shares(POOL, f"tagboat-{number}", taken)))
    assert len(taken) == 100
    assert len(list(shares(POOL, "tagboat-x", taken))) == 2048 - 100


def test_a_share_is_always_the_same_and_never_one_that_overlaps() -> None:
    first, second = islice(shares(POOL, "tagboat-1", []), 2)
    assert next(shares(POOL, "tagboat-1", [])) == first
    inside = next(first.subnets(new_prefix=28))
    assert next(shares(POOL, "tagboat-1", [inside])) == second
    assert list(shares(POOL, "tagboat-1", [IPv4Network("10.0.0.0/8")])) == []


def test_an_address_to_keep_is_of_the_upper_half_and_free() -> None:
    share = IPv4Network("10.112.0.0/25")
    upper = [f"10.112.0.{number}" for number in range(65, 127)]
    assert lower_half(share) == IPv4Network("10.112.0.0/26")
    assert kept_address(share, upper[1:]) == upper[0]
    assert kept_address(share, upper) is None


def test_where_this_machine_s_routes_lead_is_somebody_s_already(tmp_path: Path) -> None:
    (tmp_path / "route").write_text(TABLE)
    assert local_routes(POOL, tmp_path / "route") == [IPv4Network("10.113.0.0/16")]
    assert local_routes(POOL, tmp_path / "none") == []
