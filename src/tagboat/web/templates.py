"""Templates: Jinja2, loaded at the first page, strict about names that nobody has set."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from tagboat.core.deploy import StepName
from tagboat.web import durations
from tagboat.web.assets import Assets

if TYPE_CHECKING:
    from jinja2 import Environment

_FOLDER = Path(__file__).parent / "templates"


class PageTemplates:
    """Fills the templates of `templates/`. Values are escaped; each template is compiled once."""

    def __init__(self, assets: Assets) -> None:
        self._assets = assets

    def fill(self, name: str, values: Mapping[str, object]) -> str:
        """Return the text of a template; raise jinja2.UndefinedError for a name without value."""
        return self._environment.get_template(name).render(values)

    @cached_property
    def _environment(self) -> "Environment":
        from jinja2 import (  # noqa: PLC0415 - two megabytes that only a look at a page needs
            Environment,
            FileSystemLoader,
            StrictUndefined,
        )

        environment = Environment(
            loader=FileSystemLoader(_FOLDER),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            # A page must not look at the disk for each of its parts.
            auto_reload=False,
            cache_size=-1,
        )
        environment.globals["asset"] = self._assets.url
        environment.globals["step_names"] = tuple(StepName)
        environment.filters["ago"] = durations.age
        environment.filters["exact"] = durations.exact
        environment.filters["lasted"] = durations.lasted
        return environment
