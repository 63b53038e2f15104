"""A document of conformance vectors: cases for one operator in one dialect, as JSON.

The format is docs/vectors-v1.schema.json. `Document.text` writes a document, `parse` reads one and reports what is wrong
with it. The operator's reference answers a case: nested lists of integers, or ``INVALID`` for what must be refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from .. import dialects
from ..dialects import Dialect
from ..errors import FileError, IntsimError
from ..ops import REGISTRY
from .domain import Domain, supports
from .flags import NOTES

SCHEMA, VERSION = "intsim-vectors", 1
INVALID = "invalid"
UNSUPPORTED = "unsupported"  # a device's answer to a case that it was not made for: neither right nor wrong
Answer: TypeAlias = Any  # nested lists of integers, one integer, or INVALID


@dataclass(frozen=True)
class Case:
    """One case: the operator's Python arguments, the expected answer and the device's (None: not known)."""

    id: int
    flags: tuple[str, ...]
    note: str
    args: Mapping[str, Any]
    expected: Answer = None
    got: Answer = None

    def record(self, questions: bool = False) -> dict[str, Any]:
        """Plain data, without the answer for `questions`."""
        data = {"id": self.id, "flags": list(self.flags), "note": self.note, "args": dict(self.args)}
        if not questions:
            data |= {"result": INVALID} if self.expected == INVALID else {"expect": self.expected}
        return data


@dataclass(frozen=True)
class Document:
    """The cases of one operator in one dialect, and what they were generated from."""

    op: str
    dialect: Dialect
    level: int
    seed: int
    model: str | None
    cases: tuple[Case, ...]
    domain: Domain = field(default_factory=dict)  # of the parameters that a device supports, where it is restricted

    def text(self, questions: bool = False) -> str:
        """JSON with one case per line, so that one changed answer is one changed line."""
        used = {flag for case in self.cases for flag in case.flags}
        head = {
            "schema": SCHEMA,
            "version": VERSION,
            "op": self.op,
            "dialect": {"name": self.dialect.name, **self.dialect.choices()},
            "level": self.level,
            "seed": self.seed,
            "model": self.model,
            **({"domain": dict(self.domain)} if self.domain else {}),
            "notes": {flag: note for flag, note in NOTES.items() if flag in used},
        }
        lines = [json.dumps(case.record(questions), separators=(",", ":")) for case in self.cases]
        return json.dumps(head, indent=1)[:-2] + ',\n "cases": [\n' + ",\n".join(lines) + "\n]}"


def answer(op: str, args: Mapping[str, Any], dialect: Dialect) -> Answer:
    """The reference's answer to a case's arguments. Raises TypeError where the operator does not take these arguments."""
    given = dict(args)
    operator = REGISTRY[op]
    first = given.pop(next(iter(operator.inputs))) if operator.variadic else []
    try:
        return operator.ref(*first, **given, dialect=dialect).tolist()
    except ValueError:
        return INVALID


# --- reading ----------------------------------------------------------------------------------------------------------


def parse(text: str, name: str) -> Document:
    """The document in `text`; a FileError starts with `name` and reports what is wrong."""
    if not text.strip():
        raise FileError(f"{name}: is empty; did the device fail?")
    if not text.lstrip().startswith("{"):
        raise FileError(
            f"{name}: begins with {text.split()[0][:20]!r}, not a document of vectors; logs belong on standard error"
        )
    try:
        record = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FileError(f"{name}: is not valid JSON ({error}); generate vectors with 'intsim vectors gen'") from None
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        raise FileError(
            f"{name}: is not a file of vectors: its \"schema\" is not {SCHEMA!r}; generate one with 'intsim vectors gen'"
        )
    if record.get("version") != VERSION:
        raise FileError(f"{name}: has version {record.get('version')!r}; this intsim reads {VERSION}")
    if not isinstance(record.get("op"), str) or record["op"] not in REGISTRY:
        raise FileError(f"{name}: there is no operator {record.get('op')!r}; there are: {', '.join(sorted(REGISTRY))}")
    for key in ("level", "seed"):
        if type(record.get(key)) is not int:
            raise FileError(f"{name}: {key} is {_short(record.get(key))}; it must be a whole number")
    model = record.get("model")
    if not (model is None or isinstance(model, str)):
        raise FileError(f"{name}: model is {_short(model)}; it must be a hash or null")
    domain = record.get("domain", {})
    if not isinstance(domain, dict) or not all(isinstance(text, str) for text in domain.values()):
        raise FileError(f"{name}: domain is {_short(domain)}; it must give values as text by parameter")
    try:
        supports(record["op"], domain)
    except IntsimError as error:
        raise FileError(f"{name}: domain: {error}") from None
    cases = record.get("cases")
    if not isinstance(cases, list) or not cases:
        raise FileError(f"{name}: contains no cases; generate it again")
    parsed = tuple(_case(case, position, name) for position, case in enumerate(cases))
    if len({case.id for case in parsed}) < len(parsed):
        twice = next(case.id for i, case in enumerate(parsed) if case.id in {other.id for other in parsed[:i]})
        raise FileError(f"{name}: two cases have the id {twice}")
    dialect = _dialect(record.get("dialect"), name)
    return Document(record["op"], dialect, record["level"], record["seed"], model, parsed, domain)


def _dialect(record: Any, name: str) -> Dialect:
    if not isinstance(record, dict) or not isinstance(record.get("name"), str):
        raise FileError(f"{name}: dialect is not an object with a name and every choice")
    try:
        dialect = dialects.from_choices({key: value for key, value in record.items() if key != "name"}, record["name"])
    except (IntsimError, TypeError) as error:
        raise FileError(f"{name}: {error}") from None
    known = dialects.DIALECTS.get(dialect.name)
    if known is not None and known != dialect:
        differing = next(key for key, value in known.choices().items() if dialect.choices()[key] != value)
        raise FileError(
            f"{name}: the dialect {dialect.name} has another {differing}; give a dialect of your own another name"
        )
    return dialect


def _case(record: Any, position: int, name: str) -> Case:
    where = f"{name}: cases[{position}]"
    if not isinstance(record, dict) or type(record.get("id")) is not int:
        raise FileError(f"{where} has no id; it must be a whole number")
    where = f"{name}: case {record['id']}"
    flags, note, args = record.get("flags", []), record.get("note", ""), record.get("args")
    if not isinstance(flags, list) or not all(isinstance(flag, str) for flag in flags) or not isinstance(note, str):
        raise FileError(f"{where}: flags must be a list of names, note a text")
    if not isinstance(args, dict):
        raise FileError(f"{where} has no args: the operator's arguments by name")
    if "expect" in record and "result" in record:
        raise FileError(f"{where} has both expect and result; keep one of them")
    if record.get("result", INVALID) != INVALID:
        raise FileError(f"{where}: result is {_short(record['result'])}; it must be {INVALID!r}")
    for key in ("expect", "got"):
        if key in record and record[key] is None:
            raise FileError(f"{where}: {key} is null; omit it where there is no answer")
    expected = INVALID if "result" in record else record.get("expect")
    return Case(record["id"], tuple(flags), note, args, expected, record.get("got"))


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def checked(document: Document, name: str) -> Document:
    """The document with the reference's answers; a FileError where its own expectations differ from them."""
    cases = []
    for case in document.cases:
        try:
            expected = answer(document.op, case.args, document.dialect)
        except MemoryError:
            raise FileError(f"{name}: case {case.id}: its answer does not fit in memory; its args are too large") from None
        except (TypeError, KeyError, OverflowError) as error:
            raise FileError(f"{name}: case {case.id}: {document.op} does not take its args ({error})") from None
        if case.expected is not None and json.dumps(case.expected) != json.dumps(expected):  # 1.0 and true are not 1
            raise FileError(
                f"{name}: case {case.id}: its own expectation differs from the reference's answer; the file is damaged, "
                "generate it again"
            )
        cases.append(replace(case, expected=expected))
    return replace(document, cases=tuple(cases))
