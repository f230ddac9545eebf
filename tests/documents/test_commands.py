"""Each command that the documents tell their reader to type is typed, and does what they say."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.core import TyperGroup

from tests.documents import tables
from tests.documents.registries import HOSTS, IMAGES, example_registries
from tests.documents.statements import FENCE, PAGES, SHELL, SYNOPSES, Statement, statements
from tests.documents.tables import elsewhere, filled_in
from tests.documents.world import TOKEN, Servers, World, furnish, running_world
from tests.unit.cli.operation_commands import OPERATION_COMMANDS
from tests.unit.test_docs import ROOT
from tests.unit.test_docs_commands import PROGRAM_GROUP, named_in_text

TYPED = {page: statements(page) for page in PAGES}
HERE = [page for page in PAGES if any(not elsewhere(one.text) for one in TYPED[page])]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with example_registries(tmp_path_factory.mktemp("registries")) as registries:
        program = Servers(registries)
        yield program
        program.close()


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory, servers: Servers) -> Path:
    return furnish(tmp_path_factory.mktemp("furnished"), servers)


@pytest.mark.parametrize("page", HERE, ids=lambda path: str(path.relative_to(ROOT)))
def test_its_commands_do_what_it_says(
    page: Path, tmp_path: Path, servers: Servers, furnished: Path
) -> None:
    name = str(page.relative_to(ROOT))
    with running_world(tmp_path, servers, None if name in tables.EMPTY else furnished) as world:
        before = world.shell.run(tables.BEFORE.get(name, "true"))
        assert before.code == 0, before.said
        faults = [fault for one in TYPED[page] if (fault := run(world, one))]
    assert not faults, "\n\n".join(faults)


def run(world: World, statement: Statement) -> str | None:
    """Run a command of a page; return what it said if it failed."""
    if elsewhere(statement.text):
        return None
    typed = filled_in(statement.text, found_in(world))
    answer = next((text for begins, text in tables.ANSWERS.items() if begins in typed), "")
    endless = any(part in typed for part in tables.ENDLESS)
    done = world.shell.run(f"timeout 2 {typed}" if endless else typed, answer)
    world.await_rest()
    allowed = {124} if endless else {0} | {1 for begins in tables.FAILS if begins in typed}
    return None if done.code in allowed else f"{statement}\n[{typed}] {done.code}: {done.said}"


def found_in(world: World) -> dict[str, str]:
    """Return what a reader takes from a list or knows of the machine."""
    found = {"url": world.url, "data_dir": str(world.data_dir), "token": TOKEN}
    taken = {one["image"] for one in world.items("/api/projects")}
    images = (f"{HOSTS[0]}/{image}" for image in reversed(IMAGES))
    found["image"] = next(image for image in images if image not in taken)
    live = [one["stage"]["name"] for one in world.items("/api/instances?state=live")]
    found["stage"] = "prod" if "prod" in live or not live else str(live[0])
    for name, path in (("deploy", "/api/deploys"), ("delivery", "/api/deliveries")):
        first = world.items(f"{path}?limit=1")
        found[name] = str(first[0]["id"]) if first else ""
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_its_blocks_say_what_they_are(page: Path) -> None:
    """So that no command is in a block that is not run."""
    blocks = [(block["kind"], block["body"]) for block in FENCE.finditer(page.read_text())]
    assert [body for kind, body in blocks if not kind] == []
    typed = re.compile(r"^ *(sudo |\$ )*tagboat [a-z]", re.MULTILINE)
    assert [body for kind, body in blocks if kind != SHELL and typed.search(body)] == []


@pytest.mark.parametrize("row", tables.ELSEWHERE, ids=lambda row: row.begins)
def test_what_is_run_elsewhere_is_run_there(row: tables.Elsewhere) -> None:
    file, _, name = row.test.partition("::")
    assert re.search(rf"^(async )?def {name}\(", (ROOT / file).read_text(), re.MULTILINE)
    typed = [one.text for page in PAGES for one in TYPED[page]]
    typed += [f"tagboat {one}" for one in named_in_text(SYNOPSES.read_text())]
    assert any(elsewhere(one) == row for one in typed)


def test_no_row_of_a_table_is_left_over() -> None:
    every = [one.text for page in PAGES for one in TYPED[page]]
    begun = [filled_in(text, {}) for text in every]
    unused = [
        row
        for row in (*tables.ANSWERS, *tables.FAILS, *tables.ENDLESS)
        if not any(row in one for one in begun)
    ]
    filled = [
        place for place in tables.PLACES if not any(place.split()[-1] in one for one in every)
    ]
    gone = [page for page in {*tables.EMPTY, *tables.BEFORE} if not (ROOT / page).exists()]
    assert (unused, filled, gone) == ([], [], [])


def test_each_command_of_the_overview_is_run_somewhere() -> None:
    """Its tables have forms of commands: what they need, and what they can be given."""
    named = {path_of(re.sub(r"[\[\]]", " ", one)) for one in named_in_text(SYNOPSES.read_text())}
    typed = [part for page in PAGES for one in TYPED[page] for part in re.split("[|;&]", one.text)]
    typed += [f"tagboat {one.line}" for one in OPERATION_COMMANDS.values()]
    typed += [row.begins for row in tables.ELSEWHERE]
    run_here = {path_of(one.partition("tagboat ")[2]) for one in typed if "tagboat " in one}
    assert named - run_here == set()
    assert path_of("projects show shop") == ("projects", "show")


def path_of(words: str) -> tuple[str, ...]:
    """Return the words of a command that are its name; a bare group lists."""
    command, path = PROGRAM_GROUP, list[str]()
    for word in words.split():
        if not isinstance(command, TyperGroup) or word not in command.commands:
            break
        path.append(word)
        command = command.commands[word]
    return (*path, "list") if isinstance(command, TyperGroup) else tuple(path)


def test_a_command_that_fails_is_found(tmp_path: Path, servers: Servers, furnished: Path) -> None:
    with running_world(tmp_path, servers, furnished) as world:
        for typed in ("tagboat stages show shop nowhere", "tagboat tokens | grep nothing"):
            fault = run(world, Statement("a page", 1, typed))
            assert fault, typed
            assert fault.startswith("a page:1: ")
        assert run(world, Statement("a page", 1, "tagboat stages show PROJECT STAGE")) is None
