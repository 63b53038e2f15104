#!/bin/sh
# run.sh INTSIM FOLDER: the unit requant of examples/rtl against the C reference, in Verilator; then one that is wrong on purpose.
set -e
intsim=$1
mkdir -p "$2"
out=$(cd "$2" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
rtl=$here/../rtl
node=encoder.blocks.0.mlp.fc1.requant

$intsim quantize "$here/../../weights/scenes.safetensors" "$here/../scenes/calibration.png" --config "$here/../../weights/scenes.json" \
    --dialect rtl -o "$out/model.h5" > "$out/quantize.txt"
$intsim export "$out/model.h5" --layers $node --package sv -o "$out/package"
$intsim export --reference dpi --op requant --dialect rtl -o "$out/reference"

simulated() { # NAME ROUND_SHIFT: build and run the bench
    verilator --binary --timing -j 0 -Wno-fatal -Wno-WIDTH -Wno-UNUSED --top-module bench --Mdir "$out/$1" \
        -CFLAGS "-I$out/reference" -DNODE_PKG=encoder_blocks_0_mlp_fc1_requant_pkg -DNODE="\"$node\"" \
        "$out"/reference/intsim_dpi_pkg.sv "$out"/package/*_pkg.sv "$rtl"/parts/channel_rom.sv "$rtl"/parts/saturate.sv "$2" \
        "$rtl"/requant.sv "$rtl"/nodes/requant_node.sv "$here"/bench.sv \
        "$out"/reference/intsim_dpi.c "$out"/reference/intsim_requant.c "$out"/reference/intsim_error.c > "$out/$1.txt" 2>&1
    "$out/$1/Vbench"
}

simulated right "$rtl/parts/round_shift.sv"
if simulated wrong "$rtl/wrong/round_shift.sv" > "$out/fault.txt" 2>&1; then
    echo "the fault was not found"
    exit 1
fi
grep -o "node .*" "$out/fault.txt"
