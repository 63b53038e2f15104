"""What ships with intsim: a trained model, its checkpoint, a picture for it, the golden file of the two; schemas.

In a checkout they stand in weights/, examples/, golden/ and docs/; an installed wheel carries copies in ``intsim/shipped``.
"""

from pathlib import Path

_PACKAGE = Path(__file__).parent
_PLACES = {
    "scenes.h5": "weights/scenes.h5",
    "scenes.safetensors": "weights/scenes.safetensors",
    "scene.png": "examples/scenes/scene_00.png",
    "golden.h5": "golden/scenes.h5",
    "manifest-v1.schema.json": "docs/manifest-v1.schema.json",
}


def _shipped(name: str) -> Path:
    installed = _PACKAGE / "shipped" / name
    return installed if installed.exists() else _PACKAGE.parent / _PLACES[name]


def model() -> Path:
    """The trained street-scene Segmenter."""
    return _shipped("scenes.h5")


def checkpoint() -> Path:
    """The float checkpoint it was quantized from."""
    return _shipped("scenes.safetensors")


def picture() -> Path:
    """A held-out picture of the size the model takes."""
    return _shipped("scene.png")


def golden_file() -> Path:
    """The golden file of that model on that picture."""
    return _shipped("golden.h5")


def manifest_schema() -> Path:
    """The JSON schema of an export's manifest."""
    return _shipped("manifest-v1.schema.json")
