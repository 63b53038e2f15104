"""The reference of the commands, written from click's own definitions."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click

from intsim.cli.main import main

FILE = "reference/commands.md"


def pages() -> dict[str, str]:
    """The page, by its path below docs/."""
    commands = list(walk(main, "intsim", None))
    parts = [
        "# Commands\n\n"
        "Every command with its options, written from the program itself when this site is built;\n"
        "`intsim COMMAND --help` shows the same. Exit codes: 0 match or success, 1 a difference was found, 2 usage or\n"
        "unusable input. `python -m intsim` is the same program.",
        "| command | |\n|---|---|\n" + "\n".join(row(command, context) for command, context in commands),
    ]
    return {FILE: "\n\n".join([*parts, *(section(command, context) for command, context in commands)]) + "\n"}


def walk(command: click.Command, name: str, parent: click.Context | None) -> Iterator[tuple[click.Command, click.Context]]:
    """The commands of a group, depth first, each with a context that knows its path; groups with text of their own, too."""
    context = click.Context(command, parent, info_name=name, max_content_width=10_000, terminal_width=10_000)
    if parent is not None:
        yield command, context
    if isinstance(command, click.Group):
        for child in command.list_commands(context):
            found = command.get_command(context, child)
            assert found is not None
            yield from walk(found, child, context)


def anchor(context: click.Context) -> str:
    return context.command_path.replace(" ", "-")


def row(command: click.Command, context: click.Context) -> str:
    return f"| [`{context.command_path}`](#{anchor(context)}) | {cell(command.get_short_help_str(300))} |"


def section(command: click.Command, context: click.Context) -> str:
    """Usage, text, options and example of a command."""
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    level = "##" if context.parent is not None and context.parent.parent is None else "###"
    lines = [
        f"({anchor(context)})=",
        f"{level} {context.command_path}",
        "",
        f"```text\n{usage}\n```",
        "",
        prose(command.help or ""),
    ]
    records = [r for p in command.get_params(context) if isinstance(p, click.Option) and (r := p.get_help_record(context))]
    options = [f"| `{joined(names)}` | {cell(text)} |" for names, text in records]
    lines += ["", "| option | |", "|---|---|", *options]
    if command.epilog:
        lines += ["", prose(command.epilog)]
    return "\n".join(lines)


def joined(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip().replace("|", r"\|")


def escaped(text: str) -> str:
    """Plain text as Markdown."""
    return re.sub(r"([\\*_<\[\]#$])", r"\\\1", text)


def cell(text: str) -> str:
    return escaped(re.sub(r"\s+", " ", text).strip()).replace("|", r"\|")


def prose(text: str) -> str:
    """Help as click prints it: paragraphs, those after a line with a backspace character as they are; examples as code."""
    parts = []
    for block in re.split(r"\n\s*\n", re.sub(r"^[ ]+", "", text.strip(), flags=re.MULTILINE)):
        if block.startswith("\b"):
            parts.append("```text\n" + block.removeprefix("\b").strip("\n") + "\n```")
        elif found := re.match(r"Example: (.+)", block, re.DOTALL):
            parts.append(f"Example:\n\n```text\n{re.sub(chr(10), ' ', found[1])}\n```")
        else:
            parts.append(escaped(block))
    return "\n\n".join(parts)
