"""The pytest plugin: ``--golden PATH``, ``--golden-model PATH``, the ini value ``intsim_golden``, the fixture ``golden``.

pytest loads it by itself wherever intsim is installed, so nothing heavy is imported before the fixture is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .golden import Golden

HDF5_START = b"\x89HDF\r\n\x1a\n"


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options and the ini value."""
    group = parser.getgroup("intsim", "golden tensors of intsim")
    group.addoption(
        "--golden", metavar="PATH", default=None, help="Golden file of the fixture `golden`; otherwise the ini value's."
    )
    group.addoption(
        "--golden-model",
        metavar="PATH",
        default=None,
        help="Model it was made from; otherwise the shipped one, or one beside the golden file.",
    )
    parser.addini("intsim_golden", "Golden file of the fixture `golden`; otherwise the shipped one.", default="")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Refuse what cannot be a golden file or a model before any test runs."""
    for path, source in (_golden(session.config), _model(session.config)):
        if path is None:
            continue
        if not path.is_file():
            said = "it is a folder" if path.is_dir() else "there is no such file"
            raise pytest.UsageError(f"{source} {path}: {said}")
        with path.open("rb") as stream:
            if stream.read(len(HDF5_START)) != HDF5_START:
                raise pytest.UsageError(
                    f"{source} {path}: not a file of intsim; 'intsim golden' and 'intsim quantize' write them"
                )


@pytest.fixture(scope="session")
def golden(request: pytest.FixtureRequest) -> Iterator[Golden]:
    """The golden file: ``golden["encoder.embedded"]``, ``golden.inputs(node)``, ``golden.params(node)``,
    ``golden.nodes("shiftmax")``, ``golden.check(node, values)``.
    """
    from .. import resources
    from ..errors import IntsimError, ModelMismatch, ModelNotFound
    from .golden import open_with_model

    path, model = _golden(request.config)[0] or resources.golden_file(), _model(request.config)[0]
    with ExitStack() as stack:
        problem = ""
        try:
            found = stack.enter_context(open_with_model(path, model))
        except IntsimError as error:
            named = isinstance(error, (ModelMismatch, ModelNotFound))
            problem = f"{error}; name its own with --golden-model" if named else str(error)
        if problem:  # outside the except: pytest would show both
            pytest.fail(problem, pytrace=False)
        yield found


def _golden(config: pytest.Config) -> tuple[Path | None, str]:
    """The golden file that was named, and where."""
    if (named := config.getoption("golden")) == "":
        raise pytest.UsageError("--golden names no file")
    if named is not None:
        return config.invocation_params.dir / named, "--golden"
    if named := config.getini("intsim_golden"):
        return (config.inipath.parent if config.inipath else config.rootpath) / named, "intsim_golden ="
    return None, ""


def _model(config: pytest.Config) -> tuple[Path | None, str]:
    named = config.getoption("golden_model")
    return (None if named is None else config.invocation_params.dir / named), "--golden-model"
