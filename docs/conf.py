"""The documentation site: `make site` builds it into build/site, without any request to a network."""

import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "docs" / "_ext"), str(ROOT / "tools"), str(ROOT)]

import intsim  # noqa: E402

project = "intsim"
author = copyright = "The intsim developers"
version = release = intsim.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx_copybutton", "generated_pages"]
exclude_patterns = ["_ext", "_static"]
nitpicky = True
nitpick_ignore_regex = [
    (r"py:.*", r"(np|numpy|numba|torch|h5py|click|rich|hypothesis|onnx|pathlib|collections|typing|types|enum)\..*"),
    (r"py:class", r"intsim\.(debugging|measurement|nets|qat|quantization)\..*"),  # records within records
    (r"py:class", r"intsim\.ops\._op\.Param"),  # documented as intsim.ops.Param
    (r"py:class", r"IntArray|tuple\[str|intsim\.storage\.hdf5\.Values"),  # aliases, and an annotation that is text
]
default_role = "code"  # docstrings write names in single backquotes, as Markdown does

myst_enable_extensions = ["colon_fence", "attrs_inline"]
myst_heading_anchors = 4
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 120
nb_merge_streams = True

autodoc_typehints = "signature"
autodoc_preserve_defaults = True

smartquotes = False  # "--option" stays as it is typed

html_theme = "furo"
html_title = f"intsim {version}"
html_static_path = ["_static"]
html_extra_path = ["../build/pages"]  # the page that teaches with the hand
html_css_files = ["intsim.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
pygments_style, pygments_dark_style = "friendly", "monokai"
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
