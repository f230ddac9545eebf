import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from tagboat.core.errors import RegistryProtocolError
from tagboat.registry import tag_listing
from tagboat.registry.tag_listing import TagListing, next_page, parse_page

HERE = URL("https://registry.example.com:5000/v2/acme/app/tags/list?n=2")
THERE = "https://registry.example.com:5000/v2/acme/app/tags/list?n=2&last=b"
HEX = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ('</v2/acme/app/tags/list?n=2&last=b>; rel="next"', THERE),
        ("</v2/acme/app/tags/list?n=2&last=b>; rel=next", THERE),
        ('</v2/acme/app/tags/list?n=2&last=b>;REL="Next"', THERE),
        ('</v2/acme/app/tags/list?n=2&last=b>; title="a, b"; rel="next"', THERE),
        (
            (
                '</v2/acme/app/tags/list>; rel="first", '
                '</v2/acme/app/tags/list?n=2&last=b>; rel="prev next"'
            ),
            THERE,
        ),
        ('<https://registry.example.com:5000/v2/acme/app/tags/list?n=2&last=b>; rel="next"', THERE),
        ('<https://registry.example.com/v2/acme/app/tags/list?n=2&last=b>; rel="next"', THERE),
        ('<http://127.0.0.1/v2/acme/app/tags/list?n=2&last=b>; rel="next"', THERE),
        ('<//evil.example.com/v2/acme/app/tags/list?n=2&last=b>; rel="next"', THERE),
        ("<?n=2&last=b>; rel=next", THERE),
        ("<list?n=2&last=b>; rel=next", THERE),
        ('/v2/acme/app/tags/list?n=2&last=b; rel="next"', THERE),
        ("/v2/acme/app/tags/list?n=2&last=b", THERE),
        (
            '</v2/a/tags/list?last=x%2By%3D&t=a,b>; rel="next"',
            "https://registry.example.com:5000/v2/acme/app/tags/list?last=x%2By%3D&t=a,b",
        ),
        (
            '</v2/acme/app/tags/page/2?t=x%2By%3D>; rel="next"',
            "https://registry.example.com:5000/v2/acme/app/tags/page/2?t=x%2By%3D",
        ),
        ('</v2/acme/app/tags/list?n=2&last=b>; rel="prev"', None),
        ("</v2/acme/app/tags/list?n=2&last=b>", THERE),
        ("<https://docs.example.com/tags>", None),
        ("</v2/never/closed; rel=next", None),
        ("", None),
    ],
)
def test_next_page(link: str, expected: str | None) -> None:
    found = next_page([link], HERE)
    assert (str(found) if found else None) == expected


def test_next_page_is_looked_for_in_every_header() -> None:
    assert (
        str(next_page(['</x>; rel="first"', '</y>; rel="next"'], HERE))
        == "https://registry.example.com:5000/y"
    )


def test_a_link_that_is_no_url_does_not_end_the_list_early() -> None:
    with pytest.raises(
        RegistryProtocolError, match="registry.example.com:5000 links to a next page"
    ):
        next_page(['<http://[broken/x>; rel="next"'], HERE)


@pytest.mark.parametrize(
    "target",
    ["http:.evil.com/x", "http:0", "http:@evil.com", "mailto:@evil.com/x", "x:.evil.com", "\x000"],
)
def test_a_link_without_a_slash_does_not_lengthen_the_host(target: str) -> None:
    for link in (target, f"<{target}>; rel=next"):
        found = next_page([link], HERE)
        assert found is not None
        assert found.origin() == HERE.origin()
        assert found.user is None


@given(
    st.text(max_size=80) | st.from_regex(r"[a-z]{0,5}:?/{0,2}[@:.0-9a-z/?#]{0,20}", fullmatch=True)
)
def test_no_link_leads_to_another_host(text: str) -> None:
    for link in (text, f"<{text}>; rel=next"):
        try:
            found = next_page([link], HERE)
        except RegistryProtocolError:
            continue
        assert found is None or found.origin() == HERE.origin()


def test_a_page() -> None:
    assert parse_page(b'{"name": "x", "tags": ["a", "b"]}', "r/x") == ["a", "b"]
    assert parse_page(b'{"name": "x", "tags": null}', "r/x") == []
    assert parse_page(b'{"name": "x"}', "r/x") == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"tags": {}}',
        b'{"tags": "a"}',
        b'{"tags": 0}',
        b'{"tags": ["a", 1]}',
        b"\xff",
        b"[" * 100_000,
    ],
    ids=range(10),
)
def test_what_is_no_page_is_an_error_that_names_the_repository(body: bytes) -> None:
    with pytest.raises(RegistryProtocolError, match="r.example.com/x"):
        parse_page(body, "r.example.com/x")


def test_attachments_and_what_is_no_tag_are_left_out() -> None:
    listing = TagListing("r/x")
    names = [
        f"sha256-{HEX}",
        f"sha256-{HEX}.sig",
        f"sha256-{HEX}.att",
        f"sha256-{HEX}.sbom",
        f"sha256:{HEX}",
        "sha256-ab.sig",
    ]
    listing.add(
        [*names, "v1", "", "-x", "a/b", "ü", "x" * 129, "latest", "sha256-notes", HEX], None
    )
    assert listing.tags == ["v1", "latest", "sha256-notes", HEX]


def test_each_tag_once_in_the_order_found() -> None:
    listing = TagListing("r/x")
    assert listing.add(["b", "a"], URL("/2")) == URL("/2")
    assert listing.add(["a", "c"], URL("/3")) == URL("/3")
    assert listing.tags == ["b", "a", "c"]


def test_lower_case_makes_one_of_two() -> None:
    listing = TagListing("r/x", lower_case=True)
    listing.add(["V1", "v1", "v2"], None)
    assert listing.tags == ["v1", "v2"]


@pytest.mark.parametrize("again", [[], ["a"]], ids=["empty", "repeated"])
def test_an_empty_or_repeated_page_ends_the_list(again: list[str]) -> None:
    listing = TagListing("r/x")
    listing.add(["a"], URL("/2"))
    assert listing.add(again, URL("/3")) is None


def test_a_repeated_link_ends_the_list() -> None:
    listing = TagListing("r/x")
    listing.add(["a"], URL("/2"))
    assert listing.add(["b"], URL("/2")) is None


def test_a_page_of_attachments_does_not_end_the_list() -> None:
    assert TagListing("r/x").add([f"sha256-{HEX}.sig"], URL("/2")) == URL("/2")


def test_a_list_without_end_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tag_listing, "MAX_TAGS", 3)
    with pytest.raises(RegistryProtocolError, match="r/x has more than 3 tags"):
        TagListing("r/x").add(["a", "b", "c", "d"], None)
    monkeypatch.setattr(tag_listing, "MAX_TAG_PAGES", 2)
    listing = TagListing("r/x")
    listing.add(["a"], URL("/2"))
    with pytest.raises(RegistryProtocolError, match="more than 2 pages"):
        listing.add(["b"], URL("/3"))


def widened(*pages: tuple[list[str], str | None]) -> TagListing:
    """A list whose first page came again, then widened."""
    listing = TagListing("r/x")
    listing.add(["a", "b"], URL("/x?n=2&last=b"))
    listing.add(["a", "b"], URL("/x?n=2&last=b"))
    assert (listing.in_doubt, listing.wider) == (True, 3)
    for page, following in pages:
        listing.widen(page, URL(following) if following else None)
    return listing


def test_a_page_that_came_again_leaves_a_doubt_until_a_wider_one_brings_nothing_new() -> None:
    assert not widened((["a", "b"], None)).in_doubt
    assert not widened((["a", "b"], "/x?n=3&last=b")).in_doubt
    more = widened((["a", "b", "c"], None))
    assert (more.in_doubt, more.wider) == (True, 6)
    more.widen(["a", "b", "c", "d"], None)
    assert (more.in_doubt, more.tags) == (False, ["a", "b", "c", "d"])


def test_a_wider_page_that_still_links_on_is_no_end() -> None:
    assert widened((["a", "b", "c"], "/x?n=3&last=c")).in_doubt


def test_a_page_that_is_full_and_always_the_same_is_no_list() -> None:
    with pytest.raises(RegistryProtocolError, match="every page with the same 2 tags"):
        widened((["a", "b"], "/x?n=2&last=b"))


def test_where_no_wider_page_is_to_be_had_the_doubt_stays_if_the_pages_were_all_one() -> None:
    with pytest.raises(RegistryProtocolError, match="every page with the same 2 tags"):
        widened().give_up_widening()
    with pytest.raises(RegistryProtocolError, match="every page with the same 3 tags"):
        widened((["a", "b", "c"], None)).give_up_widening()
    went_on = TagListing("r/x")
    for page in (["a", "b"], ["c"], ["c"]):
        went_on.add(page, URL(f"/x?n=2&last={page[-1]}"))
    went_on.give_up_widening()
    assert (went_on.in_doubt, went_on.tags) == (False, ["a", "b", "c"])


def test_the_last_tag_once_more_is_no_full_page() -> None:
    listing = TagListing("r/x")
    listing.add(["a", "b"], URL("/x?n=2&last=b"))
    listing.add(["b"], URL("/x?n=2&last=b"))
    listing.give_up_widening()
    assert not listing.in_doubt
