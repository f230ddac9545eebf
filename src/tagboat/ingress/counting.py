"""Counts of HAProxy: the part of its configuration for them, and its answers about them. Pure.

It counts by the port of an instance, or by its id, and by host. Decision 0029 has the reasons.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from tagboat.core.endpoint import only_loopback
from tagboat.core.request_counts import CODE_CLASSES, EarlyEnd, EndedBy, InstanceCounts
from tagboat.core.route import Target

# The name is older than the counts in it: a worker of an earlier release, which a reload has left
# behind, is asked by it too.
INSTANCE_TABLE = "in_flight"
HOST_TABLE = "hosts"
ENDS_RING = "ends"

_ANSWERS, _ERRORS, _EARLY_ENDS = range(3)
_TURNED_AWAY = len(CODE_CLASSES)
_LONGEST_KEY = 40  # an instance's id, or its port
_MAX_INSTANCES = 20480  # more than there are host ports for instances
_MAX_HOSTS = 65536
_STORED = f" store conn_cur,gpc({_EARLY_ENDS + 1})"
_ROW = re.compile(r"^0x[0-9a-f]+: key=(\S+) use=.*?((?: (?:conn_cur|gpc\d+)=\d+)+)", re.MULTILINE)
_NUMBER = re.compile(r" (conn_cur|gpc\d+)=(\d+)")
_END = r"(?m)^%s (?P<number>\d+) (?P<state>\S\S) (?P<status>-?\d+) \S+ (?P<head>[-1])$"
_INFO = re.compile(r"^(Pid|Start_time_sec|node): (\S+)$", re.MULTILINE)
_WITH_ERROR = 500
_SWITCHING = 101
_UNSERVED = "none portless stopped held"
"""States of routes without an instance that could answer."""


def _rules() -> str:
    # HAProxy 2.6 has no action that counts in `http-after-response`, which alone sees the answers
    # that it makes by itself; a fetch that counts can be read there.
    # A 4xx of its own is for a client that has gone.
    by_app = " { var(txn.head) -m found }"
    by_class = "\n".join(
        f"  http-after-response set-var(txn.n) sc_inc_gpc({place},1)"
        f" if {{ status {name[0]}00:{name[0]}99 }}{by_app if name == '4xx' else ''}"
        for place, name in enumerate(CODE_CLASSES)
    )
    no_instance = f"{{ var(txn.way) -m str {_UNSERVED} }}"
    return f"""\
  http-response set-var(txn.head) int(1)
  http-response sc-inc-gpc({_ANSWERS},0) if {{ status lt {_WITH_ERROR} }}
  http-after-response set-var(txn.n) sc_inc_gpc({_ERRORS},0) if {{ status 500:599 }}
{by_class}
  http-after-response set-var(txn.n) sc_inc_gpc({_TURNED_AWAY},1) if {no_instance} {{ status 503 }}
  # Only at its end it is known how a request ends: building this line is what counts it.
  log-format "%[var(txn.port)] %[sc_inc_gpc({_EARLY_ENDS},0)] %ts %ST %rc %[var(txn.head)]"
"""


COUNTING_RULES = _rules()
HOST_COUNTING = f"""\
  # By host for the metrics; not by those that strangers make up.
  http-request track-sc1 var(txn.host) table {HOST_TABLE} unless {{ var(txn.way) -m str unknown }}
  http-request set-log-level silent if {{ var(txn.way) -m str unknown {_UNSERVED} }}"""
# Nothing expires: a count that begins again by itself would look like one that was never made.
COUNT_TABLES = f"""\
backend {INSTANCE_TABLE}
  stick-table type string len {_LONGEST_KEY} size {_MAX_INSTANCES}{_STORED}

backend {HOST_TABLE}
  stick-table type string len 255 size {_MAX_HOSTS} store gpc({_TURNED_AWAY + 1})
"""
ENDS_SECTION = f"""\
ring {ENDS_RING}
  format raw
  maxlen 120
  size 65536"""


def counting_key(target: Target) -> str:
    """Return the key of an instance in its table: its port of the loopback address, else its id."""
    own = only_loopback(target.endpoints)
    return str(own.port) if own else target.instance


def parse_instance_counts(rows: str, ends: str, key: str) -> InstanceCounts | None:
    """Return the counts of a key from rows of its table and lines of the ring.

    None for a worker that does not count, since it was started by an earlier release.
    """
    found = _stat_rows(rows).get(key, {"conn_cur": 0, f"gpc{_ANSWERS}": 0})
    if f"gpc{_ANSWERS}" not in found:
        return None
    return InstanceCounts(
        answers=found[f"gpc{_ANSWERS}"],
        errors=found.get(f"gpc{_ERRORS}", 0),
        early_ends=found.get(f"gpc{_EARLY_ENDS}", 0),
        in_flight=found.get("conn_cur", 0),
        known_ends=tuple(_early_ends(ends, key)),
    )


def parse_process(info: str) -> tuple[str, datetime]:
    """Return a name for a worker that no other one ever has, and its start, from `show info`.

    Raises ValueError for another text.
    """
    found = dict(_INFO.findall(info))
    try:
        started = int(found["Start_time_sec"])
        return f"{found['node']}/{found['Pid']}/{started}", datetime.fromtimestamp(started, UTC)
    except KeyError as missing:
        raise ValueError(f"it has no {missing}") from None


def ended_early(rows: str) -> bool:
    """Return whether any of these instances has a request that did not end well."""
    return any(counts.get(f"gpc{_EARLY_ENDS}") for counts in _stat_rows(rows).values())


def parse_code_classes(rows: str) -> dict[str, dict[str, int]]:
    """Return the answers by host and class of status code from rows of the table of hosts."""
    return {
        host: {name: counts.get(f"gpc{place}", 0) for place, name in enumerate(CODE_CLASSES)}
        for host, counts in _stat_rows(rows).items()
    }


def parse_turned_away(rows: str) -> int:
    """Return how many requests met no instance, from rows of the table of hosts."""
    return sum(counts.get(f"gpc{_TURNED_AWAY}", 0) for counts in _stat_rows(rows).values())


def _stat_rows(text: str) -> dict[str, Mapping[str, int]]:
    return {
        match[1]: {name: int(number) for name, number in _NUMBER.findall(match[2])}
        for match in _ROW.finditer(text)
    }


def _early_ends(text: str, key: str) -> Iterator[EarlyEnd]:
    # Lines of other instances, of which there may be thousands, fail at their first letters.
    for match in re.finditer(_END % re.escape(key), text):
        yield EarlyEnd(
            number=int(match["number"]),
            by=_ended_by(match["state"], int(match["status"])),
            answered=match["head"] == "1",
        )


def _ended_by(state: str, status: int) -> EndedBy:
    """Return who ended a request, by its termination state (HAProxy's manual, section 8.5)."""
    if status >= _WITH_ERROR:
        return EndedBy.ERROR
    # A connection that became a WebSocket ends when either side closes it; and `--` is a request
    # that was sent again on another connection, with success.
    if status == _SWITCHING or state == "--":
        return EndedBy.NOBODY
    return {"C": EndedBy.CLIENT, "S": EndedBy.APP}.get(state[0].upper(), EndedBy.INGRESS)
