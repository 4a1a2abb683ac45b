#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# What a put from a rank in one guest to a rank in another one costs, with lock - put -
# unlock and with signals, over the region that they share and over TCP between them.
#   test/vm/bench.sh [--out DIR] [--iters N] [--sizes MIN:MAX] [--passes N]
# DIR (default $BUILD/vm/bench) gets bench.csv, time.svg and bandwidth.svg. Each pass
# measures everything, N times each (200; large sizes less often); of the passes (3) the
# median counts. BUILD is the build directory, TOMBOLO its command.
# Methods in bench.csv; ping-pongs tell the time of one way, half of the round trip:
#   mpich-lock-put      MPI_Win_lock, MPI_Put and MPI_Win_unlock of Debian's MPICH over TCP,
#                       the target in a barrier
#   ivshmem-lock-put    the same by the library, the target asleep
#   tcp-pingpong        messages over a TCP connection
#   uio-doorbell        a doorbell to a process in a blocking read(), without the library
#   ivshmem-signal-sleep, -spin    put with signal to a rank that sleeps, or spins
#   mpich-fetch-op, ivshmem-fetch-op   fetch-and-add of 8 bytes
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/lib.sh
. "$here/lib.sh"
out=$vm_build/vm/bench iters=200 sizes=4:1M passes=3
# MPI_Finalize hangs now and then.
mpi_tries=3 mpi_seconds=90
jobs=0

usage() {
    sed -n '3,/^set/s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

options() {
    while [ $# -gt 0 ]; do
        case $1 in
        --out) out=${2:?--out needs a directory} ;;
        --iters) iters=${2:?--iters needs a number} ;;
        --sizes) sizes=${2:?--sizes needs MIN:MAX} ;;
        --passes) passes=${2:?--passes needs a number} ;;
        *) usage ;;
        esac
        shift 2
    done
    [[ $iters:$passes =~ ^[1-9][0-9]*:[1-9][0-9]*$ && $sizes == *:* ]] || usage
    min=$(numfmt --from=iec "${sizes%:*}")
    max=$(numfmt --from=iec "${sizes#*:}")
}

boot() {
    local guest net=(tap tap)
    server_start server 64M --vectors 4
    net_begin || {
        echo "no network of our own here: MPICH is left out" >&2
        net=(listen connect)
    }
    for guest in a b; do
        guest_boot $guest high=yes memory=512 initrd=initrd-mpich.cpio \
            modules=tombolo_uio net="${net[0]}"
        net=("${net[@]:1}")
    done
    guest_wait a
    guest_wait b
    guests_part a b
}

# A command in each guest, at once; what both print.
in_both() { # SECONDS COMMAND-IN-A COMMAND-IN-B
    local pid code=0
    guest_run b "$1" "$3" &
    pid=$!
    guest_run a "$1" "$2" || code=$?
    wait $pid || code=$?
    return $code
}

# A job of one rank in each guest.
job() { # SECONDS PROGRAM...
    local run
    jobs=$((jobs + 1))
    run="TMB_IVSHMEM_DEVICE=uio tombolo run -n 1 --job bench-$jobs --np 2 -- ${*:2}"
    in_both "$1" "$run" "$run"
}

perf() { # TEST ITERS
    job 300 "tombolo perf $1 --csv --sizes $min:$max --iters $2"
}

mpich() {
    local try code
    for ((try = 1; try <= mpi_tries; try++)); do
        code=0
        guest_mpiexec "$mpi_seconds" a,b -n 2 -ppn 1 mpi_lock_put "$min" "$max" "$iters" \
            >"$rig/mpich" || code=$?
        # What an mpiexec that didn't end has printed doesn't count.
        [ "$code" -ne 0 ] || {
            cat "$rig/mpich"
            return
        }
        echo "mpiexec: exit code $code after $(wc -l <"$rig/mpich") rows" |
            tee -a "$rig/retries" >&2
        sleep 2
    done
    return 1
}

tcp() {
    in_both 300 "tcp_pingpong 10.77.0.2 $min $max $iters" \
        "tcp_pingpong serve $min $max $iters"
}

uio() {
    in_both 60 "uio_pingpong ask $(guest_run b 10 'uio_pingpong id') $((10 * iters))" \
        "uio_pingpong answer $(guest_run a 10 'uio_pingpong id')"
}

# One after the other, so that a pass meets the same noise with all of them.
measure() { # PASS
    local method
    for method in "${methods[@]}"; do
        echo "pass $1 of $passes: $method" >&2
        $method || {
            echo "bench.sh: $method failed" >&2
            return 1
        }
    done >>"$rig/rows"
}

options "$@"
"$here/image.sh" mpich >&2
mkdir -p "$out"
rig_begin
: >"$rig/retries"
boot
methods=(tcp uio "perf lock-put $((10 * iters))" "perf put-signal $iters"
    "perf atomic $((10 * iters))" 'job 60 waiting 5')
[ ${#vm_net[@]} -eq 0 ] || methods=(mpich "${methods[@]}")
for ((pass = 1; pass <= passes; pass++)); do
    measure "$pass"
done
retries=$(wc -l <"$rig/retries")
echo "mpiexec was started again $retries times, since it hung or failed (code 124: hung)"
python3 "$here/bench.py" "$rig/rows" "$out/bench.csv"
gnuplot -e "csv='$out/bench.csv'; out='$out'" "$here/bench.gnuplot"
echo "$out: bench.csv, time.svg, bandwidth.svg"
