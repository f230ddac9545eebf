"""HAProxy's answers about its counts, as they come from several of its versions."""

from datetime import UTC, datetime

import pytest

from tagboat.core.request_counts import EarlyEnd, EndedBy, InstanceCounts
from tagboat.ingress.counting import (
    ended_early,
    parse_code_classes,
    parse_instance_counts,
    parse_process,
    parse_turned_away,
)

ROWS = """\
# table: in_flight, type: string, size:20480, used:2
0x55d7: key=20000 use=3 exp=0 conn_cur=2 gpc0=9 gpc1=4 gpc2=6

# table: in_flight, type: string, size:20480, used:2
0x55d8: key=20001 use=0 exp=0 shard=0 conn_cur=0 gpc0=1 gpc1=0 gpc2=0
"""
HOSTS = """\
# table: hosts, type: string, size:65536, used:2
0x1f: key=app-dev.localhost use=0 exp=0 gpc0=1 gpc1=2 gpc2=3 gpc3=4 gpc4=5 gpc5=6
0x2f: key=shop.example.com use=0 exp=0 gpc0=0 gpc1=7 gpc2=0 gpc3=0 gpc4=0 gpc5=1
"""


def test_counts_of_one_port() -> None:
    found = parse_instance_counts(ROWS, "", "20000")
    assert found == InstanceCounts(answers=9, errors=4, early_ends=6, in_flight=2)
    assert parse_instance_counts(ROWS, "", "20001") == InstanceCounts(answers=1)


def test_a_port_without_a_request_has_no_row() -> None:
    assert parse_instance_counts("\n", "", "20000") == InstanceCounts()


def test_a_worker_of_an_earlier_release_does_not_count() -> None:
    assert parse_instance_counts("0x1: key=20000 use=1 exp=59000 conn_cur=1\n", "", "20000") is None


def test_a_worker_is_named_by_machine_number_and_start() -> None:
    info = "Name: HAProxy\nPid: 24920\nUptime: 0d\nnode: vm\nStart_time_sec: 1795933999\n"
    assert parse_process(info) == (
        "vm/24920/1795933999",
        datetime(2026, 11, 29, 6, 33, 19, tzinfo=UTC),
    )
    with pytest.raises(ValueError, match="Start_time_sec"):
        parse_process("Pid: 7\nnode: vm\n")


def test_whether_any_ended_early() -> None:
    assert ended_early(ROWS)
    assert not ended_early(ROWS.replace("gpc2=6", "gpc2=0"))


@pytest.mark.parametrize(
    ("line", "by", "answered"),
    [
        ("20000 1 -- 500 0 1", EndedBy.ERROR, True),
        ("20000 1 SH 502 3 -", EndedBy.ERROR, False),
        ("20000 1 SD 200 0 1", EndedBy.APP, True),
        ("20000 1 sD 200 0 1", EndedBy.APP, True),
        ("20000 1 CD 200 0 1", EndedBy.CLIENT, True),
        ("20000 1 CH 400 0 -", EndedBy.CLIENT, False),
        ("20000 1 CD -1 0 -", EndedBy.CLIENT, False),
        ("20000 1 cD 200 0 1", EndedBy.CLIENT, True),
        ("20000 1 -- 200 +1 1", EndedBy.NOBODY, True),
        ("20000 1 CD 101 0 1", EndedBy.NOBODY, True),
        ("20000 1 PD 200 0 1", EndedBy.INGRESS, True),
    ],
)
def test_who_ended_a_request(line: str, by: EndedBy, answered: bool) -> None:
    lines = f"- - PR 400 0 -\n{line}\n20001 7 CD 200 0 1\n"
    found = parse_instance_counts("", lines, "20000")
    assert found is not None
    assert found.known_ends == (EarlyEnd(1, by, answered),)


def test_answers_by_host() -> None:
    found = parse_code_classes(HOSTS)
    assert found["app-dev.localhost"] == {"1xx": 1, "2xx": 2, "3xx": 3, "4xx": 4, "5xx": 5}
    assert found["shop.example.com"]["2xx"] == 7
    assert parse_turned_away(HOSTS) == 7


def test_a_worker_without_that_table_has_turned_nobody_away() -> None:
    assert parse_turned_away("No such table\n") == 0
