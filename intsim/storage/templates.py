"""Jinja templates: every page, picture and package of constants is rendered through this one environment."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined, Template


def template(package: str, name: str, *, markup: bool) -> Template:
    """The template `name` in the folder ``templates`` of a package; `markup` escapes what HTML and SVG would interpret.

    A variable that the template uses and the caller does not give is an error.
    """
    environment = Environment(
        loader=PackageLoader(package, "templates"),
        autoescape=markup,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=not markup,
    )
    return environment.get_template(name)
