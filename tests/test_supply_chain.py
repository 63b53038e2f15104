"""What the README's two commands install: versions and hashes; and what pages of HTML may run and load."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import platform
import re
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from intsim.storage.templates import with_policy

ROOT = Path(__file__).parent.parent
Cli = Callable[..., tuple[int, str, str]]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def named(text: str) -> str:
    """The name of a requirement as registries compare it."""
    found = re.match(r"[A-Za-z0-9_.-]+", text)
    assert found is not None
    return re.sub(r"[-_.]+", "-", found[0]).lower()


def pinned(path: Path) -> dict[str, str]:
    """The versions in a file of requirements, by name."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if "==" in line and not line.startswith("#")]
    return {named(line): line.partition("==")[2].split(" ")[0] for line in lines}


@pytest.fixture
def locked() -> ModuleType:
    spec = importlib.util.spec_from_file_location("locked", ROOT / "tools" / "locked.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("target", ["core", "test"])
def test_everything_that_is_installed_has_a_hash_and_the_version_of_the_constraints(target: str) -> None:
    path = ROOT / "locked" / f"{target}.txt"
    content = re.sub(r"^#.*\n", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    entries = re.split(r"(?<!\\)\n", content.strip())
    for entry in entries:
        assert re.fullmatch(r"\S+==\S+( \\\n    --hash=sha256:[0-9a-f]{64})+", entry), entry
    constraints = pinned(ROOT / "constraints.txt")
    assert {name: constraints.get(name) for name in pinned(path)} == pinned(path)
    extras = PROJECT["project"]["optional-dependencies"]["test"] if target == "test" else []
    asked = [*PROJECT["project"]["dependencies"], *extras, *PROJECT["build-system"]["requires"]]
    assert {named(line) for line in asked} <= set(pinned(path))


def test_the_build_backend_is_pinned() -> None:
    (backend,) = PROJECT["build-system"]["requires"]
    assert re.fullmatch(r"hatchling==[\d.]+", backend)
    assert backend.partition("==")[2] == pinned(ROOT / "constraints.txt")["hatchling"]


def test_the_two_commands_install_by_hash_where_the_hashes_fit() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    rule = text[text.index("$(VENV)/.core $(VENV)/.test:") :].partition("\n\n")[0]
    assert "locked.py --covers" in rule
    assert "--require-hashes --only-binary :all: --requirement locked/$*.txt" in rule
    assert "--no-index --no-deps --no-build-isolation" in rule, "nothing is fetched besides"
    assert re.search(r"^demo: \$\(VENV\)/\.core$", text, re.MULTILINE)
    assert re.search(r"^test: \$\(VENV\)/\.test$", text, re.MULTILINE)


COVERED = ("cpython", (3, 12, 0), "linux", "x86_64", ("glibc", "2.36"))
SYSTEMS = {
    "covered": (COVERED, True),
    "oldest": (("cpython", (3, 11, 2), "linux", "x86_64", ("glibc", "2.28")), True),
    "older": (("cpython", (3, 11, 2), "linux", "x86_64", ("glibc", "2.17")), False),
    "musl": (("cpython", (3, 12, 0), "linux", "x86_64", ("", "")), False),
    "arm": (("cpython", (3, 12, 0), "linux", "aarch64", ("glibc", "2.36")), False),
    "mac": (("cpython", (3, 12, 0), "darwin", "x86_64", ("", "")), False),
    "newer Python": (("cpython", (3, 19, 0), "linux", "x86_64", ("glibc", "2.36")), False),
    "PyPy": (("pypy", (3, 11, 0), "linux", "x86_64", ("glibc", "2.36")), False),
}


@pytest.mark.parametrize(("system", "covered"), SYSTEMS.values(), ids=SYSTEMS)
def test_elsewhere_the_constraints_are_used(
    system: tuple[str, tuple[int, ...], str, str, tuple[str, str]],
    covered: bool,
    locked: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    implementation, version, kind, machine, libc = system
    monkeypatch.setattr(sys, "implementation", type("Implementation", (), {"name": implementation}))
    monkeypatch.setattr(sys, "version_info", version)
    monkeypatch.setattr(sys, "platform", kind)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(platform, "libc_ver", lambda: libc)
    assert locked.covers() == covered


# --- pages ----------------------------------------------------------------------------------------------------------------


def policy(page: str) -> dict[str, list[str]]:
    """The directives of a page's policy, which stands before anything that it governs."""
    found = re.search(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', page)
    assert found is not None
    assert found.start() < page.index("<title>")
    return {name: values for name, *values in (part.split() for part in found[1].split(";"))}


def hashed(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def check(page: str) -> None:
    rules = policy(page)
    assert rules["default-src"] == ["'none'"]
    assert rules["img-src"] == ["data:"]
    for tag, rule in (("script", "script-src"), ("style", "style-src-elem")):
        inside = re.findall(rf"<{tag}\b[^>]*>(.*?)</{tag}>", page, re.DOTALL)
        assert rules[rule] == ([hashed(text) for text in inside] or ["'none'"])
    assert not re.search(r"<[^>]+\son\w+=", page), "attributes with scripts would not run"


def test_a_page_names_its_scripts_and_no_others() -> None:
    page = '<meta charset="utf-8">\n<title>t</title>\n<style>a</style>\n<script>one()</script>\n<script>\ntwo()\n</script>'
    check(with_policy(page))
    assert len(policy(with_policy(page))["script-src"]) == 2


def test_reports_have_a_policy(cli: Cli) -> None:
    assert cli("synth-fault golden.h5 --node encoder.patches --rule bitflip:3 -m model.h5 -o bad.h5")[0] == 0
    assert cli("diff golden.h5 bad.h5 --html one.html")[0] == 1
    Path("pictures").mkdir()
    Path("picture.png").rename("pictures/a.png")
    assert cli("golden pictures -m model.h5 -o set")[0] == 0
    Path("duts").mkdir()
    assert cli("synth-fault set/a.h5 --node encoder.patches --rule bitflip:3 -m model.h5 -o duts/a.h5")[0] == 0
    assert cli("diff set duts -m model.h5 --html set.html")[0] == 1
    for name, script in (("one.html", False), ("set.html", True)):
        page = Path(name).read_text(encoding="utf-8")
        check(page)
        assert ("<script>" in page) == script


def test_the_teaching_page_has_a_policy() -> None:
    teaching_page = pytest.importorskip("teaching_page")
    check(teaching_page.page())
