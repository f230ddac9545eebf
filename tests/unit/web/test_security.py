import pytest

from tagboat.web.security import POLICY, own_path


@pytest.mark.parametrize(
    ("address", "kept"),
    [
        ("/deploys?status=failed", "/deploys?status=failed"),
        ("/", "/"),
        ("/a//b", "/a//b"),
        ("", "/"),
        ("deploys", "/"),
        ("//evil.example.com", "/"),
        ("/\\evil.example.com", "/"),
        ("https://evil.example.com/", "/"),
        ("javascript:alert(1)", "/"),
        ("/\n/evil.example.com", "/"),
        ("/\t/evil.example.com", "/"),
        ("//[", "/"),
        ("//\u2100", "/"),
        ("/[", "/["),
    ],
)
def test_only_paths_of_this_site_are_gone_to(address: str, kept: str) -> None:
    assert own_path(address) == kept


def test_the_policy_allows_nothing_inline() -> None:
    assert "unsafe" not in POLICY
    assert "default-src 'none'" in POLICY
    assert "frame-ancestors 'none'" in POLICY
