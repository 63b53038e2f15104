"""Jinja templates: the one environment that renders every page, picture and package of constants."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined, Template


def template(package: str, name: str, *, markup: bool) -> Template:
    """The template `name` in the folder ``templates`` of a package; `markup` turns on escaping for HTML and SVG.

    Rendering fails if the template uses a variable that the caller does not pass.
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
