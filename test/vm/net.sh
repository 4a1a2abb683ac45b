#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# The conformance suite across two guests that share no memory: TCP over virtio-net, alone,
# between ranks that share a region inside their guest, and with delay and loss.
# BUILD is the build directory, TOMBOLO its command.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/report.sh
. "$here/../report.sh"
# shellcheck source=test/vm/lib.sh
. "$here/lib.sh"
seconds=240
# Everything but what moves megabytes, hammers, or waits for thousands of trips.
cases="library team collective/b window transfer/a transfer/non transfer/g transfer/v strided \
    bounds atomic/o atomic/e signal/cou signal/com signal/e signal/t signal/s signal/a lock/s lock/t lock/u"
netem='delay 2ms 1ms loss 1%'

boot() {
    local guest net=(tap tap)
    net_begin || net=(listen connect)
    for guest in a b; do
        server_start "$guest" 64M --vectors 4
        guest_boot "$guest" "server=$guest" memory=512 modules=tombolo_uio,sch_netem net="${net[0]}"
        net=("${net[@]:1}")
    done
    guest_wait a && guest_wait b
}

# Ranks of one guest, numbered from FIRST on; the code of the worst.
ranks() { # GUEST FIRST COUNT ENVIRONMENT COMMAND
    guest_run "$1" "$seconds" "
        export TMB_RENDEZVOUS=10.77.0.1:7100 TMB_SIZE=4 TMB_SECRET=a-secret-of-some-length
        export $4
        code=0 pids=
        for rank in \$(seq $2 $(($2 + $3 - 1))); do
            TMB_RANK=\$rank $5 & pids=\"\$pids \$!\"
        done
        for pid in \$pids; do
            wait \$pid || code=\$?
        done
        exit \$code"
}

# Two ranks in each guest.
job() { # ENVIRONMENT COMMAND
    local code=0 pid
    ranks b 2 2 "$1" "$2" >"$rig/job.b" 2>&1 &
    pid=$!
    ranks a 0 2 "$1" "$2" >"$rig/job.a" 2>&1 || code=$?
    wait $pid || code=$?
    cat "$rig"/job.? >"$rig/job"
    return "$code"
}

routes() { # MAPPED ENVIRONMENT
    job "$2" 'fault_links routes' || {
        cat "$rig/job"
        return 1
    }
    [ "$(grep -ac '^mapped: ' "$rig/job")" -eq "$1" ]
}

suite() { # CONFIGURATION ENVIRONMENT CASES
    local code=0
    job "$2" "conformance $3" || code=$?
    suite_cases "$1" "$rig/job" "$code"
}

impaired() {
    local guest
    for guest in a b; do
        guest_run "$guest" 20 "/bin/tc qdisc replace dev eth0 root netem $netem"
    done
    guest_run a 20 '/bin/tc qdisc show dev eth0' | grep -F netem
}

no_complaints() { # GUEST
    ! guest_complaints "$1"
}

check image "$here/image.sh"
[ "$failed" -eq 0 ] || finish
if ! grep -qx '  tcp' < <("${TOMBOLO:-$vm_build/tombolo}" info); then
    skip "by tcp" "the provider is not built (libfabric)"
    finish
fi
rig_begin
boot
check "by tcp: routes" routes 0 TMB_PROVIDER=tcp
suite "by tcp" TMB_PROVIDER=tcp "$cases"
check "ivshmem inside, tcp between: routes" routes 4 TMB_IVSHMEM_DEVICE=uio
suite "ivshmem inside, tcp between" TMB_IVSHMEM_DEVICE=uio "$cases"
check "delay and loss can be had" impaired
suite "with delay and loss" TMB_PROVIDER=tcp "team transfer/all transfer/g signal/cou signal/t lock/s lock/t lock/u"
for guest in a b; do
    check "guest $guest complains of nothing" no_complaints "$guest"
done
finish
