"""Choices from a row or a table in words: argmax, input_lut."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .element import TERMS, Element, Line


def argmax(x: Element) -> Iterator[Line]:
    row = np.asarray(x.inputs[0][x.at], np.int64)
    best = int(row.argmax())
    for k in np.argsort(-row, kind="stable")[:TERMS]:
        yield Line(f"class {int(k)}", "the largest" if k == best else "", int(row[k]))
    ties = int((row == row[best]).sum())
    yield Line("out", "the class with the largest value", best, 0, f"{ties} tie; the lowest index wins" if ties > 1 else "")


def input_lut(x: Element) -> Iterator[Line]:
    pixel, channel = x.input(), x.at[-1]
    yield Line("pixel", x.source, pixel)
    table = np.asarray(x.node.params["table"])
    yield Line("out", f"table[{channel}][{pixel}]", int(table[channel, pixel]))
