"""Reports of a diff: on the terminal, as JUnit XML, as one HTML page. (JSON is `Diff.record`.)"""

from .html import write_html
from .junit import write_junit
from .terminal import render

__all__ = ["render", "write_html", "write_junit"]
