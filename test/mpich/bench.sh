#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# One-sided communication between two ranks of this host: MPICH alone beside MPICH with the
# adapter, in runs that take turns, with the factor between their medians, and how far it
# should be, where that is said.
#   test/mpich/bench.sh [--tcp] [--runs N] [--ms N] [--quick]
#     --tcp     both over TCP on loopback
#     --runs N  of each (5)
#     --ms N    that a sample takes at least (2)
#     --quick   a short run of each that shows that all rows are measured: their times, and
#               the factors, mean nothing
# $BUILD is where the programs are.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/report.sh
. "$here/../report.sh"
build=$(realpath "${BUILD:-$here/../../build}")
library=$build/.libs/libtombolo-mpich.so
runs=5 milliseconds=2 quick='' tcp=''

usage() {
    sed -n '3,/^set/p' "$0" | sed -n 's/^# \{0,1\}//p'
}

while [ $# -gt 0 ]; do
    case $1 in
    --tcp) tcp=1 ;;
    --runs) runs=${2:?--runs needs a number} && shift ;;
    --ms) milliseconds=${2:?--ms needs a number} && shift ;;
    --quick) quick=1 runs=1 milliseconds=0.05 ;;
    --help | -h)
        usage
        exit
        ;;
    *)
        usage >&2
        exit 2
        ;;
    esac
    shift
done

if [ ! -e "$build/mpich_bench" ]; then
    skip mpich-bench 'not built: no MPICH (libmpich-dev)'
    finish
fi
if [ ! -e "$library" ]; then
    skip mpich-bench 'adapter not built'
    finish
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for variable in ${!TMB_@}; do
    unset "$variable"
done
alone=()
adapter=("LD_PRELOAD=$library" "LD_LIBRARY_PATH=$build/.libs"
    "TMB_TOMBOLO=$build/tombolo")
if [ -n "$tcp" ]; then
    alone+=("UCX_TLS=tcp,self" MPIR_CVAR_NOLOCAL=1)
    adapter+=("${alone[@]}" TMB_PROVIDER=tcp)
fi

# MPI_Finalize of Debian's MPICH hangs now and then; all has been printed then.
bench() { # NAME ENVIRONMENT...
    local status=0
    env "${@:2}" timeout -k 5 280 mpiexec.hydra -bind-to core -n 2 "$build/mpich_bench" \
        "$milliseconds" >"$work/$1" 2>"$work/errors" </dev/null || status=$?
    if ! grep -q '^done$' "$work/$1"; then
        tail -n 5 "$work/$1"
        cat "$work/errors"
        return 1
    fi
    [ $status -eq 0 ] || echo "# $1: MPI_Finalize hung"
}

table() {
    python3 "$here/bench.py" ${tcp:+--tcp} "$work"/alone.* "$work"/adapter.*
}

if [ -n "$quick" ]; then
    check 'bench, MPICH alone' bench alone.1 "${alone[@]}"
    check 'bench, adapter' bench adapter.1 "${adapter[@]}"
    check 'bench, table of all rows' table
    finish
fi
for ((i = 1; i <= runs; i++)); do
    bench "alone.$i" "${alone[@]}"
    bench "adapter.$i" "${adapter[@]}"
done
table
