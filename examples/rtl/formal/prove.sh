#!/bin/sh
# prove.sh INTSIM FOLDER: requant's datapath is the reference for all inputs, by yosys; the wrong one is refuted.
set -e
intsim=$1
mkdir -p "$2"
out=$(cd "$2" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
$intsim export --reference sv --dialect rtl -o "$out/functions"

proved() { # WIDTH ROUND_SHIFT: whether yosys proves it
    yosys -q -p "read_verilog -sv -DWIDTH=$1 $out/functions/intsim_rtl_pkg.sv $2 $here/../parts/saturate.sv $here/requant.sv;
        prep -top requant_equal -flatten; opt -full; sat -verify -prove ok 1 -timeout 600" > "$out/yosys.txt" 2>&1
}

for width in 8 16; do
    proved $width "$here/../parts/round_shift.sv" || { tail -n 3 "$out/yosys.txt"; exit 1; }
    echo "requant to $width bits: equal to the reference for all acc, m and e"
done
if proved 8 "$here/../wrong/round_shift.sv"; then
    echo "wrong/round_shift.sv: was not refuted"
    exit 1
fi
grep -q "proof did fail" "$out/yosys.txt" && echo "wrong/round_shift.sv: refuted"
