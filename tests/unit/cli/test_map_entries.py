"""The entries of maps, and where each comes from."""

from tagboat.cli.client import Client
from tagboat.cli.context import ServerAddress
from tagboat.cli.map_entries import list_entries, place_columns
from tests.unit.cli.fake_server import TOKEN, FakeServer


def test_a_stage_inherits_and_replaces(server: FakeServer) -> None:
    client = Client(ServerAddress(server.url, TOKEN, "TAGBOAT_URL"))
    fields = ("env", "secrets", "secret_files")
    entries = list_entries(client, "app", "dev", fields)
    assert [(one.field, one.name, one.value, one.source, one.overrides) for one in entries] == [
        ("env", "LOG_LEVEL", "debug", "stage", True),
        ("env", "PORT", "8080", "project", False),
        ("secrets", "DB_PASSWORD", None, "project", False),
        ("secret_files", "tls.key", None, "stage", False),
    ]
    assert list(place_columns(entries, of_one=True))[:2] == [
        ("name", "from"),
        ("LOG_LEVEL", "stage (overrides)"),
    ]
    every = list_entries(client, None, None, fields)
    assert list(place_columns(every, of_one=False))[1:] == [
        ("app", None, "LOG_LEVEL"),
        ("app", None, "PORT"),
        ("app", None, "DB_PASSWORD"),
        ("app", "dev", "LOG_LEVEL"),
        ("app", "dev", "tls.key"),
    ]
