"""The check of the lock file must be able to fail."""

import tomllib
from typing import Any

import pytest

from tools.lock import (
    LOCK,
    PYPROJECT,
    SERVER_LOCK,
    check,
    check_server,
    digest,
    parse,
    server_part,
)

HASH = f"--hash=sha256:{'0' * 64}"
PYPROJECT_TABLES: dict[str, Any] = {
    "build-system": {"requires": ["hatchling"]},
    "project": {
        "requires-python": ">=3.11",
        "dependencies": ["AioHTTP>=3.13", "psycopg[binary]>=3.3"],
    },
    "dependency-groups": {"dev": ["ruff>=0.15"]},
}


def lock(
    *, made_from: dict[str, Any] = PYPROJECT_TABLES, aiohttp: str = "3.14.5", more: str = ""
) -> str:
    return (
        f"# dependencies: sha256:{digest(made_from)}\n"
        f"aiohttp=={aiohttp} ; sys_platform == 'linux' \\\n    {HASH} \\\n    {HASH}\n"
        f"hatchling==1.33.0 \\\n    {HASH}\n"
        f"psycopg[binary]==3.3.9 \\\n    {HASH}\n    # via tagboat\n"
        f"ruff==0.17.6 \\\n    {HASH}\n{more}"
    )


def test_a_current_lock_passes() -> None:
    assert check(PYPROJECT_TABLES, lock()) == []


def test_the_lock_of_this_tree_passes() -> None:
    assert check(tomllib.loads(PYPROJECT.read_text()), LOCK.read_text()) == []


def test_the_servers_lock_of_this_tree_is_a_part_of_it() -> None:
    pyproject = tomllib.loads(PYPROJECT.read_text())
    assert check_server(pyproject, SERVER_LOCK.read_text(), LOCK.read_text()) == []
    pins = parse(SERVER_LOCK.read_text())[0]
    assert {"uvicorn", "hatchling"} <= pins.keys()
    assert not {"pytest", "ruff", "playwright"} & pins.keys()


def test_a_servers_lock_that_differs_is_told_so() -> None:
    tables = {**PYPROJECT_TABLES, "build-system": {"requires": []}}
    part = lock(made_from=dict(server_part(tables)))
    assert check_server(tables, part, part) == []
    other = lock(aiohttp="3.15.0")
    assert check_server(tables, part, other) == [
        "aiohttp==3.14.5 is not what requirements.lock has"
    ]


def test_every_pin_is_seen_with_its_hashes() -> None:
    pins, strange = parse(lock())
    assert {name: (pin.version, pin.hashes) for name, pin in pins.items()} == {
        "aiohttp": ("3.14.5", 2),
        "hatchling": ("1.33.0", 1),
        "psycopg": ("3.3.9", 1),
        "ruff": ("0.17.6", 1),
    }
    assert strange == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "are not those that the lock was made from"),
        ("", "AioHTTP is not in the lock"),
        (
            lock().replace("# dependencies", "# dependencys"),
            "are not those that the lock was made from",
        ),
        (lock(aiohttp="3.12.0"), "AioHTTP>=3.13 is locked at 3.12.0"),
        (lock(more="extra==1.0\n"), "extra==1.0 has no hash"),
        (lock(more=f"extra>=1.0 {HASH}\n"), "not a pin with hashes: 'extra>=1.0"),
        (
            lock(more="--index-url https://packages.example.com/simple\n"),
            "not a pin with hashes: '--index-url",
        ),
        (
            lock(more="extra @ https://packages.example.com/extra.whl\n"),
            "not a pin with hashes: 'extra @",
        ),
        (lock(more="-e .\n"), "not a pin with hashes: '-e .'"),
        (
            lock(
                more=f"extra==1.0 ; python_version < 'https://x' {HASH} "
                "https://packages.example.com\n"
            ),
            "not a pin with hashes",
        ),
    ],
)
def test_a_lock_that_is_not_current_is_told_so(text: str, says: str) -> None:
    assert any(says in complaint for complaint in check(PYPROJECT_TABLES, text))


@pytest.mark.parametrize("table", ["project", "build-system", "dependency-groups"])
def test_any_change_of_the_dependencies_counts(table: str) -> None:
    changed = {
        "project": {
            "requires-python": ">=3.11",
            "dependencies": ["aiohttp>=3.14", "psycopg[binary]>=3.3"],
        },
        "build-system": {"requires": ["hatchling>=1.27"]},
        "dependency-groups": {"dev": []},
    }
    assert check(PYPROJECT_TABLES | {table: changed[table]}, lock()) == [
        "the dependencies in pyproject.toml are not those that the lock was made from"
    ]
