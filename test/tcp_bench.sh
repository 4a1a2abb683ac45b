#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Put and flush over TCP on the loopback interface: Tombolo beside MPICH, by turns, so that
# noise meets both alike. Prints medians, and asserts nothing about them.
#   test/tcp_bench.sh [ITERATIONS [ROUNDS]]      $TOMBOLO and $BUILD as for the suites
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "${BUILD:-build}" && pwd)
tombolo=${TOMBOLO:-$build/tombolo}
iterations=${1:-1000} rounds=${2:-5}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cc -O2 -I"$here/../core/include" "$here/tcp_bench.c" -o "$work/tombolo" \
    -L"$build/.libs" -ltombolo -Wl,-rpath,"$build/.libs"
mpicc.mpich -O2 -DBENCH_MPI "$here/tcp_bench.c" -o "$work/mpich"

by_tombolo() {
    TMB_TCP_INTERFACE=lo timeout 300 "$tombolo" run -n 2 --bind core --provider tcp -- \
        "$work/tombolo" "$iterations"
}

# MPI_Finalize of MPICH over UCX hangs now and then: what was printed counts.
by_mpich() {
    UCX_TLS=tcp,self UCX_NET_DEVICES=lo MPIR_CVAR_NOLOCAL=1 timeout $((60 + iterations / 10)) \
        mpiexec.hydra -n 2 -bind-to core "$work/mpich" "$iterations" || true
}

for ((round = 0; round < rounds; round++)); do
    by_tombolo >>"$work/tombolo.rows"
    by_mpich >>"$work/mpich.rows"
done
python3 - "$work/tombolo.rows" "$work/mpich.rows" <<'END'
import collections, statistics, sys

def rows(path):
    sizes = collections.defaultdict(list)
    for line in open(path):
        size, ns, rate = line.split()
        sizes[int(size)].append((float(ns), float(rate)))
    return {size: [statistics.median(column) for column in zip(*values)]
            for size, values in sizes.items()}

ours, theirs = map(rows, sys.argv[1:])
assert ours and ours.keys() == theirs.keys(), "rows are missing"
print(f"{'bytes':>8} {'us':>9} {'MPICH':>9} {'factor':>7} {'MB/s':>9} {'MPICH':>9} {'factor':>7}")
for size in sorted(ours):
    (ns, rate), (mpi_ns, mpi_rate) = ours[size], theirs[size]
    print(f"{size:8} {ns / 1e3:9.2f} {mpi_ns / 1e3:9.2f} {mpi_ns / ns:7.2f}"
          f" {rate:9.1f} {mpi_rate:9.1f} {rate / mpi_rate:7.2f}")
END
