#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# What must hold between ranks of two guests: no atomic is lost, no lock is held twice,
# who waits sleeps, and the region is mapped write-back wherever firmware puts it.
# BUILD is the build directory, TOMBOLO its command.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/report.sh
. "$here/../report.sh"
# shellcheck source=test/vm/lib.sh
. "$here/lib.sh"
# shellcheck source=test/vm/job.sh
. "$here/job.sh"
job_seconds=500
size=$((64 << 20))

# 10,000,000 increments.
adds() {
    job_start adds 2+2 fault_machines add 2500000
    job_ends adds a b
    grep -ax 'sum: 10000000' "$rig/adds.a"
}

# 1,000,000 times the lock goes from one rank to another, or to the same again.
passes() {
    job_start passes 2+2 fault_machines pass 250000
    job_ends passes a b
    grep -ax 'passed: 1000000' "$rig/passes.a"
}

sleeps() {
    job_start sleeps 1+1 fault_machines idle 5000
    job_ends sleeps a b
    busy=$(sed -n 's/^busy: \([0-9]*\) of 10000$/\1/p' "$rig/sleeps.b")
    echo "$busy of 10000" | tee "$rig/busy"
    [ "$busy" -le 200 ]
}

# Entries of the page table in use that lie in BAR2 and are a program's: those that are
# cacheable, and all. The flags are XGPDACTUW; P is the PAT bit, C and T are PCD and PWT.
entries() { # GUEST START
    guest_monitor "$1" 'info tlb' | python3 -c '
import re, sys
start, size = int(sys.argv[1], 0), int(sys.argv[2])
flags = [m[2] for m in re.finditer(r"[0-9a-f]{16}: ([0-9a-f]{16}) ([-XGPDACTUW]{9})", sys.stdin.read())
         if start <= int(m[1], 16) < start + size and m[2][7] == "U"]
print(sum(f[2] + f[5] + f[6] == "---" for f in flags), len(flags))' "$2" "$size"
}

# While a rank spins there, its page table is the one in use.
write_back() { # GUEST HIGH
    local start cached all
    read -r start _ < <(guest_run "$1" 10 'ivshmem bar 2')
    echo "guest $1: BAR2 at $start"
    [ "$2" = "$((start >= 1 << 32))" ]
    guest_run "$1" 10 "cat \$(ivshmem)/tombolo/mapping" | grep -x 'pages write-back'
    for _ in {1..40}; do
        read -r cached all < <(entries "$1" "$start")
        echo "$cached of $all entries are cacheable"
        [ "$all" -eq 0 ] || break
        sleep 0.1
    done
    [ "$all" -gt 0 ] && [ "$cached" -eq "$all" ]
}

no_complaints() { # GUEST
    ! guest_complaints "$1"
}

check image "$here/image.sh"
[ "$failed" -eq 0 ] || finish
rig_begin
server_start server 64M --vectors 4
guest_boot a modules=tombolo_uio high=yes
guest_boot b modules=tombolo_uio
guest_wait a && guest_wait b
check "10,000,000 increments" adds
check "1,000,000 locks" passes
check "a waiting rank sleeps" sleeps
job_environment=TMB_SPIN=60s
job_start spins 1+1 fault_machines talk 15000
job_says spins a ready 60
check "above 4 GiB the mapping is write-back" write_back a 1
check "below 4 GiB the mapping is write-back" write_back b 0
if job_ends spins a b; then
    pass "spinning ranks end well"
else
    fail "spinning ranks end well"
fi
for guest in a b; do
    check "guest $guest complains of nothing" no_complaints "$guest"
done
finish
