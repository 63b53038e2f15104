"""``intsim set``: shards of a golden set joined, and a set verified."""

from __future__ import annotations

from pathlib import Path

import click

from ._common import DIFFERENT, cluster_option, json_option, shown
from ._output import put_json, say
from ._progress import progress


@click.group("set", no_args_is_help=False)
def command() -> None:
    """Join the shards of a golden set, or verify one; 'intsim golden' makes sets, 'intsim diff' compares them.

    \b
    Example: intsim set merge golden-set
    """


@command.command("merge", epilog="Example: intsim set merge golden-set")
@click.argument("folder", metavar="SET", type=click.Path(path_type=Path))
@json_option
def merge_command(folder: Path, as_json: bool) -> int:
    """Join the shards in SET to one index. Exit code 1: a picture of a shard could not be used."""
    from ..sets import merge

    index = merge(folder)
    failed = len(index.failed)
    if as_json:
        put_json({"pictures": len(index.pictures), "failed": failed, "index_sha256": index.sha256}, None)
    else:
        say(f"{shown(folder)}: {len(index.pictures):,} pictures" + (f", {failed:,} without a golden file" if failed else ""))
        say(f"index hash {index.sha256}")
    return DIFFERENT if failed else 0


@command.command("verify", epilog="Example: intsim set verify golden-set")
@click.argument("folder", metavar="SET", type=click.Path(path_type=Path))
@cluster_option
@json_option
def verify_command(folder: Path, cluster: str, as_json: bool) -> int:
    """Verify SET: its index, and every golden file down to the values. Exit code 1: one is not what the index says."""
    from ..cluster import require_cluster
    from ..sets import read_index, verify

    require_cluster(cluster)
    index = read_index(folder)
    with progress("verifying", len(index.pictures), timed=True) as step:
        faults = verify(folder, cluster=cluster, progress=step)
    if as_json:
        put_json({"pictures": len(index.pictures), "failed": len(index.failed), "faults": [vars(f) for f in faults]}, None)
        return DIFFERENT if faults else 0
    for fault in faults:
        say(f"{shown(fault.name)}: {fault.reason}")
    good = len(index.pictures) - len(index.failed)
    say(f"{shown(folder)}: {good:,} golden files" + (f", {len(faults):,} wrong" if faults else ", all as the index says"))
    return DIFFERENT if faults else 0
