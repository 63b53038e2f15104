"""The built-in dialects equal the table in docs/arithmetic.md; dialects in TOML files; messages for invalid ones."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from intsim import dialects
from intsim.arith import ExpSum, Rounding
from intsim.dialects import CHOICES, DIALECTS, Dialect

import oracle

# The values of each choice, listed again on purpose: a value that is added to the code must be added here and documented.
ROUNDINGS = ["floor", "trunc", "half_up", "half_even", "half_away"]
ALLOWED: dict[str, list[Any]] = {
    "requant_rounding": ROUNDINGS,
    "mean_rounding": ROUNDINGS,
    "sqrt": ["newton10", "floor"],
    "variance": ["exact", "wrap32", "wrap16"],
    "layernorm_half": ["floor", "trunc"],
    "quotient": ["floor", "trunc"],
    "half_bit": ["kept", "dropped"],
    "x0_rounding": ["floor", "trunc"],
    "exp_sum": ["saturate", "wrap32"],
    "overflow": ["exact", "wrap32", "forbid"],
    "softmax_n": ["auto", *range(1, 31)],
    "softmax_bits": [*range(2, 17)],
    "gelu_n": ["auto", *range(1, 31)],
    "gelu_bits": [*range(2, 17)],
    "gelu": ["shiftgelu", "lambda_shiftgelu"],
}


def toml_of(choices: dict[str, Any]) -> str:
    """The text of a dialect file, as a user would write it."""
    return "".join(f"{k} = {v}\n" if isinstance(v, int) else f'{k} = "{v}"\n' for k, v in choices.items())


def test_built_in_dialects_equal_the_table() -> None:
    assert list(DIALECTS) == list(oracle.DIALECTS)
    for name, table in oracle.DIALECTS.items():
        assert DIALECTS[name].name == name
        assert DIALECTS[name].choices() == table


def test_built_in_dialects_are_module_constants() -> None:
    named = {
        "ivit": dialects.IVIT,
        "ivit-tvm": dialects.IVIT_TVM,
        "isegmenter": dialects.ISEGMENTER,
        "rtl": dialects.RTL,
    }
    assert named == DIALECTS


def test_values_of_each_choice() -> None:
    assert {key: list(values) for key, values in CHOICES.items()} == ALLOWED
    fields = [field.name for field in dataclasses.fields(Dialect)]
    assert fields == ["name", *ALLOWED]


def test_no_choice_has_a_default() -> None:
    assert all(field.default is dataclasses.MISSING for field in dataclasses.fields(Dialect))
    assert all(field.default_factory is dataclasses.MISSING for field in dataclasses.fields(Dialect))


@pytest.mark.parametrize("name", DIALECTS)
def test_toml_round_trip(name: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f'name = "{name}"\n' + toml_of(DIALECTS[name].choices()), encoding="utf-8")
    assert dialects.load(path) == DIALECTS[name]
    assert dialects.load(str(path)) == DIALECTS[name]


def test_a_file_without_a_name_key_gives_its_file_name(tmp_path: Path) -> None:
    path = tmp_path / "our-chip.toml"
    path.write_text(toml_of(dialects.RTL.choices()), encoding="utf-8")
    loaded = dialects.load(path)
    assert loaded.name == "our-chip"
    assert loaded.choices() == dialects.RTL.choices()
    assert loaded != dialects.RTL


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in ALLOWED.items() for value in values])
def test_every_allowed_value_is_accepted_and_kept(key: str, value: Any, tmp_path: Path) -> None:
    expected = {**oracle.DIALECTS["rtl"], key: value}
    path = tmp_path / "mine.toml"
    path.write_text(toml_of(expected), encoding="utf-8")
    assert dialects.load(path).choices() == expected
    assert dialects.RTL.replace(**{key: value}).choices() == expected
    assert dialects.from_choices(dialects.RTL.choices() | {key: value}, "mine").choices() == expected


INVALID: dict[str, list[Any]] = {
    "requant_rounding": ["half-even", "HALF_EVEN", "nearest", "", "wrap32", 0, 1, 3, True, 0.5],
    "mean_rounding": ["half_down", 2],
    "sqrt": ["newton", "exact"],
    "variance": ["wrap", "wrap64"],
    "layernorm_half": ["half_up"],
    "quotient": ["half_even"],
    "half_bit": ["keep", True],
    "x0_rounding": ["round"],
    "exp_sum": ["exact"],
    "overflow": ["saturate"],
    "softmax_n": [0, 31, -1, "15", "Auto", True],
    "softmax_bits": [1, 17, "auto", "16", True],
    "gelu_n": [0, 31, "23"],
    "gelu_bits": [1, 17, "auto"],
    "gelu": ["gelu", "erf"],
}


def listed(key: str) -> list[str]:
    """What an error message must list for a choice: every name, and the range of its numbers."""
    names = [v for v in ALLOWED[key] if isinstance(v, str)]
    numbers = [v for v in ALLOWED[key] if isinstance(v, int)]
    return names + ([f"{numbers[0]} to {numbers[-1]}"] if numbers else [])


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in INVALID.items() for value in values])
def test_an_invalid_value_is_reported_with_the_allowed_ones(key: str, value: Any) -> None:
    with pytest.raises(ValueError) as caught:
        dialects.from_choices(dialects.RTL.choices() | {key: value}, "mine")
    message = str(caught.value)
    assert "mine" in message
    assert key in message
    assert repr(value) in message
    assert all(word in message for word in listed(key)), message
    with pytest.raises(ValueError, match=key):
        dialects.RTL.replace(**{key: value})


def test_every_choice_has_invalid_values_here() -> None:
    assert list(INVALID) == list(ALLOWED)


@pytest.mark.parametrize("key", ALLOWED)
def test_a_missing_choice_is_reported_with_its_values(key: str) -> None:
    choices = dialects.ISEGMENTER.choices()
    del choices[key]
    with pytest.raises(ValueError) as caught:
        dialects.from_choices(choices, "mine")
    message = str(caught.value)
    assert "missing" in message
    assert repr(key) in message
    assert all(str(value) in message for value in ALLOWED[key]), message


@pytest.mark.parametrize("key", ["requant_roundin", "Sqrt", "softmax-n", ""])
def test_an_unknown_choice_is_reported_with_the_known_ones(key: str) -> None:
    with pytest.raises(ValueError) as caught:
        dialects.from_choices(dialects.ISEGMENTER.choices() | {key: "floor"}, "mine")
    message = str(caught.value)
    assert repr(key) in message
    assert all(choice in message for choice in ALLOWED), message


@pytest.mark.parametrize("text", [b"requant_rounding = half_even", b"\xff\xfe", b"[", b"a = 1\na = 2"])
def test_a_file_that_is_not_toml_is_refused_with_its_path(text: bytes, tmp_path: Path) -> None:
    path = tmp_path / "broken.toml"
    path.write_bytes(text)
    with pytest.raises(ValueError, match=r"broken\.toml: not a TOML file"):
        dialects.load(path)


def test_errors_of_a_file_start_with_its_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(toml_of(dialects.RTL.choices() | {"sqrt": "cordic"}), encoding="utf-8")
    with pytest.raises(ValueError) as caught:
        dialects.load(path)
    assert str(caught.value).startswith(str(path))
    assert "newton10, floor" in str(caught.value)


def test_a_missing_file_raises_file_not_found(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        dialects.load(tmp_path / "none.toml")


def test_resolve() -> None:
    for name, dialect in DIALECTS.items():
        assert dialects.resolve(name) is dialect
        assert dialects.resolve(dialect) is dialect
    with pytest.raises(ValueError) as caught:
        dialects.resolve("tvm")
    assert all(name in str(caught.value) for name in DIALECTS)


def test_a_dialect_is_immutable() -> None:
    changed = dialects.RTL.replace(exp_sum="wrap32")
    assert changed.exp_sum is ExpSum.WRAP32
    assert dialects.RTL.exp_sum is ExpSum.SATURATE
    with pytest.raises(dataclasses.FrozenInstanceError):
        dialects.RTL.exp_sum = ExpSum.WRAP32  # type: ignore[misc]
    assert dialects.RTL.replace(requant_rounding=Rounding.FLOOR) == dialects.RTL.replace(requant_rounding="floor")


# --- lowering ---------------------------------------------------------------------------------------------------------

# Scales with 1/s integral, nearly integral and not integral, above 1, and so small that hardly any n fits.
SCALES = [1 / 20, 0.05000001, 0.04999999, 1 / 3, 0.013, 1 / 77, 1.0, 2.5, 1e-4, 2.0**-10, 0.1, 0.3, 1 / 49]


@pytest.mark.parametrize("name", DIALECTS)
@pytest.mark.parametrize("scale", SCALES)
def test_lowering_agrees_with_the_oracle(name: str, scale: float) -> None:
    dialect, table = DIALECTS[name], oracle.DIALECTS[name]
    for tokens in (1, 2, 197, 1025, 4097):
        want = oracle.softmax_parameters(scale, tokens, table)
        assert dialects.softmax_parameters(scale, tokens, dialect) == want
    gelu = oracle.gelu_parameters(scale, table)
    assert {"op": str(dialect.gelu), **dialects.gelu_parameters(scale, dialect)} == gelu


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("tokens", [1, 197, 1025, 4097])
def test_auto_n_is_the_largest_that_fits(scale: float, tokens: int) -> None:
    params = dialects.softmax_parameters(scale, tokens, dialects.ISEGMENTER)
    assert 1 <= params["n"] <= 15
    assert tokens * -params["x0"] * 2 ** params["n"] < 2**31
    assert params["n"] == 15 or tokens * -params["x0"] * 2 ** (params["n"] + 1) >= 2**31
    params = dialects.gelu_parameters(scale, dialects.ISEGMENTER)
    assert 1 <= params["n"] <= 23
    assert -params["x0"] * 2 ** params["n"] < 2**31
    assert params["n"] == 23 or -params["x0"] * 2 ** (params["n"] + 1) >= 2**31


def test_no_n_fits() -> None:
    with pytest.raises(ValueError, match="no n fits"):
        dialects.softmax_parameters(1e-9, 1025, dialects.RTL)
    with pytest.raises(ValueError, match="no n fits"):
        dialects.gelu_parameters(1e-10, dialects.RTL)
    with pytest.raises(ValueError):
        oracle.softmax_parameters(1e-9, 1025, oracle.DIALECTS["rtl"])


@pytest.mark.parametrize(("rounding", "x0"), [("floor", -20), ("trunc", -21)])
def test_x0_of_an_integral_quotient(rounding: str, x0: int) -> None:
    # -1/s is exactly -20: floor gives -20, trunc(-1/s - 1) gives -21.
    dialect = dialects.RTL.replace(x0_rounding=rounding)
    assert dialects.softmax_parameters(0.05, 10, dialect)["x0"] == x0


@pytest.mark.parametrize("rounding", ["floor", "trunc"])
def test_x0_of_a_fractional_quotient(rounding: str) -> None:
    # -1/s = -20.5: floor gives -21, and so does trunc(-21.5).
    dialect = dialects.RTL.replace(x0_rounding=rounding)
    assert dialects.softmax_parameters(1 / 20.5, 10, dialect)["x0"] == -21


def test_the_example_file_lists_every_choice_and_its_allowed_values() -> None:
    """The comment after each choice in examples/dialect.toml lists exactly the allowed values."""
    path = Path(__file__).parent.parent / "examples" / "dialect.toml"
    dialect = dialects.load(path)
    assert dialect.name == "mine"
    commented = dict(re.findall(r"^(\w+) = .*?# (.*)$", path.read_text(), re.MULTILINE))
    assert commented.keys() == dialects.CHOICES.keys()
    for key, allowed in dialects.CHOICES.items():
        if commented[key] != "the same five":
            names = set(re.findall(r"[a-z]\w*|\d+", commented[key])) - {"or", "to"}
            values = [str(value) for value in allowed]
            numbers = [value for value in values if value.isdecimal()]
            assert names == {v for v in values if v not in numbers} | ({numbers[0], numbers[-1]} if numbers else set()), key
