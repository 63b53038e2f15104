"""Which option of the commands helps where the library reports a problem. Its exceptions carry facts and name no option."""

from __future__ import annotations

from ..errors import (
    AlteredGolden,
    CheckpointNotFound,
    ConfigurationNotFound,
    IntsimError,
    ModelMismatch,
    ModelNotFound,
    NotAScore,
    PictureSizeMismatch,
    PicturesMissing,
    UnknownLabel,
    UnknownOperator,
    UnmatchedGlob,
)

HINTS: dict[type[IntsimError], str] = {
    UnknownOperator: "one of your own is known with --plugin FILE.py, or INTSIM_PLUGIN",
    AlteredGolden: "--force compares it all the same",
    ModelMismatch: "give its own with --model",
    NotAScore: "'intsim score GOLDEN --json -o FILE' writes one",
    ModelNotFound: "name it with --model",
    CheckpointNotFound: "name it with --checkpoint, or measure the integers alone with --integers",
    ConfigurationNotFound: "the options are --config, --model, and --set KEY=VALUE",
    PicturesMissing: "--calibrate PICTURE names one",
    PictureSizeMismatch: "--resize scales the picture",
}


def with_hint(error: IntsimError) -> str:
    """The message, and the option that it is about or that helps, where there is one."""
    if isinstance(error, UnmatchedGlob):
        return f"--layers {error}"
    if isinstance(error, UnknownLabel) and error.others and not error.from_one:
        return str(error)
    if isinstance(error, UnknownLabel):
        way_out = (
            "--reduce-zero-label if classes count from 1, and 0 means none"
            if error.from_one
            else f"--ignore {error.label} leaves it out"
        )
        return f"{error}; {way_out}"
    hint = HINTS.get(type(error))
    return f"{error}; {hint}" if hint else str(error)
