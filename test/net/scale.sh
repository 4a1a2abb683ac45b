#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Many ranks over TCP on loopback, and a rank that computes: what they cost each other.
# Times are told and not judged. BUILD is the build directory, TOMBOLO its command.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/report.sh
. "$here/../report.sh"
build=$(realpath "${BUILD:-$here/../../build}")
tombolo=$(realpath "${TOMBOLO:-$build/tombolo}")
out=$(mktemp) figures=$(mktemp)
trap 'rm -f "$out" "$figures"' EXIT
# Buffers that libfabric has once and never uses here; of no job's peers (tombolo-tcp(7)).
export TMB_PROVIDER=tcp TMB_TCP_INTERFACE=lo TMB_INIT_TIMEOUT=120s
export FI_OFI_RXM_BUFFER_SIZE=1024 FI_OFI_RXM_MSG_RX_SIZE=8
peer_kib_most=64
few=8 many=64

tell() { # FIGURE...
    echo "# $*" | tee -a "$figures"
}

scale() { # RANKS ARGUMENT...
    timeout 200 "$tombolo" run -n "$1" -- "$build/scale" "${@:2}" >"$out" 2>&1 || {
        cat "$out"
        return 1
    }
}

# From the line that begins so: its numbers.
numbers() { # BEGIN
    grep "^$1: " "$out" | grep -oE '[0-9]+' | paste -s -d ' '
}

memory_per_peer() {
    local before after
    scale "$few" memory
    read -r before _ < <(numbers memory)
    scale "$many" memory
    read -r after _ < <(numbers memory)
    per_peer=$(((after - before) / (many - few)))
    tell "$few ranks: $before KiB each, $many ranks: $after KiB: $per_peer KiB a peer"
    [ "$per_peer" -gt 0 ] && [ "$per_peer" -le "$peer_kib_most" ]
}

# A link and a connection of libfabric's to each peer, and what a rank has once.
connections() { # RANKS
    scale "$1" memory
    read -r _ count < <(numbers memory)
    echo "$count sockets for $1 ranks"
    [ "$count" -le $((2 * ($1 - 1) + 16)) ]
}

empty_job() {
    local begin
    begin=$(date +%s%N)
    scale 32 nothing
    tell "32 ranks connect and finish in $((($(date +%s%N) - begin) / 1000000)) ms"
}

idle_rank() {
    scale 16 idle 5
    read -r us seconds woken < <(numbers idle)
    tell "an idle rank of 16: $((us / seconds)) us of a processor a second, woken $woken times in $seconds s"
    # A hundredth of a core is the aim; who spins has a whole one, and wakes need not be more
    # than a few for each peer and second.
    [ $((us / seconds)) -le 50000 ] && [ "$woken" -le $((seconds * 15 * 5)) ]
}

passive_target() {
    scale 3 passive 10
    tell "$(sed -n 's/^passive:/a target that computes for 10 s:/p' "$out")"
    read -r rounds added _ < <(numbers passive)
    [ "$rounds" -ge 100 ] && [ "$added" -ge "$rounds" ]
}

if ! grep -qx '  tcp' < <("$tombolo" info); then
    skip scale "the provider is not built (libfabric)"
    finish
fi
check "memory per peer" memory_per_peer
check "connections" connections 8
check "an empty job" empty_job
check "an idle rank" idle_rank
check "a target that computes" passive_target
cat "$figures"
finish
