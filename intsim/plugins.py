"""Operators and networks from outside: packages with entry points, and modules or files that are named.

A package adds operators by an entry point of the group ``intsim.operators``, networks by one of ``intsim.networks``; each
names a module, or an object in it. They are imported when a name is looked up that is not known otherwise, and then the
files and modules of the environment variable INTSIM_PLUGIN, separated as in PATH.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any

from .errors import IntsimError, printable

OPERATORS, NETWORKS = "intsim.operators", "intsim.networks"  # groups of entry points
VARIABLE = "INTSIM_PLUGIN"
_found: dict[str, dict[str, Any]] = {}  # by group: what its entry points are, by their names
_failures: dict[str, list[str]] = {}


def installed(group: str) -> dict[str, Any]:
    """What the entry points of a group are, by name; those that cannot be imported are left out."""
    if group not in _found:
        from importlib.metadata import entry_points

        _found[group], _failures[group] = {}, []
        for entry in entry_points(group=group):
            try:
                _found[group][entry.name] = entry.load()
            except (Exception, SystemExit) as error:  # noqa: BLE001  anything may happen in another package
                package = f" of {entry.dist.name}" if entry.dist is not None else ""
                _failures[group].append(_failure(f"the plugin {entry.value}{package}", error, "mend or uninstall it"))
    return _found[group]


def missing(group: str, known: Callable[[], bool]) -> bool:
    """Whether what is not known is `known` once the plugins of a group are imported.

    Raises IntsimError where it is not and a plugin could not be imported, which might have it.
    """
    installed(group)
    for plugin in filter(None, os.environ.get(VARIABLE, "").split(os.pathsep)):
        load(plugin)
    if known():
        return True
    if _failures[group]:
        raise IntsimError(_failures[group][0])
    return False


def load_everywhere(plugin: str) -> None:
    """Import a plugin here, and in the processes that this one starts when they need it."""
    load(plugin)
    path = Path(plugin)
    known = [part for part in os.environ.get(VARIABLE, "").split(os.pathsep) if part]
    named = str(path.resolve()) if path.is_file() else plugin
    os.environ[VARIABLE] = os.pathsep.join(dict.fromkeys([*known, named]))


def load(plugin: str) -> ModuleType:
    """Import a plugin, a Python file or a module by its name. Raises IntsimError where it cannot be imported."""
    path = Path(plugin)
    if path.suffix == ".py" or path.is_file():
        if not path.is_file():
            raise IntsimError(f"{plugin}: there is no such file; a plugin is a Python file or the name of a module")
        return _executed(path)
    try:
        return import_module(plugin)
    except (Exception, SystemExit) as error:
        raise IntsimError(
            _failure(f"the plugin {plugin}", error, "it is a Python file, or a module that is installed")
        ) from error


def _executed(path: Path) -> ModuleType:
    """A file as a module of its own name. Once: the same file is not run twice."""
    known = sys.modules.get(path.stem)
    if known is not None and getattr(known, "__file__", None) == str(path.resolve()):
        return known
    if known is not None:
        raise IntsimError(f"{path}: there is another module called {path.stem}; rename the file")
    loader = SourceFileLoader(path.stem, str(path.resolve()))
    spec = spec_from_loader(path.stem, loader)
    assert spec is not None
    module = module_from_spec(spec)
    sys.modules[path.stem] = module
    try:
        loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[path.stem]
        raise IntsimError(_failure(f"the plugin {path}", error, "mend it")) from error
    return module


def _failure(what: str, error: BaseException, way_out: str) -> str:
    """One line about a plugin that cannot be imported, with the line of its code where it happened."""
    if isinstance(error, IntsimError):
        return f"{what}: {error}"
    trace, where = error.__traceback__, ""
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if "importlib" not in file and Path(file) != Path(__file__):
            where = f" ({Path(file).name}, line {trace.tb_lineno})"
        trace = trace.tb_next
    reason = printable(str(error)).splitlines()[0] if str(error) else "no message"
    return f"{what} cannot be imported: {type(error).__name__}: {reason}{where}; {way_out}"
