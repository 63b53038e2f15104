"""``intsim execute``: an exported network in somebody else's runtime, and what it computes as a dump."""

from __future__ import annotations

from pathlib import Path

import click

from ..errors import IntsimError
from ._common import check_target, files_of, input_option, output_option, picture_argument, require_extra, shown
from ._output import say

RUNTIMES = ("onnxruntime", "onnx", "openvino", "tvm", "iree")


@click.command("execute", epilog="Example: intsim execute net_inline.onnx street.png --with tvm -o dut.h5")
@click.argument("network", type=click.Path(path_type=Path))
@picture_argument
@input_option
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
def command(network: Path, picture: Path | None, arrays: tuple[str, ...], runtime: str, output: Path, resize: bool) -> None:
    """Compile NETWORK, which 'intsim export MODEL --onnx' wrote, run it on PICTURE or arrays, and write what it computed.

    'intsim diff GOLDEN dut.h5 --isolated' then names the operator in which the runtime errs. Only the network's outputs are
    in the dump: export it with --layers '*' for all tensors. Most compilers read the inlined file alone.
    """
    check_target(output, network, picture, *files_of(arrays))
    require_extra("onnx", "compilers")
    from ..compilers.execution import described, execute, save_dump
    from ..engine.inputs import like_picture
    from ..storage.input_files import read_named
    from ..storage.pictures import read_picture

    _, takes = described(network)
    sizes = [bound.shape for bound in takes.values()]
    if picture is not None and arrays:
        raise click.UsageError("a picture and --input are both inputs of the network; give one of them")
    if picture is None and not arrays:
        raise click.UsageError("Missing argument 'PICTURE', or --input [NAME=]FILE.npy for every input")
    if picture is not None and not (len(sizes) == 1 and like_picture(*takes.values())):
        listed = ", ".join(f"{name} ({bound.fmt} {list(bound.shape)})" for name, bound in takes.items())
        raise IntsimError(f"{picture}: the network takes no picture, but {listed}; give them with --input [NAME=]FILE.npy")
    if picture is not None:
        height, width, _ = sizes[0]
        executed = execute(network, read_picture(picture, height, width, resize), runtime)
    else:
        executed = execute(network, read_named(takes, arrays), runtime)
    save_dump(executed, output)
    count = len(executed.tensors) - len(takes)
    say(f"{shown(output)}: {count} tensor{'s' if count > 1 else ''} by {executed.runtime}")
