"""``intsim diff``: a device's dump against a golden file, down to the rule that was broken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ._common import (
    DIFFERENT,
    UNUSABLE,
    check_target,
    cluster_option,
    json_option,
    model_behind_option,
    output_option,
    shown,
)
from ._output import put_json, put_rich, say
from ._progress import announce_compiling, progress


@click.command("diff", epilog="Example: intsim diff golden.h5 dump/ --isolated --html report.html")
@click.argument("golden", type=click.Path(path_type=Path))
@click.argument("dut", type=click.Path(path_type=Path))
@click.option("--isolated", is_flag=True, help="Judge each node by itself, from the device's own inputs, and explain it.")
@click.option("--explain/--no-explain", default=None, help="Look for the rule that was broken.  [default: with --isolated]")
@click.option("--map", "map_path", type=click.Path(path_type=Path), help="TOML: device names to nodes, and raw layouts.")
@click.option("--complete", is_flag=True, help="Treat a tensor that DUT lacks as a difference.")
@model_behind_option
@output_option("Report file.", None)
@click.option("--scaled", is_flag=True, help="DUT holds real numbers: integers times their scale.")
@click.option("--force", is_flag=True, help="Compare although GOLDEN does not match its own hashes.")
@click.option("--score", type=click.Path(path_type=Path), help="Score of GOLDEN (intsim score --json), for the report.")
@click.option("--suggest-map", type=click.Path(path_type=Path), help="Also write the map that reads DUT as was found.")
@cluster_option
@json_option
@click.option(
    "--junit", type=click.Path(path_type=Path), help="Also write JUnit XML, one test case per tensor, or per picture."
)
@click.option("--html", type=click.Path(path_type=Path), help="Also write one HTML page with pictures.")
def command(
    golden: Path,
    dut: Path,
    isolated: bool,
    explain: bool | None,
    map_path: Path | None,
    complete: bool,
    scaled: bool,
    force: bool,
    score: Path | None,
    suggest_map: Path | None,
    model: Path | None,
    output: Path | None,
    cluster: str,
    as_json: bool,
    junit: Path | None,
    html: Path | None,
) -> int:
    """Compare the dump DUT with GOLDEN, element by element.

    DUT is a golden file, any HDF5 file with datasets by node name, an .npz, a folder of .npy files, or a folder of raw
    .bin, .hex or .txt files with a map (docs/debugging.md shows one).

    With --isolated each node is recomputed from the device's own inputs. This separates the culprits from the nodes that
    only inherit their errors, and names the rule that each culprit broke. The model is --model, the shipped one, or one next
    to GOLDEN.

    Where GOLDEN is the folder of a set, DUT is a folder of dumps called like its pictures (docs/sets.md).

    Exit code 0: everything that was compared is identical; 1: a difference was found; 2: nothing could be compared.
    """
    from ..debugging.core import diff

    if explain is False and not isolated:
        raise click.UsageError("--no-explain goes with --isolated")
    isolated = isolated or explain is True
    mapped = map_path is not None or (dut / "map.toml").exists() or dut.suffix == ".toml"
    if suggest_map is not None and mapped:
        raise click.UsageError("--suggest-map writes the first map of a dump, and this one has a map already")
    targets = [target for target in (output, junit, html, suggest_map) if target is not None]
    for i, target in enumerate(targets):
        check_target(target, golden, dut, model, map_path, score, *targets[:i])
    if isolated:
        announce_compiling()
    if golden.is_dir():
        for given, name in ((force, "--force"), (score, "--score"), (suggest_map, "--suggest-map")):
            if given:
                raise click.UsageError(f"{name} is of a single golden file, not of a set")
        explained = explain is not False
        how = {"isolated": isolated, "explained": explained, "complete": complete, "scaled": scaled, "map_path": map_path}
        return _sets(golden, dut, model, how, cluster, output, as_json, junit, html)
    with progress("comparing", None) as step:
        result = diff(
            golden,
            dut,
            model,
            isolated=isolated,
            explained=explain is not False,
            map_path=map_path,
            complete=complete,
            scaled=scaled,
            force=force,
            score=score,
            progress=step,
        )
    for warning in result.warnings:
        say(f"intsim: warning: {warning}", err=True)
    if junit is not None or html is not None:
        from ..debugging.reports import write_html, write_junit

        if junit is not None:
            write_junit(junit, result)
        if html is not None:
            write_html(html, result)
    if suggest_map is not None:
        from ..debugging.suggest import write_map

        if not write_map(suggest_map, result):
            say(f"intsim: {shown(dut)} needs no map; {shown(suggest_map)} was not written", err=True)
    if as_json:
        put_json(result.record(), output)
    else:
        from ..debugging.reports import render

        put_rich(lambda console: render(console, result), output)
    if not result.compared:
        return UNUSABLE
    return 0 if result.identical else DIFFERENT


def _sets(
    golden: Path,
    dut: Path,
    model: Path | None,
    how: dict[str, Any],
    cluster: str,
    output: Path | None,
    as_json: bool,
    junit: Path | None,
    html: Path | None,
) -> int:
    """Compare a set with the dumps in a folder."""
    from ..cluster import require_cluster
    from ..sets import compare_sets, read_index
    from ..sets.reports import render, write_html, write_junit

    require_cluster(cluster)
    with progress("comparing", len(read_index(golden).pictures), timed=True) as step:
        found = compare_sets(golden, dut, model, **how, cluster=cluster, progress=step)
    if junit is not None:
        write_junit(junit, found)
    if html is not None:
        write_html(html, found)
    if as_json:
        put_json(found.record(), output)
    else:
        put_rich(lambda console: render(console, found), output)
    if not found.compared:
        return UNUSABLE
    return 0 if found.identical else DIFFERENT
