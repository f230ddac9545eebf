"""The quirks of registries as they are, by name.

Each has a test of that name in tests/integration/test_registry_quirks.py.
"""

from collections.abc import Mapping
from types import MappingProxyType

from tagboat.core.values import replace
from tests.support.fake_registry import GITEA, Quirks

_LOGIN = ("ci", "secret")
_PAGES = Quirks(page_size=2)
_TOKENS = Quirks(auth="bearer", login=_LOGIN, anonymous_token=False)
_TOKEN = 'Bearer realm="{url}/token",service="fake",scope="repository:x:pull"'

QUIRKS: Mapping[str, Quirks] = MappingProxyType(
    {
        # Gitea and Forgejo
        "gitea_old": replace(
            GITEA,
            challenges=('Bearer realm="{url}/v2/token"', "Basic"),
            catalogue=False,
            version="1.17.0",
        ),
        "gitea_new": GITEA,
        "forgejo": replace(GITEA, version="11.0.1+gitea-1.22.0", page_size=None),
        # Lists
        "n_1000_refused": replace(_PAGES, refuses_n_from=1000),
        "last_ignored": replace(_PAGES, ignores_last=True),
        "last_and_n_ignored": replace(
            _PAGES, ignores_last=True, ignores_n=True, page_size=None, link_on_every_page=True
        ),
        "last_ignored_and_n_refused": replace(_PAGES, ignores_last=True, refuses_n_from=3),
        "link_relative": replace(_PAGES, link='<{path}?n={n}&last={last}>; rel="next"'),
        "link_absolute": replace(_PAGES, link='<{url}{path}?n={n}&last={last}>; rel="next"'),
        "link_without_brackets": replace(_PAGES, link='{path}?n={n}&last={last}; rel="next"'),
        "link_with_lost_port": replace(
            _PAGES, link='<http://127.0.0.1{path}?n={n}&last={last}>; rel="next"'
        ),
        "link_with_lost_path": replace(
            _PAGES, link='</v2/tags/list?n={n}&last={last}>; rel="next"'
        ),
        "link_on_the_last_page": replace(_PAGES, link_on_every_page=True),
        "link_repeating": replace(
            _PAGES, link='<{path}?n={n}>; rel="next"', link_on_every_page=True
        ),
        "tags_null": Quirks(),
        "tags_like_digests": Quirks(),
        "tags_of_signatures_and_attestations": Quirks(),
        "twenty_thousand_tags": Quirks(page_size=1000),
        # Logins
        "realm_unreachable": replace(
            GITEA,
            challenges=(
                'Bearer realm="http://127.0.0.1:1/v2/token",service="container_registry"',
                'Basic realm="x"',
            ),
        ),
        "realm_with_upper_case": replace(
            _TOKENS, token_path="/Auth/ToKen", challenges=('Bearer realm="{url}/Auth/ToKen"',)
        ),
        "no_service": replace(_TOKENS, challenges=('Bearer realm="{url}/token"',)),
        "two_challenges_in_one_header": replace(
            _TOKENS, challenges=(f'Basic realm="a, b", {_TOKEN}',)
        ),
        "two_challenges_in_two_headers": replace(
            _TOKENS, challenges=('Basic realm="a, b"', _TOKEN)
        ),
        "tokens_without_expires_in": replace(_TOKENS, expires_in=None),
        "tokens_for_five_seconds": replace(_TOKENS, expires_in=5),
        "endless_401": replace(_TOKENS, refuses_tokens=True),
        # Manifests
        "head_refused": Quirks(head_status=405),
        "no_docker_content_digest": Quirks(digest_header=None),
        "nested_index": Quirks(),
        "attestations": Quirks(),
        # Trouble
        "too_many_requests_with_seconds": Quirks(retry_after="120"),
        "too_many_requests_with_a_date": Quirks(retry_after="Tue, 24 Nov 2026 12:10:00 GMT"),
        "too_many_requests_with_unix_time": Quirks(retry_after="1795522200"),
        "docker_hub_rate_limit": Quirks(pull_limit=(10, 21600)),
        "sometimes_500": Quirks(page_size=2, fails_every=3),
        "body_cut_short": Quirks(page_size=2, cuts_every=3),
    }
)
