"""Recipes by name, from a file, or from a model that one was made by."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

from ..errors import FileError, IntsimError
from ..storage.files import require_file
from ..storage.model_file import load
from .recipe import PUBLISHED, RECIPES, Recipe, from_table

SUFFIXES = {".toml": tomllib.loads, ".json": json.loads}


def recipe_named(name: str) -> Recipe:
    """A recipe by its name, of a ``.toml`` or ``.json`` file with keys of `Recipe`, or the one that a model was made by.

    Raises IntsimError where there is none of that name, FileError where a file is no recipe.
    """
    if name in RECIPES:
        return RECIPES[name]
    path = Path(name)
    if path.suffix == ".h5":
        return from_table(load(path).provenance.get("recipe", {}), PUBLISHED)  # what older models leave out is published
    if path.suffix not in SUFFIXES:
        raise IntsimError(f"recipe {name!r} is not one of {', '.join(RECIPES)}, nor a {', '.join(SUFFIXES)} or .h5 file")
    require_file(path, "a recipe")
    try:
        table = SUFFIXES[path.suffix](path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FileError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise FileError(f"{path}: not a {path.suffix[1:].upper()} file ({error})") from None
    if not isinstance(table, dict):
        raise FileError(f"{path}: expected a table of choices")
    try:
        return from_table(table)
    except IntsimError as error:
        raise FileError(f"{path}: {error}") from None
