"""Sentences about registries."""

from dataclasses import dataclass

from tagboat.core.catalog import Registry, RegistryKind
from tagboat.core.polling import RegistryBackoff
from tagboat.operations.queries.registry_use import RegistryUse
from tagboat.web.messages import Tone
from tagboat.web.registry_words import check_sentence, registry_line

FORGE = Registry(id="r", name="forge", url="https://forge.example.com", kind=RegistryKind.OCI)


@dataclass(frozen=True)
class Result:
    name: str
    ok: bool
    detail: str


def test_a_failing_one_says_why() -> None:
    trouble = RegistryBackoff(host="forge.example.com", failures=2, error="the login was refused")
    line = registry_line(RegistryUse(FORGE, ("app",), (), trouble))
    assert (line.tone, line.sentence) == (Tone.BAD, "the login was refused")


def test_use_is_counted() -> None:
    assert registry_line(RegistryUse(FORGE, (), (), None)).state == "not used"
    assert registry_line(RegistryUse(FORGE, ("a",), (), None)).sentence.startswith(
        "The image of one project is"
    )
    assert "2 projects are" in registry_line(RegistryUse(FORGE, ("a", "b"), (), None)).sentence


def test_the_first_failure_is_the_result() -> None:
    well, bad = Result("url", True, "fine"), Result("login", False, "it was refused")  # noqa: FBT003
    assert check_sentence(FORGE, ()) == ""
    assert check_sentence(FORGE, (well,)) == "forge can be reached and accepts the login."
    assert check_sentence(FORGE, (well, bad)) == "forge cannot be used yet: it was refused"
