"""Templates: Jinja2, loaded at the first page, strict about names that nobody has set."""

import re
from collections.abc import Mapping
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from tagboat.web import durations
from tagboat.web.assets import Assets
from tagboat.web.places import (
    delivery_path,
    deploy_path,
    project_part,
    project_path,
    stage_path,
)

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

# Twelve digits are enough to compare by eye; 64 break every line.
_WHOLE_DIGEST = re.compile(r"(sha256:[0-9a-f]{12})[0-9a-f]{52}")
_FOLDER = Path(__file__).parent / "templates"
_ICONS = Path(__file__).parent / "static" / "icons.svg"
_ICON = re.compile(r'<symbol id="([^"]+)"[^>]*>(.*)</symbol>')


class PageTemplates:
    """Fills the templates of `templates/`. Values are escaped; each template is compiled once."""

    def __init__(self, assets: Assets) -> None:
        self._assets = assets

    def url(self, name: str) -> str:
        """Return the address of a static file."""
        return self._assets.url(name)

    def fill(self, name: str, values: Mapping[str, object]) -> str:
        """Return the text of a template; raise jinja2.UndefinedError for a name without value."""
        return _environment().get_template(name).render({"asset": self._assets.url, **values})


@lru_cache(maxsize=1024)
def filled_part(template: str, macro: str, *values: object) -> "Markup":
    """Return what a macro of a template makes of `values`; the last ones are remembered.

    The template takes nothing from a page.
    """
    part: Markup = getattr(_environment().get_template(template).module, macro)(*values)
    return part


@cache
def _environment() -> "Environment":
    from jinja2 import (  # noqa: PLC0415 - two megabytes that only a look at a page needs
        Environment,
        FileSystemLoader,
        StrictUndefined,
    )
    from markupsafe import Markup  # noqa: PLC0415 - comes with Jinja2

    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        # A name that is misspelt must fail in a test, not show nothing at night.
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # A page must not look at the disk for each of its parts.
        auto_reload=False,
        cache_size=-1,
    )
    # Addresses are written in one place, also those in templates.
    environment.globals |= {
        "project_path": project_path,
        "project_part": project_part,
        "stage_path": stage_path,
        "deploy_path": deploy_path,
        "delivery_path": delivery_path,
    }
    # A name that is misspelt is undefined, and so fails.
    environment.globals["icons"] = {
        name: Markup(shapes)  # noqa: S704 - a file of our own, no text of a caller
        for name, shapes in _ICON.findall(_ICONS.read_text(encoding="utf-8"))
    }
    environment.filters |= {
        "ago": durations.age,
        # Jinja's own would put all other letters in lower case.
        "capitalize_first": lambda text: str(text)[:1].upper() + str(text)[1:],
        "exact": durations.exact,
        "lasted": durations.lasted,
        "marked": _marked,
        "short_digests": partial(_WHOLE_DIGEST.sub, r"\1…"),
    }
    environment.tests["in_env"] = lambda field: str(field).startswith("env.")
    return environment


def _marked(text: str) -> "Markup":
    """Return a sentence as HTML, in which what stands between backticks is code."""
    from markupsafe import Markup, escape  # noqa: PLC0415 - comes with Jinja2

    # Split before it is escaped: an escaped quote has no backtick, but a tag might.
    parts = enumerate(text.split("`"))
    return Markup().join(
        Markup("<code>{}</code>").format(part) if index % 2 else escape(part)
        for index, part in parts
    )
