"""``intsim execute``: an exported network in somebody else's runtime, and what it computes as a dump."""

from __future__ import annotations

from pathlib import Path

import click

from ._common import check_target, output_option, require_extra, shown

RUNTIMES = ("onnxruntime", "onnx", "openvino", "tvm", "iree")


@click.command("execute", epilog="Example: intsim execute net_inline.onnx street.png --with tvm -o dut.h5")
@click.argument("network", type=click.Path(path_type=Path))
@click.argument("picture", type=click.Path(path_type=Path))
@click.option(
    "--with",
    "runtime",
    default="onnxruntime",
    show_default=True,
    metavar="RUNTIME",
    help=f"{', '.join(RUNTIMES)}, or one of another package.",
)
@output_option("Dump (HDF5).", "dut.h5")
@click.option("--resize", is_flag=True, help="Scale a picture of another size.")
def command(network: Path, picture: Path, runtime: str, output: Path, resize: bool) -> None:
    """Compile NETWORK, which 'intsim export MODEL --onnx' wrote, run it on PICTURE, and write what it computed.

    'intsim diff GOLDEN dut.h5 --isolated' then names the operator in which the runtime errs. Only the network's outputs are
    in the dump: export it with --layers '*' for all tensors. Most compilers read the inlined file alone.
    """
    check_target(output, network, picture)
    require_extra("onnx", "compilers")
    from ..compilers.execution import described, execute, save_dump
    from ..storage.pictures import read_picture

    _, _, (height, width, _) = described(network)
    image = read_picture(picture, height, width, resize)
    executed = execute(network, image, runtime)
    save_dump(executed, output)
    count = len(executed.tensors) - 1  # without the picture
    click.echo(f"{shown(output)}: {count} tensor{'s' if count > 1 else ''} by {executed.runtime}")
