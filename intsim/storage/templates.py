"""Jinja templates: the one environment that renders every page, picture and package of constants."""

from __future__ import annotations

import base64
import hashlib
import re

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


def with_policy(page: str) -> str:
    """A page of HTML with a content security policy: it runs its own scripts, known by their hashes, and loads nothing.

    Attributes ``style`` are allowed, which widths of bars are in; what a page quotes of files is text, and runs nothing.
    """
    scripts, styles = (" ".join(_hashes(page, tag)) or "'none'" for tag in ("script", "style"))
    policy = (
        f"default-src 'none'; img-src data:; script-src {scripts}; style-src 'unsafe-inline'; style-src-elem {styles}; "
        "style-src-attr 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    )
    charset = '<meta charset="utf-8">\n'
    return page.replace(charset, f'{charset}<meta http-equiv="Content-Security-Policy" content="{policy}">\n', 1)


def _hashes(page: str, tag: str) -> list[str]:
    """The hashes of the contents of all elements `tag`, as a policy has them."""
    contents = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
    return [f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in contents]
