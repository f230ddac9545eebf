"""The overview: what runs where, what is under way, what needs a person."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, event

from tagboat.core.principal import Role
from tagboat.operations.queries.catalog import StageFilter
from tagboat.operations.queries.needs import Needs, read_needs
from tests.integration.test_api_overview import statements
from tests.support.api import Api, running_api
from tests.support.pages import Browser, signed_in, words
from tests.support.sample_pages import Filled, fill

pytestmark = pytest.mark.anyio
STATEMENTS = 27
"""So many read the page, whatever there is on it."""


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with running_api(tmp_path) as running:
        yield running


@pytest.fixture
async def browser(api: Api) -> Browser:
    return await signed_in(api)


@pytest.fixture
async def filled(api: Api) -> Filled:
    return await fill(api.store)


async def test_with_nothing_yet_it_says_what_to_do(api: Api, browser: Browser) -> None:
    seen = words(await browser.get("/"))
    assert "Nothing is deployed yet. Three steps:" in seen
    assert "docker push REGISTRY/shop:v1.0.0" in seen
    assert "Show the URL" in seen

    viewer = await signed_in(api, Role.VIEWER, "vera")
    assert "Show the URL" not in words(await viewer.get("/"))


async def test_stages_have_columns_and_cells_say_what_serves(
    browser: Browser, filled: Filled
) -> None:
    page = (await browser.get("/")).body.decode()
    heads = [part.partition("<")[0] for part in page.split('<th scope="col">')[1:]]
    assert heads == ["Project", "dev", "staging", "prod", "other"]

    seen = words(await browser.get("/"))
    assert "v1.4.8 → v1.5.0 check" in seen
    assert "v2.0.0-rc2 → rc3 queued" in seen
    assert "v1.4.9 2 h held, 2 wait" in seen
    assert "v0.9.1 21 d v0.9.2 failed" in seen
    assert "main-77aa012 20 min restarting" in seen
    assert "4 stages" in seen
    assert f'href="/deploys/{filled.running}"' in page


async def test_what_is_under_way_stands_above_with_its_step(
    browser: Browser, filled: Filled
) -> None:
    seen = words(await browser.get("/"))
    assert filled
    assert "2 deploys under way" in seen
    assert (
        "shop prod v1.5.0 Waiting until it is healthy: GET /health: connection refused, "
        "12 s of 60 s from webhook ·"
    ) in seen
    assert "billing staging v2.0.0-rc3 Queued from webhook ·" in seen


async def test_what_needs_a_person_has_its_sentence_and_a_way(
    browser: Browser, filled: Filled
) -> None:
    answer = await browser.get("/")
    seen = words(answer)
    assert "5 things need you" in seen
    assert "failed mailer prod: v0.9.2 failed: Nothing accepted a connection on port 8080" in seen
    assert "unhealthy importer dev: main-77aa012: it has crashed 5 times in a row" in seen
    assert "held shop staging:" in seen
    page = answer.body.decode()
    assert f'href="/deploys/{filled.failed}" aria-label="Open: mailer failed"' in page
    assert 'href="/projects/shop/staging" aria-label="Release…: shop held"' in page


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("?q=MAIL", ["mailer"]),
        ("?state=deploying", ["billing", "shop"]),
        ("?state=failed", ["mailer"]),
        ("?state=unhealthy", ["importer"]),
        ("?state=held", ["shop"]),
        ("?state=waiting", ["importer", "shop"]),
        ("?q=imp&state=waiting", ["importer"]),
    ],
)
async def test_projects_are_filtered_by_the_address(
    browser: Browser, filled: Filled, query: str, shown: list[str]
) -> None:
    assert filled
    page = (await browser.get(f"/{query}")).body.decode()
    rows = page.split('<th scope="row" class="proj">')[1:]
    assert [row.partition('">')[2].partition("<")[0] for row in rows] == shown


async def test_a_filter_that_nothing_fits_says_so(browser: Browser, filled: Filled) -> None:
    assert filled
    assert "No project matches Show all 6" in words(await browser.get("/?q=nothing"))


async def test_an_unknown_state_is_named(browser: Browser) -> None:
    answer = await browser.get("/?state=ill")
    assert answer.status == 422
    assert "known are deploying, failed, unhealthy, held, waiting" in words(answer)


async def test_many_projects_come_in_pages(api: Api, browser: Browser) -> None:
    await fill(api.store, [f"service-{number:03}" for number in range(50)])
    page = (await browser.get("/?q=service")).body.decode()
    assert 'href="/?q=service&amp;after=service-029"' in page
    second = await browser.get("/?q=service&after=service-029")
    assert "service-049" in words(second)
    assert "More projects" not in words(second)
    assert b'href="/?q=service">First' in second.body


async def test_it_reads_itself_again_after_events_since_it_was_read(
    api: Api, browser: Browser, filled: Filled
) -> None:
    assert filled
    last = await api.store.read(lambda reader: reader.last_event_id())
    page = (await browser.get("/")).body.decode()
    assert f'data-live="/live?after={last}&amp;topic=deploy&amp;topic=step' in page


@pytest.mark.parametrize("number", [1, 20])
async def test_it_is_read_in_one_transaction_however_much_there_is(
    api: Api, browser: Browser, number: int
) -> None:
    await fill(api.store, [f"service-{one:03}" for one in range(number)])
    begun: list[object] = []

    def note(connection: object) -> None:
        begun.append(connection)

    event.listen(Engine, "begin", note)
    try:
        with statements() as asked:
            assert (await browser.get("/")).status == 200
    finally:
        event.remove(Engine, "begin", note)
    # One for who asks, and one for the page.
    assert len(begun) == 2
    assert len(asked) == STATEMENTS


async def test_nothing_is_loaded_that_only_a_later_change_needs(
    browser: Browser, filled: Filled
) -> None:
    assert filled
    answer = await browser.get("/")
    page = answer.body.decode()
    assert "/live.js" in page
    assert "vendor/" not in page
    # Asked for before the page is read.
    (styles,) = [part for part in page.split('"') if part.endswith("/app.css")]
    assert answer.headers["link"] == f"<{styles}>; rel=preload; as=style"


async def test_the_first_needs_are_the_start_of_all_of_them(api: Api, filled: Filled) -> None:
    assert filled

    async def first(most: int | None) -> Needs:
        now = datetime.now(UTC)
        return await api.store.read(
            lambda reader: read_needs(reader, StageFilter(None, None), now, most)
        )

    whole = await first(None)
    assert whole.count == len(whole.first) >= 4
    for most in range(len(whole.first) + 2):
        cut = await first(most)
        assert (cut.first, cut.count) == (whole.first[:most], whole.count)
