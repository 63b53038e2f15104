"""``intsim train``: training whose forward is the integer network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ._common import require_extra, shown
from ._output import say
from ._progress import announce_compiling, progress

if TYPE_CHECKING:
    from ..qat.training import Row


@click.command("train", epilog="Example: intsim train scenes-4bit.toml -o trained")
@click.argument("config", metavar="CONFIG", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    "folder",
    type=click.Path(path_type=Path),
    default="trained",
    show_default=True,
    help="Folder of the model, the curves and the state.",
)
@click.option("--resume", is_flag=True, help="Go on from the state in the folder.")
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, or another device of torch.")
def command(config: Path, folder: Path, resume: bool, device: str) -> None:
    """Train the integers of the network that CONFIG (TOML) names, and write model.h5, curves.csv and state.pt in a folder.

    The forward of training is the integer network, bit for bit, so that the model is what was trained: nothing is calibrated
    again. Gradients are those of the real functions. docs/training.md has the keys of CONFIG.
    """
    require_extra("torch", "torch")
    from ..qat.job import Job

    job = Job.read(config)
    announce_compiling()
    rows: list[Row] = []
    with progress("training", job.training.steps) as step:

        def seen(row: Row) -> None:
            rows.append(row)
            step()

        path = job.run(folder, device=device, resume=resume, progress=seen)
    if rows:
        few = max(1, len(rows) // 10)
        first, last = (sum(row.loss for row in part) / few for part in (rows[:few], rows[-few:]))
        say(f"{len(rows)} steps in {rows[-1].seconds:.0f} s, loss {first:.4f} at first, {last:.4f} at last")
    say(f"{shown(path)}: the network as trained; 'intsim eval' measures it")
