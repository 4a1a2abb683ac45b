#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# The conformance suite, with several numbers of ranks and every route. $TOMBOLO is the
# command, $BUILD where the programs are, $VARIANT how they were built.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/report.sh
. "$here/report.sh"
build=${BUILD:-build}
tombolo=${TOMBOLO:-$build/tombolo}
log=$(mktemp)
region=$(mktemp -p /dev/shm region-XXXXXX) # what ranks share without a server
truncate -s 256M "$region"
board=$(mktemp) # where ranks meet that join as an adapter's
trap 'rm -f "$log" "$region" "$board"' EXIT

suite() { # CONFIGURATION RANKS ENVIRONMENT...
    local status=0
    env SUITE_ADOPTS=all "${@:3}" timeout 600 "$tombolo" run -n "$2" "${options[@]}" -- \
        "${program[@]}" "${cases[@]}" >"$log" 2>&1 || status=$?
    suite_cases "$1" "$log" "$status"
}

# A program that counts what operations do. PROGRAM ENVIRONMENT...
counting() {
    local status=0 word name
    env "${@:2}" timeout 60 "$tombolo" run -n 2 -- "$build/$1" >"$log" 2>&1 || status=$?
    while read -r word name; do
        case $word in
        ok) pass "$1: $name" ;;
        not) fail "$1: ${name#ok }" ;;
        skip) skip "${name%%:*}" "${name#*: }" ;;
        esac
    done <"$log"
    [ "$status" -eq 0 ] || fail "$1 ends well" "exit code $status"
}

# What adapters use. RANKS ENVIRONMENT...
by_adapter() {
    local all=("${cases[@]}")
    cases=(adapter)
    truncate -s 0 "$board"
    suite "$1 ranks, an adapter's${2:+, $2}" "$1" TMB_OP_TIMEOUT=5s \
        SUITE_ADAPTER="$board" "${@:2}"
    cases=("${all[@]}")
}

# Over TCP alone, and in jobs of which a part shares a region. $1: how many ranks; short:
# once each, where a run takes long.
by_tcp() {
    local tcp=(TMB_PROVIDER=tcp TMB_TCP_INTERFACE=lo) ranks
    if ! grep -qx '  tcp' < <("$tombolo" info); then
        skip "by tcp" "the provider is not built (libfabric)"
        return
    fi
    if [ "$1" = short ]; then
        suite "2 ranks, by tcp" 2 "${tcp[@]}"
        program=("$here/mixed.sh" "$build/conformance")
        suite "3 ranks, one by tcp" 3 MIXED=2 TMB_TCP_INTERFACE=lo
        program=("$build/conformance")
        return
    fi
    counting frugal "${tcp[@]}" # sends no more than it must
    for ranks in "$@"; do
        suite "$ranks ranks, by tcp" "$ranks" "${tcp[@]}"
    done
    suite "2 ranks, by tcp, by libfabric what is long" 2 "${tcp[@]}" TMB_TCP_LINK_MAX=8K
    by_adapter 3 "${tcp[@]}"
    program=("$here/mixed.sh" "$build/conformance")
    by_adapter 3 MIXED=2 TMB_TCP_INTERFACE=lo
    suite "4 ranks, two by tcp" 4 MIXED=2 TMB_TCP_INTERFACE=lo
    suite "3 ranks, one by tcp, no spinning" 3 MIXED=2 TMB_TCP_INTERFACE=lo TMB_SPIN=0
    program=("$build/conformance")
}

cases=() options=() program=("$build/conformance") plain=TMB_IVSHMEM_DEVICE=plain:$region
case ${VARIANT:-gcc} in
gcc)
    suite "1 rank" 1
    suite "2 ranks" 2
    suite "7 ranks" 7
    suite "2 ranks, no spinning" 2 TMB_SPIN=0
    suite "5 ranks, no spinning" 5 TMB_SPIN=0
    suite "2 ranks, spinning for long" 2 TMB_SPIN=10ms
    suite "2 ranks, by the agent" 2 TMB_IVSHMEM_CMA=off
    suite "4 ranks, by the agent" 4 TMB_IVSHMEM_CMA=off
    options=(--vectors 1)
    suite "3 ranks, one doorbell for all" 3 TMB_SPIN=0 TMB_IVSHMEM_CMA=off
    options=()
    suite "2 ranks, by plain memory" 2 "$plain"
    suite "4 ranks, by plain memory, no spinning" 4 "$plain" TMB_SPIN=0 \
        TMB_IVSHMEM_CMA=off
    suite "2 ranks, whole pages adopted" 2 TMB_IVSHMEM_ADOPT=inner SUITE_ADOPTS=inner
    suite "4 ranks, whole pages adopted, by the agent" 4 TMB_IVSHMEM_ADOPT=inner \
        SUITE_ADOPTS=inner TMB_IVSHMEM_CMA=off
    suite "3 ranks, eagerly adopted" 3 TMB_IVSHMEM_ADOPT=eager
    suite "2 ranks, nothing adopted" 2 TMB_IVSHMEM_ADOPT=off SUITE_ADOPTS=
    counting quiet # makes no system call and no allocation
    by_adapter 1
    by_adapter 4
    by_adapter 4 TMB_SPIN=0
    by_tcp 2 4
    ;;
valgrind | arm64)
    # Everything but what moves megabytes and hammers, which takes too long there.
    cases=(library team collective/b window transfer/a transfer/n transfer/v strided
        bounds atomic/o atomic/w atomic/n atomic/e signal lock/e lock/l lock/s thread)
    suite "2 ranks" 2
    suite "3 ranks, by the agent" 3 TMB_IVSHMEM_CMA=off
    by_adapter 2
    [ "$VARIANT" = arm64 ] || by_tcp short
    ;;
clang)
    suite "2 ranks" 2
    suite "4 ranks, no spinning, by the agent" 4 TMB_SPIN=0 TMB_IVSHMEM_CMA=off
    by_tcp short
    ;;
*)
    suite "1 rank" 1
    suite "2 ranks" 2
    suite "4 ranks, no spinning, by the agent" 4 TMB_SPIN=0 TMB_IVSHMEM_CMA=off
    suite "2 ranks, by plain memory" 2 "$plain"
    by_adapter 3
    by_tcp short
    ;;
esac
finish
