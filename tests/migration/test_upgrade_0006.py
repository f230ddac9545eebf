"""What a person may have said of a project stays; what leads nowhere follows the image from now
on.
"""

from pathlib import Path

import pytest
from sqlalchemy import text

from tagboat.store.database import migrate, open_database
from tests.migration.test_upgrade_0002 import tables_of, upgrade_to
from tests.support.postgres import Postgres

CASES = {
    # (port, healthcheck, inspected): (port_set, healthcheck_set)
    (8080, "/up", True): (True, True),
    (8080, "image", True): (True, False),
    (8080, "", True): (True, True),
    (0, "", True): (False, True),
    (0, "", False): (False, False),
    (0, "/up", False): (False, True),
    (0, "image", False): (False, True),
}


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_who_has_said_what_is_guessed_so_that_what_works_stays(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = None
    if kind == "postgresql":
        server: Postgres = request.getfixturevalue("postgres")
        url = server.new_database()
    engine = open_database(url, tmp_path)
    upgrade_to(engine, "0005")
    projects = tables_of(engine).tables["projects"]
    with engine.begin() as connection:
        for number, (port, healthcheck, inspected) in enumerate(CASES):
            row = {
                "id": f"p{number}",
                "name": f"app{number}",
                "image": f"git.example.com/acme/app{number}",
                "port": port,
                "healthcheck": healthcheck,
                "env": "{}",
                "inspected": inspected,
                "created_at": number,
            }
            connection.execute(projects.insert().values(row))
    migrate(engine)
    with engine.connect() as connection:
        found = connection.execute(
            text("SELECT port_set, healthcheck_set FROM projects ORDER BY id")
        ).all()
    assert [(bool(port), bool(healthcheck)) for port, healthcheck in found] == list(CASES.values())
    engine.dispose()
