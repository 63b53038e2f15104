"""Procedural street scenes with exact labels.

A scene is drawn back to front (sky, skyline, ground, then trees, vehicles and
people sorted by how close they stand) on a canvas four times too large, then
reduced.  Everything follows from the seed.  Colours are deliberately shared
between classes (grey skies, grey houses and grey roads; vehicles and clothes of
any colour), so that a model has to look at shape and context.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image, ImageDraw

CLASSES = ("sky", "building", "road", "grass", "tree", "vehicle", "person")
SKY, BUILDING, ROAD, GRASS, TREE, VEHICLE, PERSON = range(len(CLASSES))

# Neighbours differ in lightness, so the map is also readable without colour vision.
PALETTE = (
    (150, 206, 236),
    (166, 146, 140),
    (70, 72, 86),
    (196, 208, 112),
    (0, 106, 82),
    (240, 164, 32),
    (190, 44, 106),
)

# Seeds of the scenes for each purpose; the ranges do not overlap.
TRAIN_SEED, TRAIN_SCENES = 0, 12_000
EVAL_SEED, EVAL_SCENES = 1_000_000, 200
CALIBRATION_SEED = 2_000_000
EXAMPLE_SEED, EXAMPLES = 3_000_000, 6

OVERSAMPLE = 4
# Storeys and kerbs are aligned with this grid, up to a slope, so that a map with one
# label per 8 x 8 patch can describe a street well; everything else is placed freely.
STOREY = 8.0
UNITS = 128  # all coordinates below are in a 128 x 128 frame, for any output size

Color = Sequence[float]
Point = tuple[float, float]
Rng = np.random.Generator

# top of the sky, horizon, colour of the light, share of windows that are lit
SKIES: tuple[tuple[Color, Color, Color, float], ...] = (
    ((84, 150, 226), (196, 224, 242), (1.00, 1.00, 0.98), 0.0),
    ((112, 178, 236), (226, 236, 240), (1.04, 1.03, 1.00), 0.0),
    ((150, 156, 166), (196, 198, 202), (0.84, 0.86, 0.90), 0.1),
    ((190, 194, 200), (222, 222, 222), (0.92, 0.93, 0.95), 0.0),
    ((124, 158, 206), (250, 206, 150), (1.06, 0.95, 0.80), 0.1),
    ((112, 96, 160), (250, 150, 104), (0.98, 0.78, 0.70), 0.3),
    ((34, 44, 92), (146, 112, 150), (0.56, 0.55, 0.70), 0.6),
)
WALLS = (
    (168, 88, 68), (140, 70, 60), (228, 208, 172), (236, 226, 206), (150, 150, 152),
    (112, 114, 120), (128, 146, 166), (222, 166, 152), (226, 188, 112), (146, 166, 142),
    (92, 92, 104), (196, 182, 164), (180, 120, 90),
)  # fmt: skip
FOLIAGE = (
    (58, 112, 56), (76, 132, 62), (44, 92, 58), (104, 144, 66), (36, 78, 50), (88, 120, 50),
    (196, 124, 44), (178, 76, 46), (212, 168, 62), (226, 158, 178),
)  # fmt: skip
LAWNS = (
    (112, 156, 74),
    (96, 142, 70),
    (136, 164, 82),
    (160, 164, 94),
    (84, 124, 62),
    (176, 162, 108),
)
ROADS = ((96, 98, 104), (116, 116, 120), (78, 80, 88), (134, 130, 126), (104, 98, 94))
PAINTS = (
    (206, 52, 48), (40, 92, 176), (236, 196, 60), (240, 240, 238), (44, 46, 54), (150, 154, 160),
    (60, 140, 100), (232, 128, 46), (112, 170, 214), (130, 60, 110), (188, 176, 150), (90, 96, 104),
)  # fmt: skip
SKINS = ((244, 208, 178), (226, 180, 142), (190, 138, 100), (142, 96, 66), (96, 64, 46))
HAIRS = (
    (38, 30, 28),
    (84, 54, 36),
    (150, 104, 58),
    (214, 178, 106),
    (164, 160, 158),
    (150, 66, 40),
)
GLASS = (104, 130, 152)
LAMP = (255, 222, 148)
# standard deviation of the surface grain of each class
GRAIN = np.array([1.5, 4.0, 5.5, 10.0, 9.0, 2.5, 4.0], dtype=np.float32)


class _Canvas:
    """An oversized picture and its label map, drawn at the same time."""

    def __init__(self, size: int, light: Color, sun: int) -> None:
        side = size * OVERSAMPLE
        self.scale = side / UNITS
        self.light = light
        self.sun = sun  # -1: light from the left, +1: from the right
        self.image = Image.new("RGB", (side, side))
        self.labels = Image.new("L", (side, side), SKY)
        self._paint = ImageDraw.Draw(self.image)
        self._glaze = ImageDraw.Draw(self.image, "RGBA")
        self._tag = ImageDraw.Draw(self.labels)

    def _ink(self, color: Color, glow: bool) -> tuple[int, int, int]:
        light = (1.0, 1.0, 1.0) if glow else self.light
        r, g, b = (min(255, max(0, round(c * k))) for c, k in zip(color, light, strict=True))
        return r, g, b

    def poly(self, points: Sequence[Point], color: Color, cls: int | None = None, glow: bool = False) -> None:
        """Fill a polygon; without a class the labels do not change."""
        xy = [(x * self.scale, y * self.scale) for x, y in points]
        self._paint.polygon(xy, fill=self._ink(color, glow))
        if cls is not None:
            self._tag.polygon(xy, fill=cls)

    def box(
        self,
        x0: float,
        y0: float,
        x1: float,
        y1: float,
        color: Color,
        cls: int | None = None,
        radius: float = 0.0,
        glow: bool = False,
    ) -> None:
        """Fill a rectangle, with rounded corners if asked."""
        s = self.scale
        xy = (x0 * s, y0 * s, max(x0, x1) * s, max(y0, y1) * s)
        self._paint.rounded_rectangle(xy, radius * s, fill=self._ink(color, glow))
        if cls is not None:
            self._tag.rounded_rectangle(xy, radius * s, fill=cls)

    def oval(
        self,
        cx: float,
        cy: float,
        rx: float,
        ry: float,
        color: Color,
        cls: int | None = None,
        glow: bool = False,
    ) -> None:
        """Fill an axis-aligned ellipse."""
        s = self.scale
        xy = ((cx - rx) * s, (cy - ry) * s, (cx + rx) * s, (cy + ry) * s)
        self._paint.ellipse(xy, fill=self._ink(color, glow))
        if cls is not None:
            self._tag.ellipse(xy, fill=cls)

    def veil(self, points: Sequence[Point], color: Color, alpha: float) -> None:
        """Blend a translucent polygon over the picture; labels do not change."""
        xy = [(x * self.scale, y * self.scale) for x, y in points]
        self._glaze.polygon(xy, fill=(*self._ink(color, True), round(255 * alpha)))

    def shadow(self, cx: float, cy: float, rx: float, ry: float) -> None:
        """Darken the ground under and next to an object, away from the sun."""
        s = self.scale
        for grow, alpha in ((1.0, 50), (0.8, 60)):
            x = cx - self.sun * rx * 0.25
            xy = (
                (x - rx * grow) * s,
                (cy - ry * grow) * s,
                (x + rx * grow) * s,
                (cy + ry * grow) * s,
            )
            self._glaze.ellipse(xy, fill=(16, 18, 34, alpha))


def _mix(a: Color, b: Color, t: float) -> Color:
    return tuple(p + (q - p) * t for p, q in zip(a, b, strict=True))


def _tone(color: Color, k: float) -> Color:
    return tuple(c * k for c in color)


def _pick(rng: Rng, colors: Sequence[Color], spread: float = 14.0) -> Color:
    """One of the colours, varied slightly."""
    base = colors[int(rng.integers(len(colors)))]
    shift = rng.uniform(-spread, spread, 3) + rng.uniform(-spread, spread)
    return tuple(c + d for c, d in zip(base, shift, strict=True))


def _sky(c: _Canvas, rng: Rng, top: Color, horizon: Color, ground: float) -> None:
    """Gradient, sun or moon, clouds."""
    t = np.clip(np.linspace(0, UNITS / ground, c.image.height), 0, 1)[:, None, None] ** 0.9
    ramp = np.asarray(top) * (1 - t) + np.asarray(horizon) * t
    column = Image.fromarray(ramp.clip(0, 255).astype(np.uint8))
    c.image.paste(column.resize(c.image.size))
    if rng.random() < 0.45:
        x, y, r = rng.uniform(10, 118), rng.uniform(6, 36), rng.uniform(4, 8)
        disc = _mix(horizon, (255, 250, 220), 0.85)
        c.oval(x, y, r * 1.5, r * 1.5, _mix(_mix(top, horizon, y / ground), disc, 0.35), glow=True)
        c.oval(x, y, r, r, disc, glow=True)
    for _ in range(int(rng.integers(0, 4))):
        x, y, w = rng.uniform(0, 128), rng.uniform(4, 40), rng.uniform(9, 20)
        fluff = _mix(
            _mix(top, horizon, y / ground),
            _mix(horizon, (255, 255, 255), 0.7),
            rng.uniform(0.4, 0.9),
        )
        for dx, r in ((-0.6, 0.28), (-0.15, 0.42), (0.35, 0.34), (0.75, 0.2)):
            c.oval(x + dx * w, y - r * w * 0.4, r * w * 1.3, r * w * 0.75, fluff, glow=True)


def _building(c: _Canvas, rng: Rng, x0: float, x1: float, top: float, base: float, lit: float) -> None:
    """One house front: wall, roof, windows, shop or door."""
    wall = _pick(rng, WALLS)
    width = x1 - x0
    roof = _tone(wall, rng.uniform(0.55, 0.8)) if rng.random() < 0.5 else _pick(rng, ((96, 62, 56), (80, 84, 96)))
    style = rng.integers(4)
    if style == 0 and width < 40:  # gable
        peak = top - rng.uniform(6, 12)
        c.poly([(x0 - 1, top), ((x0 + x1) / 2, peak), (x1 + 1, top)], roof, BUILDING)
    elif style == 1:  # mansard
        rise = rng.uniform(5, 9)
        c.poly([(x0, top), (x0 + 4, top - rise), (x1 - 4, top - rise), (x1, top)], roof, BUILDING)
    c.box(x0, top, x1, base, wall, BUILDING)
    if style == 2:
        c.box(x0, top, x1, top + 2, roof)

    shop = rng.random() < 0.4
    floor = base - (14 if shop else 4)
    cols = max(2, round(width / rng.uniform(7.5, 12)))
    rows = max(1, round((floor - top - 3) / rng.uniform(8.5, 13)))
    dx, dy = (width - 3) / cols, (floor - top - 3) / rows
    wx, wy = dx * rng.uniform(0.45, 0.7), dy * rng.uniform(0.5, 0.72)
    frame = _tone(wall, rng.choice((0.72, 1.22)))
    pane = _mix(_mix(GLASS, wall, 0.25), (40, 48, 62), rng.uniform(0, 0.8))
    on = rng.random((rows, cols)) < lit
    for row in range(rows):
        for col in range(cols):
            x = x0 + 1.5 + dx * (col + 0.5) - wx / 2
            y = top + 3 + dy * (row + 0.5) - wy / 2
            c.box(x - 0.6, y - 0.6, x + wx + 0.6, y + wy + 0.9, frame)
            glow = bool(on[row, col])
            c.box(x, y, x + wx, y + wy, LAMP if glow else pane, glow=glow)
            c.box(x + wx * 0.46, y, x + wx * 0.54, y + wy, frame)
    if shop:
        sign = _pick(rng, PAINTS)
        glow = lit > 0.2
        c.box(x0 + 2, base - 9, x1 - 2, base, LAMP if glow else _tone(GLASS, 0.75), glow=glow)
        stripe = (x1 - x0 - 2) / 8
        for i in range(8):
            x = x0 + 1 + i * stripe
            cloth = sign if i % 2 else (236, 232, 224)
            c.poly(
                [(x, base - 12), (x + stripe, base - 12), (x + stripe, base - 8), (x, base - 8)],
                cloth,
            )
    edge = x0 if c.sun > 0 else x1
    inner = edge + c.sun * width * 0.22
    c.veil([(edge, top), (inner, top), (inner, base), (edge, base)], (18, 18, 36), 0.22)


def _skyline(c: _Canvas, rng: Rng, base: float, horizon: Color, lit: float) -> None:
    """A row of houses with hazy towers behind it."""
    for x in rng.uniform(0, 110, int(rng.integers(0, 3))):
        w, top = rng.uniform(22, 36), base - STOREY * rng.integers(6, 8)
        c.box(x, top, x + w, base, _mix(_pick(rng, WALLS), horizon, 0.5), BUILDING, glow=True)
    low = int(rng.integers(3, 6))  # the street keeps a common height
    x = rng.uniform(-20, 4)
    while x < 128:
        width = rng.uniform(28, 56)
        if rng.random() < 0.92:
            _building(c, rng, x, x + width, base - STOREY * (low + int(rng.integers(-1, 2))), base, lit)
        x += width


def _lawn(c: _Canvas, rng: Rng, points: Sequence[Point], color: Color) -> None:
    """A lawn with tufts and flowers."""
    c.poly(points, color, GRASS)
    ys = [y for _, y in points]
    n = int((max(ys) - min(ys)) * 1.4)
    spots = rng.uniform((0, min(ys) + 1, 0.6), (128, max(ys), 1.3), (n, 3))
    bloom = _pick(rng, ((250, 240, 200), (240, 210, 80), (226, 120, 140), color))
    ground = c.labels.load()
    limit = c.labels.width - 1
    for i, (x, y, k) in enumerate(spots):
        if ground[min(limit, int(x * c.scale)), min(limit, int(y * c.scale))] != GRASS:
            continue
        if i % 5 == 0:
            c.oval(x, y, 0.55 * k, 0.45 * k, bloom)
        else:
            c.poly(
                [(x - k, y), (x + 0.2, y - 2.4 * k), (x + k, y)],
                _tone(color, 0.72 + 0.4 * (k - 0.6)),
            )


def _street(c: _Canvas, rng: Rng, base: float, lawn: Color, road: Color) -> tuple[float, float]:
    """Ground with a road across the picture; returns the band where wheels may stand."""
    tilt = rng.uniform(-1.2, 1.2)
    y0 = base + 2 * STOREY
    y1 = y0 + 3 * STOREY
    _lawn(c, rng, [(0, base - 0.5), (128, base - 0.5), (128, 128), (0, 128)], lawn)
    near = y1 if rng.random() < 0.5 else 140.0
    c.poly([(0, y0 - tilt), (128, y0 + tilt), (128, near + tilt), (0, near - tilt)], road, ROAD)
    kerb = _mix(road, (214, 210, 204), 0.7)
    for y in (y0, near):
        c.poly(
            [
                (0, y - tilt - 0.9),
                (128, y + tilt - 0.9),
                (128, y + tilt + 0.9),
                (0, y - tilt + 0.9),
            ],
            kerb,
        )
    mid, paint = (y0 + y1) / 2, _mix(road, (250, 246, 226), 0.8)
    period = rng.uniform(14, 24)
    for x in np.arange(rng.uniform(-period, 0), 128, period):
        a, b = (mid + tilt * (2 * p / 128 - 1) for p in (x, x + period * 0.55))
        c.poly(
            [
                (x, a - 0.8),
                (x + period * 0.55, b - 0.8),
                (x + period * 0.55, b + 0.8),
                (x, a + 0.8),
            ],
            paint,
        )
    if rng.random() < 0.3:  # zebra crossing
        x = rng.uniform(20, 90)
        for i in range(4):
            a, y = x + i * 6, tilt * (2 * (x + i * 6) / 128 - 1)
            c.poly([(a, y0 + y + 1), (a + 3, y0 + y + 1), (a, y1 + y - 1), (a - 4, y1 + y - 1)], paint)
    return y0 + 10, min(y1 + 2, 122)


def _avenue(c: _Canvas, rng: Rng, base: float, lawn: Color, road: Color) -> tuple[float, float]:
    """Ground with a road that runs away; returns its left and right at the bottom."""
    _lawn(c, rng, [(0, base - 0.5), (128, base - 0.5), (128, 128), (0, 128)], lawn)
    vx, half = rng.uniform(50, 78), rng.uniform(16, 26)
    cx, wide = 64 + rng.uniform(-16, 16), rng.uniform(40, 60)
    kerb = _mix(road, (214, 210, 204), 0.7)
    for extra, color in ((0.06, kerb), (0.0, road)):
        g, h = half * (1 + extra), wide * (1 + extra)
        c.poly([(vx - g, base - 0.5), (vx + g, base - 0.5), (cx + h, 128), (cx - h, 128)], color, ROAD)
    paint = _mix(road, (250, 246, 226), 0.8)
    for i in range(6):  # dashes shorten towards the horizon
        t0, t1 = (i / 6) ** 1.7, ((i + 0.55) / 6) ** 1.7
        (xa, ya, wa), (xb, yb, wb) = ((vx + (cx - vx) * t, base + (128 - base) * t, 0.4 + 1.6 * t) for t in (t0, t1))
        c.poly([(xa - wa, ya), (xa + wa, ya), (xb + wb, yb), (xb - wb, yb)], paint)
    return cx - wide, cx + wide


def _tree(c: _Canvas, rng: Rng, x: float, base: float, radius: float) -> None:
    """A tree of one of three habits."""
    leaf = _pick(rng, FOLIAGE)
    bark = _pick(rng, ((92, 68, 50), (70, 56, 48), (120, 108, 96)), 8)
    habit = rng.integers(6)
    c.shadow(x, base, radius * 0.9, radius * 0.22)
    light, dark = _tone(leaf, 1.2), _tone(leaf, 0.76)
    trunk = radius * 0.2
    if habit == 0:  # conifer
        c.box(x - trunk * 0.7, base - 8, x + trunk * 0.7, base, bark, TREE)
        for i, k in enumerate((1.0, 0.8, 0.58)):
            y = base - 4 - i * radius * 0.72
            c.poly(
                [(x - radius * k, y), (x, y - radius * 1.45), (x + radius * k, y)],
                _tone(leaf, 0.78 + 0.14 * i),
                TREE,
            )
        return
    if habit == 1:  # poplar
        c.box(x - trunk * 0.6, base - 10, x + trunk * 0.6, base, bark, TREE)
        cy, rx, ry = base - 5 - radius * 1.35, radius * 0.72, radius * 1.5
        blobs = np.array([(0.0, 0.0)])
    else:  # round crown made of blobs
        cy, rx, ry = (
            base - radius * rng.uniform(1.35, 1.7),
            radius,
            radius * rng.uniform(0.78, 0.95),
        )
        c.poly(
            [(x - trunk * 0.7, cy), (x + trunk * 0.7, cy), (x + trunk, base), (x - trunk, base)],
            bark,
            TREE,
        )
        angle = np.linspace(0, 2 * np.pi, 7, endpoint=False) + rng.uniform(0, 1)
        blobs = np.stack([np.cos(angle), np.sin(angle)], 1) * rng.uniform(0.42, 0.58, (7, 1))
    size = 1.0 if habit == 1 else 0.58
    for bx, by in blobs:
        c.oval(x + bx * rx, cy + by * ry, rx * size, ry * size, dark, TREE)
    for bx, by in blobs:
        c.oval(
            x + (bx * 0.86 + 0.06 * c.sun) * rx,
            cy + (by * 0.86 - 0.08) * ry,
            rx * size * 0.82,
            ry * size * 0.84,
            leaf,
            TREE,
        )
    angle, far = rng.uniform(0, 2 * np.pi, 34), np.sqrt(rng.uniform(0, 0.72, 34))
    for i in range(34):  # leaf clusters, brighter towards the sun
        px, py = np.cos(angle[i]) * far[i], np.sin(angle[i]) * far[i]
        bright = px * c.sun - py + 0.5 * np.sin(7.0 * i)
        c.oval(x + px * rx, cy + py * ry, radius * 0.11, radius * 0.09, light if bright > 0.1 else dark)


def _wheel(c: _Canvas, x: float, y: float, r: float) -> None:
    c.oval(x, y, r, r, (34, 34, 38), VEHICLE)
    c.oval(x, y, r * 0.5, r * 0.5, (168, 170, 176))


def _side_vehicle(c: _Canvas, rng: Rng, x: float, base: float, width: float) -> None:
    """A car, van or bus seen from its side; x is the middle."""
    paint, head = _pick(rng, PAINTS), int(rng.choice((-1, 1)))
    kind = rng.integers(4)
    glass, dark = _mix(GLASS, (30, 40, 54), rng.uniform(0, 0.7)), _tone(paint, 0.72)

    def at(u: float, v: float) -> Point:
        """From the vehicle's own frame: u -0.5 (tail) .. 0.5 (nose), v heights."""
        return x + head * u * width, base - v

    r = min(5.6, width * 0.105)
    height = {0: 0.46, 1: 0.48, 2: 0.60, 3: 0.60}[int(kind)] * width
    low = r * 0.45
    c.shadow(x, base, width * 0.54, 3.4)
    if kind == 3:  # bus
        height = min(height, 42)
        (xa, ya), (xb, yb) = at(-0.5, height), at(0.5, low)
        c.box(min(xa, xb), ya, max(xa, xb), yb, paint, VEHICLE, radius=3)
        for i in range(5):
            u = -0.45 + i * 0.185
            c.poly(
                [
                    at(u, height * 0.86),
                    at(u + 0.15, height * 0.86),
                    at(u + 0.15, height * 0.52),
                    at(u, height * 0.52),
                ],
                glass,
            )
        c.poly(
            [
                at(-0.5, height * 0.42),
                at(0.5, height * 0.42),
                at(0.5, height * 0.34),
                at(-0.5, height * 0.34),
            ],
            (238, 236, 228),
        )
    elif kind == 2:  # van
        c.poly(
            [
                at(-0.5, low),
                at(-0.5, height - 1),
                at(-0.48, height),
                at(0.22, height),
                at(0.38, height * 0.62),
                at(0.49, height * 0.54),
                at(0.5, low),
            ],
            paint,
            VEHICLE,
        )
        c.poly(
            [
                at(0.04, height * 0.88),
                at(0.2, height * 0.88),
                at(0.33, height * 0.6),
                at(0.04, height * 0.6),
            ],
            glass,
        )
        c.poly(
            [
                at(-0.44, height * 0.8),
                at(-0.02, height * 0.8),
                at(-0.02, height * 0.4),
                at(-0.44, height * 0.4),
            ],
            _tone(paint, 1.12),
        )
    else:  # saloon, hatchback
        tail = -0.32 if kind == 0 else -0.46
        waist = height * 0.6
        c.poly(
            [at(tail, waist - 1), at(tail + 0.1, height), at(0.1, height), at(0.28, waist - 1)],
            paint,
            VEHICLE,
        )
        c.poly(
            [
                at(-0.5, low),
                at(-0.5, waist * 0.92),
                at(-0.44, waist),
                at(0.3, waist),
                at(0.47, waist * 0.8),
                at(0.5, low),
            ],
            paint,
            VEHICLE,
        )
        c.poly(
            [
                at(tail + 0.06, waist),
                at(tail + 0.13, height * 0.93),
                at(-0.1, height * 0.93),
                at(-0.1, waist),
            ],
            glass,
        )
        c.poly(
            [at(-0.06, waist), at(-0.06, height * 0.93), at(0.08, height * 0.93), at(0.22, waist)],
            glass,
        )
    c.poly(
        [at(-0.5, low), at(0.5, low), at(0.5, low + height * 0.1), at(-0.5, low + height * 0.1)],
        dark,
    )
    for u in (-0.29, 0.3):
        _wheel(c, *at(u, r), r)
    c.oval(*at(0.47, height * 0.36), 1.5, 1.3, (255, 244, 200), glow=True)
    c.oval(*at(-0.47, height * 0.36), 1.3, 1.5, (214, 44, 40))


def _end_vehicle(c: _Canvas, rng: Rng, x: float, base: float, width: float) -> None:
    """A vehicle seen from its front or back."""
    paint, tall = _pick(rng, PAINTS), rng.random() < 0.4
    height = width * (1.05 if tall else 0.8)
    w, top, waist = width / 2, base - height, base - height * 0.55
    glass = _mix(GLASS, (30, 40, 54), rng.uniform(0, 0.7))
    slope = w * (0.06 if tall else 0.2)
    c.shadow(x, base, w * 1.15, 3.2)
    for k in (-1, 1):
        c.box(
            x + k * w * 0.72 - w * 0.16,
            base - height * 0.22,
            x + k * w * 0.72 + w * 0.16,
            base,
            (34, 34, 38),
            VEHICLE,
            1,
        )
    c.poly(
        [
            (x - w * 0.94, waist + 2),
            (x - w * 0.94 + slope, top),
            (x + w * 0.94 - slope, top),
            (x + w * 0.94, waist + 2),
        ],
        paint,
        VEHICLE,
    )
    c.poly(
        [
            (x - w * 0.8, waist),
            (x - w * 0.8 + slope, top + 2),
            (x + w * 0.8 - slope, top + 2),
            (x + w * 0.8, waist),
        ],
        glass,
    )
    c.box(x - w, waist, x + w, base - height * 0.1, paint, VEHICLE, 2)
    c.box(x - w, base - height * 0.2, x + w, base - height * 0.1, _tone(paint, 0.68), radius=1)
    lamp, glow = ((255, 244, 200), True) if rng.random() < 0.6 else ((206, 40, 38), False)
    for k in (-1, 1):
        c.oval(x + k * w * 0.74, base - height * 0.38, w * 0.15, w * 0.12, lamp, glow=glow)
    c.box(x - w * 0.24, base - height * 0.32, x + w * 0.24, base - height * 0.22, (236, 232, 210))


def _person(c: _Canvas, rng: Rng, x: float, base: float, height: float) -> None:
    """Somebody close by, seen from the front or the back."""
    h, w = height, height * rng.uniform(0.22, 0.26)  # w: half the width at the shoulders
    skin, hair = _pick(rng, SKINS, 8), _pick(rng, HAIRS, 8)
    coat, legs = (
        _pick(rng, PAINTS, 22),
        _pick(rng, ((48, 56, 84), (60, 58, 60), (120, 106, 84), (150, 150, 150), (90, 40, 48))),
    )
    shoes, dress = (
        _pick(rng, ((40, 36, 36), (220, 216, 210), (120, 70, 40)), 8),
        rng.random() < 0.45,
    )
    y = base - h
    c.shadow(x, base, w * 1.2, 3)
    hip, hem = y + h * 0.58, y + h * (0.78 if dress else 0.62)
    flare = w * (1.12 if dress else 0.86)
    for k in (-1, 1):
        c.box(
            min(x, x + k * w * 0.78),
            hip - 2,
            max(x, x + k * w * 0.78),
            base - 1,
            skin if dress else _tone(legs, 1 if k == c.sun else 0.84),
            PERSON,
        )
        c.box(
            min(x + k * 0.5, x + k * w * 0.9),
            base - h * 0.05,
            max(x + k * 0.5, x + k * w * 0.9),
            base,
            shoes,
            PERSON,
            1,
        )
    neck, shoulder = y + h * 0.25, y + h * 0.27
    for k in (-1, 1):  # sleeves and hands
        sleeve = _tone(coat, 0.82 if k != c.sun else 0.94)
        c.poly(
            [
                (x + k * w * 0.5, shoulder),
                (x + k * w, shoulder + h * 0.04),
                (x + k * w * 1.16, hip - h * 0.02),
                (x + k * w * 0.7, hip - h * 0.02),
            ],
            sleeve,
            PERSON,
        )
        c.oval(x + k * w * 0.95, hip, w * 0.17, w * 0.2, skin, PERSON)
    c.poly(
        [
            (x - w * 0.45, neck),
            (x + w * 0.45, neck),
            (x + w * 0.88, shoulder + h * 0.02),
            (x + w * 0.8, hip - h * 0.08),
            (x + flare, hem),
            (x - flare, hem),
            (x - w * 0.8, hip - h * 0.08),
            (x - w * 0.88, shoulder + h * 0.02),
        ],
        coat,
        PERSON,
    )
    style = rng.integers(4)
    if style == 0:  # stripes
        for i in range(4):
            v = shoulder + h * (0.05 + 0.07 * i)
            c.box(x - w * 0.78, v, x + w * 0.78, v + h * 0.025, _mix(coat, (245, 240, 230), 0.7))
    elif style == 1:  # open jacket
        c.poly(
            [(x - w * 0.2, neck), (x + w * 0.2, neck), (x + w * 0.12, hem), (x - w * 0.12, hem)],
            _mix(coat, (245, 240, 230), 0.75),
        )
    elif style == 2:  # bag
        c.poly(
            [
                (x - w * 0.7, shoulder),
                (x - w * 0.45, shoulder),
                (x + w * 0.7, hip),
                (x + w * 0.5, hip),
            ],
            _tone(coat, 0.55),
        )
        c.box(
            x + w * 0.35,
            hip - h * 0.06,
            x + w * 1.05,
            hip + h * 0.08,
            _pick(rng, PAINTS),
            PERSON,
            1,
        )
    r = h * 0.125
    cy = y + r * 1.06
    c.box(x - r * 0.4, cy, x + r * 0.4, neck + 1, _tone(skin, 0.86), PERSON)
    facing, long = rng.random() < 0.7, rng.random() < 0.45
    c.oval(x, cy, r * 1.08, r * 1.08, hair, PERSON)
    if long:
        c.box(x - r * 1.08, cy, x + r * 1.08, cy + r * 1.5, hair, PERSON, r * 0.4)
    if facing:
        c.oval(x, cy + r * 0.2, r * 0.82, r * 0.82, skin)
        for k in (-1, 1):
            c.oval(x + k * r * 0.32, cy + r * 0.18, r * 0.1, r * 0.13, (40, 32, 32))
        c.oval(x, cy + r * 0.58, r * 0.24, r * 0.09, _mix(skin, (180, 60, 60), 0.6))
    if rng.random() < 0.3:  # hat
        cap = _pick(rng, PAINTS)
        c.box(x - r * 1.3, cy - r * 0.5, x + r * 1.3, cy - r * 0.22, cap, PERSON, 0.5)
        c.box(x - r * 0.9, cy - r * 1.15, x + r * 0.9, cy - r * 0.3, cap, PERSON, r * 0.5)


def _cast(c: _Canvas, rng: Rng, base: float, lawn: Color, road: Color) -> list[tuple[float, Callable[[], None]]]:
    """Lay the ground and choose what stands on it: (distance key, drawing) pairs."""
    things: list[tuple[float, Callable[[], None]]] = []

    def add(draw: Callable[..., None], x: float, y: float, size: float) -> None:
        things.append((y, lambda: draw(c, rng, x, y, size)))

    side = rng.choice((-1.0, 1.0))  # where the first vehicle is; people are mostly on the other side
    several = rng.random() < 0.12
    if rng.random() < 0.6:
        near, far = _street(c, rng, base, lawn, road)
        for k in (side, -side)[: 1 + several]:
            add(
                _side_vehicle,
                64 + k * rng.uniform(12, 46),
                rng.uniform(near, far),
                rng.uniform(74, 104),
            )
    else:
        left, right = _avenue(c, rng, base, lawn, road)
        for k in (side, -side)[: 1 + several]:
            t = rng.uniform(0.45, 0.9)
            x = 64 + ((left + right) / 2 + k * (right - left) * 0.2 - 64) * t
            add(_end_vehicle, x, base + (128 - base) * t, (right - left) * (0.38 + 0.2 * t))
    for x in rng.permutation((4.0, 44.0, 84.0, 124.0))[: 1 if rng.random() < 0.65 else 2]:
        add(_tree, x + rng.uniform(-8, 8), base + rng.uniform(2, 14), rng.uniform(27, 35))
    count = int(rng.choice((0, 1, 2), p=(0.07, 0.78, 0.15)))
    x = 64 - side * rng.uniform(22, 56) if rng.random() < 0.75 else rng.uniform(14, 114)
    for _ in range(count):
        add(_person, x, rng.uniform(120, 146), rng.uniform(86, 114))
        apart = rng.uniform(34, 44)
        x = 8 + (x - 8 + apart) % 112
    return things


def _smooth(rng: Rng, size: int, cells: int) -> np.ndarray:
    """Smooth noise with about `cells` features across the picture."""
    coarse = Image.fromarray(rng.standard_normal((cells, cells)).astype(np.float32))
    return np.asarray(coarse.resize((size, size), Image.Resampling.BICUBIC))


def _expose(image: np.ndarray, labels: np.ndarray, rng: Rng) -> np.ndarray:
    """Surface grain, uneven light, then a camera's gain, tint, contrast and noise."""
    size = image.shape[0]
    out = image.astype(np.float32)
    fine = rng.standard_normal((size, size), dtype=np.float32)
    clumps = _smooth(rng, size, max(2, size // 5))
    uneven = _smooth(rng, size, 4)
    out += (GRAIN[labels] * (0.6 * fine + 0.8 * clumps))[..., None]
    out *= (1 + 0.045 * uneven)[..., None]
    ramp = np.linspace(-1, 1, size, dtype=np.float32)
    out *= (1 + rng.uniform(-0.1, 0.1) * ramp[None, :] + rng.uniform(-0.06, 0.06) * ramp[:, None])[..., None]
    tint = rng.uniform(0.82, 1.16) * rng.uniform(0.94, 1.06, 3)
    out = (out - 128) * np.float32(rng.uniform(0.82, 1.1)) + 128
    out *= tint.astype(np.float32)
    out += rng.uniform(1.5, 6.0) * rng.standard_normal(out.shape, dtype=np.float32)
    return (out + 0.5).clip(0, 255).astype(np.uint8)


def render(seed: int, size: int = 128) -> tuple[np.ndarray, np.ndarray]:
    """Picture (uint8 [size, size, 3]) and labels (uint8 [size, size]) of one seed."""
    rng = np.random.default_rng(seed)
    top, horizon, light, lit = SKIES[int(rng.integers(len(SKIES)))]
    top, horizon = _pick(rng, (top,), 10), _pick(rng, (horizon,), 10)
    canvas = _Canvas(size, light, sun=int(rng.choice((-1, 1))))
    base = STOREY * rng.integers(8, 10)
    _sky(canvas, rng, top, horizon, base)
    _skyline(canvas, rng, base, horizon, lit)
    for _, draw in sorted(_cast(canvas, rng, base, _pick(rng, LAWNS), _pick(rng, ROADS)), key=lambda item: item[0]):
        draw()
    labels = np.asarray(canvas.labels)[OVERSAMPLE // 2 :: OVERSAMPLE, OVERSAMPLE // 2 :: OVERSAMPLE].copy()
    image = np.asarray(canvas.image.reduce(OVERSAMPLE))
    return _expose(image, labels, rng), labels
