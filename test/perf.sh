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

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export TMB_TCP_INTERFACE=lo

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
    if row["provider"] == "tcp": # what memory does bounds nothing there
        assert "limit" not in row or row["variant"] == "to a sleeper", row
    elif row["test"] in os.environ["BOUNDED"].split():
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

# By one provider and by the other: the same rows, those of each by the provider that it
# says, and the factor of the two.
compare_json() { # TEST
    perf "$1" --compare ivshmem,tcp --json --iters 20 --sizes 8:64 |
        TEST=$1 python3 -c '
import json, os, sys
lines = [json.loads(line) for line in sys.stdin]
assert lines, "no rows"
for line in lines:
    first, second = line["rows"]
    assert line["test"] == first["test"] == second["test"] == os.environ["TEST"], line
    assert (first["provider"], second["provider"]) == ("ivshmem", "tcp"), line
    assert line["bytes"] == first["bytes"] == second["bytes"], line
    assert line["variant"] == first.get("variant", "") == second.get("variant", ""), line
    factor = second["p50_ns"] / first["p50_ns"]
    assert abs(line["factor"] / factor - 1) < 0.001, (line, factor)
keys = [(line["variant"], line["bytes"]) for line in lines]
assert len(set(keys)) == len(keys), keys
if os.environ["TEST"] == "put-latency":
    assert keys == [(v, 8 << i) for i in range(4) for v in ("put", "put+flush")], keys
'
}

# A row that only one of them has has no factor.
compare_odd_rows() {
    perf limits --compare ivshmem,tcp --json --iters 20 --sizes 8:8 >"$work/out"
    python3 - "$work/out" <<'END'
import json, sys
lines = {line["variant"]: line for line in map(json.loads, open(sys.argv[1]))}
line = lines["cache line trip"]
assert [row["provider"] for row in line["rows"]] == ["ivshmem"], line
assert "factor" not in line and "factor" in lines["memcpy"], lines
END
}

compare_csv() {
    perf get-bandwidth --compare tcp,ivshmem --csv --iters 5 --sizes 8:64 >"$work/out"
    awk -F, 'NF != 8 { exit 1 } END { exit NR != 5 }' "$work/out"
    [ "$(head -n 1 "$work/out")" = \
        test,variant,bytes,tcp_p50_ns,tcp_MBps,ivshmem_p50_ns,ivshmem_MBps,factor ]
}

compare_table() {
    perf put-bandwidth --compare ivshmem,tcp --iters 5 --sizes 8:64 >"$work/out"
    grep -qE '^ +size +ivshmem +tcp +factor$' "$work/out"
    [ "$(grep -cE '^ +[0-9]+ B +[0-9.]+ MB/s +[0-9.]+ MB/s +[0-9.]+$' "$work/out")" -eq 4 ]
}

# A whole drawing, whose curves have these titles, each in two panels and with as many
# points as there are sizes.
drawn() { # FILE SIZES TITLE...
    python3 - "$@" <<'END'
import sys, xml.etree.ElementTree as tree
path, sizes, titles = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
svg = "{http://www.w3.org/2000/svg}"
curves = []
for group in tree.parse(path).getroot().iter(svg + "g"):
    if group.get("id", "").startswith("gnuplot_plot"):
        title = "".join(s for t in group.iter(svg + "text") for s in t.itertext())
        marks = sum(1 for _ in group.iter(svg + "use"))
        curves.append((title.strip(), marks - 1))  # one stands beside the title
assert sorted(curves) == sorted((title, sizes) for title in 2 * titles), curves
END
}

plot_compared() {
    perf get-latency --compare ivshmem,tcp --iters 20 --sizes 8:64 \
        --plot "$work/two.svg" >"$work/out"
    drawn "$work/two.svg" 4 'get, ivshmem' 'get, tcp'
    [ "$(grep -c ' B ' "$work/out")" -eq 4 ]
}

plot_alone() {
    perf put-latency --iters 20 --sizes 8:128 --plot "$work/one.svg" >"$work/out"
    drawn "$work/one.svg" 5 'put, ivshmem' 'put+flush, ivshmem'
    [ "$(grep -c ' B ' "$work/out")" -eq 10 ]
    perf put-bandwidth --iters 20 --sizes 8:64 --plot "$work/one.svg" --json >"$work/out"
    drawn "$work/one.svg" 4 ivshmem
    [ "$(wc -l <"$work/out")" -eq 4 ]
}

plot_under_launcher() {
    timeout 60 "$tombolo" run -n 3 -- "$tombolo" perf get-bandwidth --iters 5 \
        --sizes 8:32 --plot "$work/ranks.svg" >"$work/out"
    drawn "$work/ranks.svg" 3 ivshmem
}

# Of all tests those that have sizes: 6 of them, and 9 curves.
plot_all() {
    local kind
    perf all --iters 5 --sizes 8:16 --plot "$work/all.svg" >"$work/out"
    drawn "$work/all.svg" 2 'put, ivshmem' 'put+flush, ivshmem' 'get, ivshmem' ivshmem \
        ivshmem ivshmem 'to a sleeper, ivshmem' 'to a spinner, ivshmem'
    for kind in png pdf; do
        perf get-latency --iters 5 --sizes 8:16 --plot "$work/all.$kind" >"$work/out"
        grep -qi "^$kind " < <(file -b "$work/all.$kind")
    done
}

# The whole line that is said, by the exit code.
one_line() { # CODE TEXT ARGUMENTS...
    local code=0
    perf "${@:3}" >"$work/out" 2>"$work/err" || code=$?
    echo "exit code $code"
    cat "$work/err"
    [ "$code" -eq "$1" ] && [ ! -s "$work/out" ]
    [ "$(wc -l <"$work/err")" -eq 1 ] && grep -qF -- "$2" "$work/err"
}

wrong_compare() {
    one_line 2 '--compare tcp: must be two providers' atomic --compare tcp
    one_line 2 '--compare ivshmem,: must be two' atomic --compare ivshmem,
    one_line 2 '--compare a,b,c: must be two' atomic --compare a,b,c
    one_line 2 "--compare ivshmem,roce: there is no provider \`roce\`; \`tombolo info\` lists" \
        atomic --compare ivshmem,roce
    one_line 2 '--compare ivshmem,ivshmem: must be two different' atomic \
        --compare ivshmem,ivshmem
    refused '--compare names the providers' atomic --compare ivshmem,tcp -p tcp
    local output code=0
    output=$(timeout 60 "$tombolo" run -n 2 -- \
        "$tombolo" perf atomic --compare ivshmem,tcp 2>&1) || code=$?
    [ "$code" -eq 2 ] && [[ $output == *'run it without a launcher'* ]]
}

wrong_plot() {
    refused 'the name must end in .svg, .png or .pdf' put-latency --plot "$work/x.txt"
    refused 'the name must end in' put-latency --plot "$work/svg"
    refused 'atomic has no sizes' atomic --plot "$work/x.svg"
    one_line 1 "--plot $work/none/x.svg: can't write there: No such file or directory" \
        put-latency --plot "$work/none/x.svg"
    mkdir "$work/directory.svg"
    one_line 1 "can't write there: Is a directory" put-latency --plot "$work/directory.svg"
    one_line 1 "can't write there: Is a directory" put-latency --compare ivshmem,tcp \
        --plot "$work/directory.svg"
}

# All commands but gnuplot.
without_gnuplot() {
    mkdir "$work/bin"
    ln -s /usr/bin/* /bin/* "$work/bin" 2>/dev/null || true
    rm -f "$work"/bin/gnuplot*
    PATH=$work/bin one_line 1 'gnuplot-nox' put-latency --plot "$work/x.svg"
    PATH=$work/bin one_line 1 'gnuplot-nox' put-latency --compare ivshmem,tcp \
        --plot "$work/x.svg"
    [ ! -e "$work/x.svg" ]
}

# What was in the file stays there until there is a drawing, and no empty one is left.
failing_gnuplot() {
    local code=0
    mkdir "$work/failing"
    # shellcheck disable=SC2016 # the script's own argument
    printf '#!/bin/sh\n[ "$1" = --version ]\n' >"$work/failing/gnuplot"
    chmod +x "$work/failing/gnuplot"
    echo before >"$work/kept.svg"
    for file in kept new; do
        code=0
        PATH=$work/failing:$PATH perf get-latency --iters 5 --sizes 8:16 \
            --plot "$work/$file.svg" >"$work/out" 2>"$work/err" || code=$?
        [ "$code" -eq 1 ]
        grep -qF -- "--plot $work/$file.svg: it could not be drawn" "$work/err"
    done
    [ "$(cat "$work/kept.svg")" = before ]
    [ ! -e "$work/new.svg" ]
}

# Ranks that no launcher of ours has started are used as they are.
by_rendezvous() {
    local port
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])')
    export TMB_RENDEZVOUS=127.0.0.1:$port TMB_SIZE=2
    TMB_RANK=1 perf get-latency --json --iters 5 --sizes 8:8 -p tcp &
    TMB_RANK=0 perf get-latency --json --iters 5 --sizes 8:8 -p tcp >"$work/out"
    wait $!
    [ "$(wc -l <"$work/out")" -eq 1 ]
    grep -q '"provider":"tcp"' "$work/out"
}

for name in $tests; do
    check "$name" json "$name"
done
if grep -qx '  tcp' < <("$tombolo" info); then
    for name in $tests; do
        check "$name, tcp" json "$name" -p tcp
    done
    for name in put-latency atomic lock-contended signal; do
        check "$name, compared" compare_json "$name"
    done
    check "compared, odd rows" compare_odd_rows
    check "compared, csv" compare_csv
    check "compared, table" compare_table
    check "wrong comparisons" wrong_compare
    check "by rendezvous" by_rendezvous
else
    skip "tcp" "the provider is not built (libfabric)"
fi
if type gnuplot >/dev/null 2>&1; then
    check "plot" plot_alone
    check "plot, all" plot_all
    check "plot under the launcher" plot_under_launcher
    ! grep -qx '  tcp' < <("$tombolo" info) || check "plot, compared" plot_compared
    check "wrong plots" wrong_plot
else
    skip "plots" "there is no gnuplot (Debian: gnuplot-nox)"
fi
check "gnuplot missing" without_gnuplot
check "gnuplot fails" failing_gnuplot
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
check "wrong target" refused 'alloc, create, adopt or mem' put-latency --target heap
finish
