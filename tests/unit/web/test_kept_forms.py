"""Forms that outlive their session."""

from types import MappingProxyType

from tagboat.web.forms import Form
from tagboat.web.kept_forms import KeptField, KeptForm, keep_form, kept_in


def form(**fields: tuple[str, ...]) -> Form:
    return Form(MappingProxyType(fields))


def carried(kept: KeptForm) -> Form:
    fields: dict[str, tuple[str, ...]] = {}
    for name, value in kept.carried:
        fields[name] = (*fields.get(name, ()), value)
    return Form(MappingProxyType(fields))


def test_what_was_typed_comes_through_and_secrets_do_not() -> None:
    typed = form(
        csrf=("abc",), name=(" a\nb ",), password=("hush",), stage=("dev", "prod"), version=("v",)
    )
    kept = keep_form("/registries/new", typed)
    assert kept is not None
    assert kept.fields == (
        KeptField("name", " a\nb "),
        KeptField("password", "", secret=True),
        KeptField("stage", "dev"),
        KeptField("stage", "prod"),
        KeptField("version", "v"),
    )
    assert [field.unseen for field in kept.fields] == [False, False, False, False, True]
    again = kept_in(carried(kept))
    assert again is not None
    assert again.action == "/registries/new"
    assert set(again.fields) == set(kept.fields)


def test_of_a_secret_only_the_value_is_typed_again() -> None:
    typed = form(secret_name=("TLS_KEY",), secret_kind=("secret_files",), secret_value=("a\nb",))
    kept = keep_form("/projects/shop/-/secrets", typed)
    assert kept is not None
    assert kept.fields == (
        KeptField("secret_name", "TLS_KEY"),
        KeptField("secret_kind", "secret_files"),
        KeptField("secret_value", "", secret=True),
    )
    assert [field.has_lines for field in kept.fields] == [False, False, True]


def test_a_secret_that_was_left_empty_need_not_be_typed_again() -> None:
    kept = keep_form("/users/1", form(password=("",)))
    assert kept is not None
    assert kept.fields == (KeptField("password", ""),)


def test_a_form_with_nothing_in_it_is_not_kept() -> None:
    assert keep_form("/sign-out", form(csrf=("abc",))) is None
    assert kept_in(form(name=("ada",))) is None


def test_a_kept_form_leads_to_no_other_site() -> None:
    fields = {"kept-action": ("//evil.example.com/",), "kept.name": ("x",)}
    assert kept_in(Form(MappingProxyType(fields))) is None


def test_names_are_shown_as_words() -> None:
    assert KeptField("auto_create_images", "").label == "Auto create images"
