#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# The conformance suite on three hosts of two ranks each: over TCP alone, and sharing a
# region inside each host with TCP between them. BUILD is the build directory.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/report.sh
. "$here/../report.sh"
# shellcheck source=test/net/lib.sh
. "$here/lib.sh"
places=1,1,2,2,3,3
# Everything but what moves megabytes and hammers.
cases=(library team collective/b window transfer/a transfer/n transfer/v strided bounds
    atomic/o atomic/w atomic/n atomic/e signal lock/e lock/l lock/s)
configurations=("all by tcp" "ivshmem inside, tcp between" "by mpiexec"
    "with delay and loss")

# The job has as many pairs of ranks that map each other's memory as it should.
routes() { # MAPPED ENVIRONMENT...
    local mapped
    net_environment=("${@:2}")
    job_start "$places" "$net_build/fault_links" routes
    job_ends 0 0 0 0 0 0
    mapped=$(cat "$work"/rank.? | grep -c '^mapped: ' || true)
    echo "$mapped ranks are mapped"
    [ "$mapped" -eq "$1" ]
}

suite() { # CONFIGURATION ENVIRONMENT...
    local rank worst=0 log=$work/suite
    net_environment=("${@:2}")
    job_start "$places" "$net_build/conformance" "${cases[@]}"
    for rank in "${!job_pids[@]}"; do
        job_ended "$rank"
        [ "$code" -eq 0 ] || worst=$code
    done
    cat "$work"/rank.? >"$log"
    suite_cases "$1" "$log" "$worst"
}

by_hydra() {
    local worst=0 log=$work/suite
    if [ -z "$(command -v mpiexec.hydra)" ]; then
        skip "$1" "no mpiexec.hydra (mpich) here"
        return
    fi
    hydra 300 2 -genv TMB_PROVIDER tcp "$net_build/conformance" library team transfer/a \
        >"$log" 2>&1 </dev/null || worst=$?
    suite_cases "$1" "$log" "$worst"
}

impaired() {
    local host why=''
    for host in 1 2 3; do
        why=$(link_impair "$host" delay 2ms 1ms loss 1% 2>&1) || break
    done
    if [ -n "$why" ]; then
        skip "$1" "this kernel has no netem: $(head -n 1 <<<"$why")"
        return
    fi
    cases=(library team window transfer/a signal lock/e)
    suite "$1" TMB_PROVIDER=tcp TMB_SPIN=0
}

if ! grep -qx '  tcp' < <("$net_tombolo" info); then
    net_why="the provider is not built (libfabric)"
else
    net_begin 3 || true
fi
if [ -n "$net_why" ]; then
    for configuration in "${configurations[@]}"; do
        skip "$configuration" "$net_why"
    done
    finish
fi
for host in 1 2 3; do
    server_start $host
done
check "all by tcp: routes" routes 0 TMB_PROVIDER=tcp
suite "${configurations[0]}" TMB_PROVIDER=tcp TMB_SPIN=0
check "ivshmem inside, tcp between: routes" routes 6 TMB_PROVIDER=auto
suite "${configurations[1]}" TMB_SPIN=0
by_hydra "${configurations[2]}"
impaired "${configurations[3]}"
finish
