"""``python -m intsim`` is the command ``intsim``."""

from .cli.main import main

main(prog_name="intsim")
