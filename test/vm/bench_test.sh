#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# bench.sh, in short: every method gives every size, and CSV, plots and table come out. No
# time is asserted.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/report.sh
. "$here/../report.sh"
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
sizes='4 8 16 32 64 128 256 512 1024'

bench() {
    "$here/bench.sh" --out "$out" --iters 5 --passes 1 --sizes 4:1K >"$out/table" || {
        cat "$out/table"
        return 1
    }
}

# The method's rows have these sizes, and numbers that make sense.
rows() { # METHOD SIZE...
    [ "$(awk -F, -v method="$1" '$1 == method { print $2 }' "$out/bench.csv" |
        paste -sd ' ')" = "${*:2}" ] &&
        awk -F, -v method="$1" '$1 == method && !($3 >= 1 && $4 > 0 && $5 >= $4 &&
            ($2 == 0 || $6 > 0)) { print; bad = 1 } END { exit bad }' "$out/bench.csv"
}

header() {
    head -n 1 "$out/bench.csv" | grep -x method,bytes,iters,p50_us,p99_us,MBps
}

plot() { # NAME
    python3 -c 'import sys, xml.dom.minidom as dom
paths = dom.parse(sys.argv[1]).getElementsByTagName("path")
assert len(paths) > 5, len(paths)' "$out/$1.svg" && grep -q 'MPICH over TCP' "$out/$1.svg"
}

table() {
    cat "$out/table"
    [ "$(grep -cE '^ +[0-9]+ +[0-9.]+ [um]s +[0-9.]+ [um]s +[0-9.]+$' "$out/table")" -eq 9 ]
    [ "$(grep -cE ' (>=|<=) [0-9.]+' "$out/table")" -eq 6 ]
    grep -qE 'started again [0-9]+ times' "$out/table"
}

refused() { # ARGUMENT...
    local code=0
    "$here/bench.sh" "$@" 2>"$out/usage" || code=$?
    [ "$code" -eq 2 ] && grep -q -- --sizes "$out/usage"
}

check "bench.sh" bench
check "header" header
for method in mpich-lock-put ivshmem-lock-put tcp-pingpong ivshmem-signal-sleep \
    ivshmem-signal-spin; do
    # shellcheck disable=SC2086 # words
    check "every size: $method" rows "$method" $sizes
done
check "row: uio-doorbell" rows uio-doorbell 0
check "row: mpich-fetch-op" rows mpich-fetch-op 8
check "row: ivshmem-fetch-op" rows ivshmem-fetch-op 8
check "plot of time" plot time
check "plot of bandwidth" plot bandwidth
check "table" table
check "wrong sizes" refused --sizes 8
check "wrong iters" refused --iters none
check "unknown option" refused --fast
finish
