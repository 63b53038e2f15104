"""The pytest plugin: ``--golden PATH``, ``--golden-model PATH``, the ini option ``intsim_golden``, the fixture ``golden``.

pytest loads it automatically wherever intsim is installed, so expensive imports wait until the fixture is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .golden import Golden

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the command-line options and the ini option."""
    group = parser.getgroup("intsim", "golden tensors of intsim")
    group.addoption(
        "--golden",
        metavar="PATH",
        default=None,
        help="Golden file of the fixture `golden`; by default the one of the ini option intsim_golden.",
    )
    group.addoption(
        "--golden-model",
        metavar="PATH",
        default=None,
        help="Model of the golden file; by default the shipped one, or one in the same folder.",
    )
    parser.addini("intsim_golden", "Golden file of the fixture `golden`; by default the shipped one.", default="")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Refuse files that cannot be a golden file or a model before any test runs."""
    for path, source in (_golden(session.config), _model(session.config)):
        if path is None:
            continue
        if not path.is_file():
            problem = "is a folder, not a file" if path.is_dir() else "no such file"
            raise pytest.UsageError(f"{source} {path}: {problem}")
        with path.open("rb") as stream:
            if stream.read(len(HDF5_SIGNATURE)) != HDF5_SIGNATURE:
                raise pytest.UsageError(
                    f"{source} {path}: is not an intsim file; 'intsim golden' and 'intsim quantize' write them"
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
            opened = stack.enter_context(open_with_model(path, model))
        except IntsimError as error:
            named = isinstance(error, (ModelMismatch, ModelNotFound))
            problem = f"{error}; name its own with --golden-model" if named else str(error)
        if problem:  # outside the except block, where pytest would show both errors
            pytest.fail(problem, pytrace=False)
        yield opened


def _golden(config: pytest.Config) -> tuple[Path | None, str]:
    """The golden file that was named (None if none was), and the option that named it."""
    if (named := config.getoption("golden")) == "":
        raise pytest.UsageError("--golden: the path is empty; name a golden file")
    if named is not None:
        return config.invocation_params.dir / named, "--golden"
    if named := config.getini("intsim_golden"):
        return (config.inipath.parent if config.inipath else config.rootpath) / named, "intsim_golden ="
    return None, ""


def _model(config: pytest.Config) -> tuple[Path | None, str]:
    """The model that was named (None if none was), and the option that named it."""
    named = config.getoption("golden_model")
    return (None if named is None else config.invocation_params.dir / named), "--golden-model"
