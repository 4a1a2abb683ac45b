#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# `tombolo perf`: every test runs, and what it prints has the form that is promised. No
# time is asserted.
set -euo pipefail
# shellcheck source=test/report.sh
. "$(dirname "$0")/report.sh"
tombolo=${TOMBOLO:-${BUILD:-build}/tombolo}
tests='put-latency get-latency put-bandwidth get-bandwidth put-rate lock-put atomic
    lock lock-contended signal put-signal barrier limits'
bounded='put-bandwidth get-bandwidth lock-put lock-contended signal'

perf() { # ARGUMENTS...
    timeout 120 "$tombolo" perf "$@"
}

# Each line is an object with the fields, numbers where numbers belong; those of a test
# that has a limit, have it.
json() { # TEST ARGUMENTS...
    perf "$1" --json --iters 20 --sizes 8:4K "${@:2}" |
        TEST=$1 BOUNDED=$bounded python3 -c '
import json, os, sys
rows = [json.loads(line) for line in sys.stdin]
assert rows, "no rows"
for row in rows:
    assert row["test"] == os.environ["TEST"] and row["provider"], row
    for key in ("bytes", "iters", "p50_ns", "p99_ns", "mean_ns", "MBps"):
        assert isinstance(row[key], (int, float)) and row[key] >= 0, (key, row)
    assert row["p50_ns"] <= row["p99_ns"] and row["iters"] >= 1, row
    assert ("limit" in row) == ("ratio" in row), row
    if row["test"] in os.environ["BOUNDED"].split():
        assert row["limit"] > 0, row
sizes = sorted({row["bytes"] for row in rows if row["bytes"]})
if os.environ["TEST"].endswith(("latency", "bandwidth", "lock-put", "put-signal")):
    assert sizes == [8 << i for i in range(10)], sizes
'
}

# What bounds tcp: bare sockets always, libfabric where it was built.
limits_of_tcp() {
    local built=0
    ! grep -qx '  tcp' < <("$tombolo" info) || built=1
    perf limits --json --iters 20 --sizes 8:64K | BUILT=$built python3 -c '
import json, os, sys
rows = [json.loads(line) for line in sys.stdin]
sizes = [8 << i for i in range(14)]
def of(variant):
    return [row for row in rows if row["variant"] == variant]
for trip in ("socket trip, spinning", "socket trip, sleeping"):
    assert len(of(trip)) == 1 and of(trip)[0]["p50_ns"] > 0, trip
streams = ["socket stream"]
if os.environ["BUILT"] == "1":
    streams += ["libfabric write", "libfabric stream"]
for stream in streams:
    assert [row["bytes"] for row in of(stream)] == sizes, stream
    assert all(row["MBps"] > 0 for row in of(stream)), stream
'
}

csv() {
    perf put-bandwidth --csv --iters 5 --sizes 8:64 |
        awk -F, 'NF != 11 { exit 1 } END { exit NR != 5 }'
}

table() {
    [ "$(perf lock --iters 100 | wc -l)" -ge 4 ]
}

nothing_on_stderr() {
    [ -z "$(perf signal --iters 5 2>&1 >/dev/null)" ]
}

refused() { # TEXT ARGUMENTS...
    local output code=0
    output=$(perf "${@:2}" 2>&1) || code=$?
    echo "exit code $code: $output"
    [ "$code" -eq 2 ] && [[ $output == *"$1"* ]]
}

under_launcher() {
    timeout 60 "$tombolo" run -n 3 -- "$tombolo" perf barrier --json --iters 10 |
        grep -q '"test":"barrier"'
}

alone_under_launcher() {
    local output code=0
    output=$(timeout 60 "$tombolo" run -n 1 -- "$tombolo" perf barrier 2>&1) || code=$?
    [ "$code" -eq 1 ] && [[ $output == *'at least 2 are needed'* ]]
}

for name in $tests; do
    check "$name" json "$name"
done
for name in put-latency get-latency put-bandwidth get-bandwidth lock-put atomic signal \
    put-signal; do
    check "$name, target create" json "$name" --target create
done
check "limits of tcp" limits_of_tcp
if ! command -v mpicc.mpich >/dev/null; then
    skip "beside MPICH over TCP" "no MPICH (mpicc.mpich)"
elif ! grep -qx '  tcp' < <("$tombolo" info); then
    skip "beside MPICH over TCP" "the provider tcp is not built (libfabric)"
elif [ "${VARIANT:-gcc}" != gcc ]; then
    skip "beside MPICH over TCP" "a plain program can't load the variant's library"
else
    check "beside MPICH over TCP" "$(dirname "$0")/tcp_bench.sh" 10 1
fi
check "csv" csv
check "table" table
check "no progress in a pipe" nothing_on_stderr
check "4 ranks" json barrier -n 4
check "under the launcher" under_launcher
check "too few ranks" alone_under_launcher
check "no test" refused 'a test is missing'
check "unknown test" refused 'put-latency' put-latenci
check "wrong sizes" refused 'must be MIN:MAX' put-latency --sizes 8
check "sizes reversed" refused 'must be MIN:MAX' put-latency --sizes 1M:4
check "wrong iters" refused 'must be a number' put-latency --iters none
check "wrong target" refused 'alloc or create' put-latency --target heap
finish
