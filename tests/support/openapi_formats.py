"""Values for the formats of the published schema, loaded by schemathesis as hooks.

They are few: `tests/unit/api/test_values.py` tries the grammars themselves.
"""

from typing import Any

import schemathesis
from hypothesis import strategies as st

VALUES: dict[str, list[str]] = {
    "image-name": [
        "nginx",
        "acme/app",
        "git.example.com/acme/app",
        "localhost:5000/a",
        "[::1]:5/a",
    ],
    "image-reference": ["nginx", "acme/app:v1", f"git.example.com/app:v1@sha256:{'0' * 64}"],
    "tag-pattern": ["*", "v[0-9]*", r"\*", "semver:^1.2 || >=3.0.0-rc.1", r"regex:(?:v|r)\d+"],
    "schedule": ["@hourly", "@every 1h30m", "*/10 * * * *", "CRON_TZ=Asia/Tokyo 0 4 * * mon-fri"],
    "image-glob": ["*", "git.example.com/acme/*", "docker.io/library/nginx"],
    "command-line": ["aws ecr get-login-password", "docker-credential-pass get", ""],
    "registry-url": ["https://git.example.com", "http://127.0.0.1:5000/", "http://[::1]:5000"],
    "pem-certificates": [""],
    "memory": ["512m", "1.5g", "64MB", "2 GiB"],
    "signal": ["SIGTERM", "int", "15", ""],
    "container-path": ["/data", "/var/lib/app/", "/srv/.cache"],
    "network-name": ["backend", "db_1"],
    "address": ["host-gateway", "10.0.0.1", "fe80::1"],
    "capability": ["NET_ADMIN", "cap_sys_ptrace"],
    "bind": ["/srv/data:/data", "/srv/a:/a:ro"],
    "device": ["/dev/ttyUSB0", "/dev/a:/dev/b:rw"],
    "title": ["Git", "acme registry", "zoë's"],
    "account-name": ["anna", "Ben Lee", "zoë@example.com"],
    "account-password": ["correct horse battery", "ü" * 512],
    "published-port": ["5353:53/udp", "127.0.0.1:80:8080"],
}

for name, values in VALUES.items():
    schemathesis.openapi.format(name, st.sampled_from(values))


@schemathesis.hook
def before_call(_context: object, case: schemathesis.Case[Any], _options: object) -> None:
    """Drop the headers whose values depend on calls before."""
    for name in ("Idempotency-Key", "If-Match"):
        case.headers.pop(name, None)
