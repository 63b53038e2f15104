"""Write the page that teaches with the hand: one HTML file that needs no server and no network.

    python tools/teaching_page.py [-o FILE]          default: build/teaching/index.html

What it computes is JavaScript that `intsim.languages.js_stages` prints from the operators' own equations; what it says of
them comes from their docstrings, from intsim/dialects.py and from tools/teaching_text.py. The rest is in tools/teaching/.
"""

from __future__ import annotations

import argparse
import inspect
import json
import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

import intsim
from intsim import dialects
from intsim.dialects import CHOICES, DIALECTS, ISEGMENTER, Dialect
from intsim.languages.js_library import arithmetic
from intsim.languages.js_stages import REFUSALS, JsStages, Stage
from intsim.ops import REGISTRY
from intsim.storage.files import replacing
from intsim.storage.templates import with_policy

from choice_pictures import CHOICE_PICTURES
from operator_text import Description
from teaching_steps import steps_of
from teaching_text import KINDS, OPERATORS, OWN_PHRASES, PHRASES, POINTS, PRESETS, SENTENCES, SLIDERS, VALUES

ROOT = Path(__file__).parent.parent
PARTS = ROOT / "tools" / "teaching"
SCRIPTS = (
    "numbers.js",
    "evaluate.js",
    "real.js",
    "plot.js",
    "drawing.js",
    "steps.js",
    "controls.js",
    "operator.js",
    "exercises.js",
    "main.js",
)


def plain(text: str) -> str:
    """A text without marks."""
    return re.sub(r"\s+", " ", re.sub(r"\*checked\*|\*\*|`", "", text)).strip()


def origin(name: str) -> str:
    """Where a built-in dialect comes from, as intsim/dialects.py says."""
    found = re.search(rf"^    {re.escape(name)}\s+(.+)$", str(dialects.__doc__), re.MULTILINE)
    if found is None:
        raise ValueError(f"intsim/dialects.py does not say where {name} comes from")
    return found[1]


def choice(key: str) -> dict[str, Any]:
    """A choice: what it is, what is known of it, and its values with the dialects that have them."""
    about = re.search(rf"^{key}: (.+)$", str(inspect.getdoc(Dialect)), re.MULTILINE)
    if about is None:
        raise ValueError(f"intsim/dialects.py does not say what {key} is")
    values = {
        str(value): {
            "about": VALUES[KINDS.get(key, key)][str(value)],
            "dialects": [name for name, rules in DIALECTS.items() if str(getattr(rules, key)) == str(value)],
        }
        for value in CHOICES[key]
    }
    note = CHOICE_PICTURES[key][1] if key in CHOICE_PICTURES else ""
    return {"about": plain(about[1].partition(":")[0]), "note": note.replace("``", "`"), "values": values}


def stage(op: str, found: Stage) -> dict[str, Any]:
    """A step as the page needs it."""
    keyed = {"|".join(combination): name for combination, name in found.functions.items()}
    formulas = {"|".join(combination): text for combination, text in found.formulas.items()}
    phrase = OWN_PHRASES.get((op, found.step), PHRASES.get(found.step, ""))
    point = POINTS[op].get(found.step, ("", 0, 0))
    return {
        "step": found.step,
        "phrase": phrase,
        "point": point,
        "keys": found.keys,
        "functions": keyed,
        "formulas": formulas,
        "named": found.named,
    }


def operator(op: str, stages: JsStages) -> dict[str, Any]:
    """An operator as the page needs it."""
    description, own = Description.of(REGISTRY[op]), REGISTRY[op]
    (row,) = own.inputs
    limits = {name: (fmt.lo, fmt.hi) for name, fmt in own.inputs.items()}
    limits |= {name: (param.fmt.lo, param.fmt.hi) for name, param in own.params.items()}
    return {
        "op": op,
        "call": description.call,
        "summary": plain(description.summary),
        "formula": description.formula,
        "source": plain(description.paragraphs.get("Source", "")),
        "sentences": SENTENCES[op],
        "row": row,
        "rows": [name for name, param in own.params.items() if param.ndim == (1,)],
        "limits": limits,
        "sliders": {name: SLIDERS[name] for name in limits},
        "params": list(own.params),
        "keys": own.choices,
        "stages": [stage(op, found) for found in stages.stages if found.step != REFUSALS],
        "refusals": next(stage(op, found) for found in stages.stages if found.step == REFUSALS),
        "presets": PRESETS[op],
    }


def data(stages: dict[str, JsStages]) -> dict[str, Any]:
    """Everything that the scripts of the page read."""
    keys = list(dict.fromkeys(key for op in OPERATORS for key in REGISTRY[op].choices))
    return {
        "version": intsim.__version__,
        "operators": {op: operator(op, stages[op]) for op in OPERATORS},
        "choices": {key: choice(key) for key in keys},
        "dialects": {
            name: {"origin": origin(name), "rules": {key: str(getattr(rules, key)) for key in keys}}
            for name, rules in DIALECTS.items()
        },
        "default": ISEGMENTER.name,
    }


def inlined(value: Any) -> str:
    """JSON that may stand inside a script; integers beyond 53 bits do not occur."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/")


def plain_script(text: str) -> str:
    """A module as part of one script."""
    return re.sub(r"^export ", "", text, flags=re.MULTILINE)


def page() -> str:
    """The text of the page."""
    stages = {op: JsStages(op, steps_of) for op in OPERATORS}
    functions = [text for own in stages.values() for text in own.texts.values()]
    names = [name for own in stages.values() for name in own.texts]
    environment = Environment(
        loader=FileSystemLoader(PARTS), autoescape=False, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    text = environment.get_template("page.html.j2").render(
        version=intsim.__version__,
        operators=list(OPERATORS),
        style=(PARTS / "style.css").read_text(encoding="utf-8"),
        arithmetic=plain_script(arithmetic()),
        specifications="\n".join(own.specification() for own in stages.values()),
        specification_names=", ".join(f"{op}: {op.upper()}" for op in OPERATORS),
        functions="\n".join(functions),
        function_names=", ".join(names),
        data=inlined(data(stages)),
        scripts="\n".join((PARTS / name).read_text(encoding="utf-8") for name in SCRIPTS),
    )
    return with_policy(text)


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "build" / "teaching" / "index.html", metavar="FILE")
    target = parser.parse_args().output
    target.parent.mkdir(parents=True, exist_ok=True)
    text = page()
    with replacing(target) as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(f"{target}: {len(text.encode()) / 1000:.0f} kB")


if __name__ == "__main__":
    main()
