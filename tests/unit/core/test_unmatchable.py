"""Patterns that no tag can match, and what is said of them."""

import pytest

from tagboat.core.catalog import RegistryKind
from tagboat.core.tags import parse_tag_pattern
from tagboat.core.unmatchable import unmatchable


@pytest.mark.parametrize(
    ("pattern", "instead"),
    [
        ("{main,dev}-*", "write regex:(main|dev)-.*"),
        ("v{1,2}.*", r"write regex:v(1|2)\..*"),
        ("v*,latest", "write regex:v.*|latest"),
        ("v* latest", "write regex:v.*|latest"),
        ("v*|latest", "write regex:v.*|latest"),
        (r"^v\d+$", r"write regex:v\d+"),
        (r"^v.*", "write regex:v.*"),
        (r"v(1|2)$", "write regex:v(1|2)"),
        (r"v[0-9]+", "write regex:v[0-9]+"),
        ("acme/app:v*", "write v*"),
        ("localhost/acme/app:latest", "write latest"),
        ("v1@sha256:*", "write *"),
        (
            "!latest",
            "a pattern cannot exclude tags; make a stage for them with a lower position",
        ),
        ("v*!(rc)", "a pattern cannot exclude"),
        ("release/*", "write release-*"),
        ("refs/tags/v*", "write refs-tags-v*"),
        (" latest", "write latest"),
        ("latest ", "write latest"),
        ('"latest"', "write latest"),
        ("~1.2", "write semver:~1.2"),
        ("^1.2", "write semver:^1.2"),
        (">=1.0.0 <2", "write semver:>=1.0.0 <2"),
        ("main;dev", "a tag has at most 128 letters, digits and _ . - only"),
        (".hidden", "does not begin with . or -"),
        ("-*", "does not begin with . or -"),
        ("?" * 129, "at most 128"),
        ("semver:>2 <1", "no version is in that range"),
        ("regex: v.*", "letters, digits and _ . - only"),
        ("regex:acme/app:.*", "letters, digits and _ . - only"),
    ],
)
def test_what_to_write_instead(pattern: str, instead: str) -> None:
    warning = unmatchable(parse_tag_pattern(pattern), None)
    assert warning is not None
    assert warning.startswith(f"the pattern {pattern} can match no tag: ")
    assert instead in warning


@pytest.mark.parametrize(
    "pattern",
    [
        *(
            "*",
            "v*",
            "latest",
            "[a-z]*",
            "[!a]*",
            "[^v]*",
            "*-rc?",
            "?" * 128,
            r"\v1",
            "_*",
            "semver:^1.2",
            "semver:>2 <1 || 1.x",
        ),
        *("regex:v.*", "regex:(a/)?b", "regex:[/v]1", "regex:a/|b", "regex:v1,?"),
    ],
)
def test_what_some_tag_matches_gets_no_warning(pattern: str) -> None:
    assert unmatchable(parse_tag_pattern(pattern), None) is None


@pytest.mark.parametrize(
    ("pattern", "warned"), [("V*", True), ("v*", False), ("[A-Z]*", True), ("[A-Za-z]*", False)]
)
def test_gitea_has_tags_in_lower_case(pattern: str, warned: bool) -> None:
    parsed = parse_tag_pattern(pattern)
    assert (unmatchable(parsed, RegistryKind.GITEA) is not None) is warned
    assert unmatchable(parsed, RegistryKind.OCI) is None
