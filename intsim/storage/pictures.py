"""Reads pictures and label maps; writes labels as a palette PNG and as an overlay."""

from __future__ import annotations

import colorsys
import struct
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps, UnidentifiedImageError

from ..arith import IntArray
from ..errors import FileError, IntsimError, PictureSizeMismatch, UnknownLabel
from .files import replacing, require_file

Color = Sequence[int]

# Formats that Pillow recognizes but does not decode: it has no decoder, or starts another program, Ghostscript for EPS.
NOT_DECODED = ("BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF")

# Exceptions of Pillow's decoders on damaged files, including undocumented ones.
UNREADABLE = (
    Image.DecompressionBombError,
    EOFError,
    IndexError,
    MemoryError,
    RuntimeError,  # NotImplementedError among them
    OSError,
    OverflowError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
)


def read_picture(path: str | Path, height: int | None = None, width: int | None = None, resize: bool = False) -> IntArray:
    """The picture as u8 [height, width, 3], upright, by default at its own size. Grey becomes three equal channels, and
    pictures with alpha are composited on black.

    FileError if the file is not a picture or has another size; with `resize` it is scaled instead (bilinear).
    """
    path = Path(path)

    def pixels(opened: Image.Image) -> Image.Image:
        if height is not None and (width, height) not in (opened.size, opened.size[::-1]) and not resize:
            raise PictureSizeMismatch(path, (height, width or 0), (opened.height, opened.width))  # before it is decoded
        picture = _rgb(opened, path)
        if height is not None and picture.size != (width, height) and not resize:
            raise PictureSizeMismatch(path, (height, width or 0), (picture.height, picture.width))
        return picture

    picture = _opened(path, pixels)
    if height is not None and width is not None and picture.size != (width, height):
        picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(picture, np.uint8)


def read_labels(path: str | Path, classes: int, ignore: int | None = None, zero_is_none: bool = False) -> IntArray:
    """A label map as i16 [height, width]: the class of every pixel, or -1 for no class.

    The pixel value is the class. The value `ignore` means no class; with `zero_is_none`, 0 means no class and classes are
    numbered from 1. FileError if the file has several channels or a value is not a class.
    """
    path = Path(path)
    values = np.asarray(_opened(path, lambda opened: _indices(opened, path))).astype(np.int64)
    none = np.zeros(values.shape, bool) if ignore is None else values == ignore
    if zero_is_none:
        none |= values == 0
        values = values - 1
    outside = ~none & ((values < 0) | (values >= classes))
    if outside.any():
        row, column = np.argwhere(outside)[0]
        value = int(values[row, column]) + zero_is_none
        from_one = not zero_is_none and int(values[~none].max()) == classes  # one too many: 0 would mean no class
        others = tuple(int(v) for v in np.unique(values[outside]) + zero_is_none if v != value)
        raise UnknownLabel(path, value, (int(row), int(column)), classes, from_one, others)
    return np.where(none, -1, values).astype(np.int16)


def _opened(path: Path, read: Callable[[Image.Image], Image.Image]) -> Image.Image:
    """The result of `read` on a picture file; a FileError if it is not a picture."""
    require_file(path, "a picture")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about damage and size; both are handled here
            with Image.open(path) as opened:
                if opened.format in NOT_DECODED or min(opened.size) < 1:
                    raise UnidentifiedImageError  # Pillow recognizes the format, but there are no pixels
                picture = read(opened)
                picture.load()
                return picture
    except FileError:
        raise
    except UNREADABLE as error:
        reason = "not a picture" if isinstance(error, UnidentifiedImageError) else f"not a readable picture ({error})"
        raise FileError(f"{path}: {reason}; expected PNG, JPEG, BMP or another format that Pillow reads") from None


def _indices(picture: Image.Image, path: Path) -> Image.Image:
    if picture.format == "JPEG":
        raise FileError(f"{path}: is a JPEG, which does not preserve label values; expected a PNG")
    if picture.mode not in ("P", "L", "1", "I", "I;16", "I;16B", "I;16L"):
        raise FileError(
            f"{path}: has {len(picture.getbands())} channels; a label map has one, whose pixel values are the class indices"
        )
    return ImageOps.exif_transpose(picture)


def _rgb(stored: Image.Image, path: Path) -> Image.Image:
    picture = ImageOps.exif_transpose(stored)  # as cameras store pictures that were taken upright
    if picture.mode == "F" or (picture.mode == "I" and stored.format != "PNG"):  # a PNG has 16 bits at most
        pixels = "floating-point" if picture.mode == "F" else "32-bit"
        raise FileError(f"{path}: has {pixels} pixels, whose range is not known; convert it to 8 bits per channel")
    if picture.mode in ("I;16", "I;16B", "I;16L", "I"):  # 16-bit grey: the high byte
        wide = np.asarray(picture).astype(np.int64)
        return Image.fromarray((wide >> 8).clip(0, 255).astype(np.uint8)).convert("RGB")
    if picture.has_transparency_data:
        layer = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, (0, 0, 0, 255)), layer).convert("RGB")
    return picture.convert("RGB")


def check_presentation(config: Mapping[str, Any]) -> None:
    """Check a configuration's class names and palette, one name and one colour per class. IntsimError if one is invalid."""
    classes = config["n_cls"] if "n_cls" in config else config["num_classes"]
    names, palette = config.get("class_names"), config.get("palette")
    if names is not None and not (_list_of(names, classes) and all(isinstance(name, str) for name in names)):
        raise IntsimError(f"configuration: class_names must be a list of {classes} names")
    if palette is not None and not _is_palette(palette, classes):
        raise IntsimError(f"configuration: palette must be a list of {classes} colours [r, g, b], each 0 to 255")


def _list_of(value: Any, length: int) -> bool:
    return isinstance(value, list) and len(value) == length


def _is_palette(value: Any, classes: int) -> bool:
    colors = _list_of(value, classes) and all(_list_of(color, 3) for color in value)
    return colors and all(isinstance(v, int) and 0 <= v <= 255 for color in value for v in color)


def palette_of(config: Mapping[str, Any], classes: int) -> list[tuple[int, int, int]]:
    """One colour per class: the model's own, or evenly spaced hues."""
    own = config.get("palette")
    if _is_palette(own, classes):
        return [(r, g, b) for r, g, b in own]  # type: ignore[union-attr]
    hues = [colorsys.hsv_to_rgb(i * 0.618034 % 1, 0.55 + 0.4 * (i % 2), 0.95 - 0.25 * (i % 3)) for i in range(classes)]
    return [(round(255 * r), round(255 * g), round(255 * b)) for r, g, b in hues]


def write_labels(path: str | Path, labels: IntArray, palette: Sequence[Color]) -> None:
    """Write labels [H, W] as PNG: a palette picture whose pixel values are class indices; 16-bit grey above 256 classes."""
    if len(palette) > 256:
        picture = Image.fromarray(labels.astype(np.uint16))
    else:
        picture = Image.fromarray(labels.astype(np.uint8))
        picture.putpalette([v for color in palette for v in color])
    with replacing(path) as temporary:
        picture.save(temporary, format="PNG")


def write_overlay(
    path: str | Path, image: IntArray, labels: IntArray, palette: Sequence[Color], names: Sequence[str]
) -> None:
    """Write as PNG the picture, next to it the picture overlaid with its labels, and below them a legend of the classes."""
    zoom = max(1, 512 // max(image.shape[:2]))
    colors = np.asarray(palette, np.int64)[labels]
    blended = (image.astype(np.int64) * 2 + colors * 3) // 5
    blended[_edges(labels)] = 255
    pair = np.concatenate([image, np.full((len(image), 2, 3), 255), blended], axis=1).astype(np.uint8)
    picture = Image.fromarray(pair)
    picture = picture.resize((picture.width * zoom, picture.height * zoom), Image.Resampling.NEAREST)
    with replacing(path) as temporary:
        _with_legend(picture, np.unique(labels), palette, names).save(temporary, format="PNG")


def _edges(labels: IntArray) -> IntArray:
    edges = np.zeros(labels.shape, bool)
    edges[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    edges[1:] |= labels[1:] != labels[:-1]
    return edges


def _with_legend(picture: Image.Image, present: IntArray, palette: Sequence[Color], names: Sequence[str]) -> Image.Image:
    size = max(14, picture.width // 50)
    font = ImageFont.load_default(size)
    entries = [(i, names[i] if i < len(names) else f"class {i}") for i in present.tolist()]
    columns = max(1, picture.width // (size * 9))
    rows = -(-len(entries) // columns)
    line = size * 2
    sheet = Image.new("RGB", (picture.width, picture.height + rows * line + size // 2), "white")
    sheet.paste(picture, (0, 0))
    draw = ImageDraw.Draw(sheet)
    for place, (index, name) in enumerate(entries):
        x = place % columns * (picture.width // columns) + size // 2
        y = picture.height + place // columns * line + size // 2
        draw.rectangle((x, y, x + size, y + size), fill=tuple(palette[index]), outline="black")
        draw.text((x + size + size // 2, y - size // 8), name, fill="black", font=font)
    return sheet
