#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Processes, hosts and links that end, between hosts that have TCP alone; and who or what
# has no business on their connections. Programs check by themselves what their rank sees.
# BUILD is the build directory.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/report.sh
. "$here/../report.sh"
# shellcheck source=test/net/lib.sh
. "$here/lib.sh"
links=$net_build/fault_links
killed=137
job_seconds=60
cut=(TMB_PROVIDER=tcp TMB_TCP_TIMEOUT=4s TMB_OP_TIMEOUT=8s)

# Ranks of these hosts work on each other's memory.
works() { # HOSTS ARGUMENT...
    job_start "$1" "$links" "${@:2}"
    job_says 0 ready
    sleep 0.3
}

process_killed() {
    net_environment=(TMB_PROVIDER=tcp)
    job_start 1,2,3,3 "$net_build/fault_waits" wait
    job_ends 0 "$killed" 0 0
    job_start 1,2,3,3 "$net_build/fault_locks" holder
    job_ends 0 "$killed" 0 0
    job_start 1,2,3,3 "$net_build/fault_routes" killed
    job_ends 0 "$killed" 0 0
}

link_stays_down() {
    net_environment=("${cut[@]}")
    works 1,2,2,3 down
    link_set 2 down
    job_ends
}

no_silence_is_too_long() {
    net_environment=(TMB_PROVIDER=tcp TMB_TCP_TIMEOUT=forever TMB_OP_TIMEOUT=2s)
    works 1,2,2,3 late
    link_set 2 down
    job_ends
}

# TCP itself takes as long again to try the next time.
link_comes_back() {
    net_environment=(TMB_PROVIDER=tcp TMB_TCP_TIMEOUT=30s TMB_OP_TIMEOUT=30s)
    works 1,2,2,3 back "$work/healed"
    link_set 2 down
    sleep 1.5
    link_set 2 up
    sleep 4
    touch "$work/healed"
    job_ends
    longest=$(sed -n 's/.* times, \([0-9]*\)\.[0-9]* ms at most$/\1/p' "$work"/rank.? |
        sort -n | tail -n 1)
    echo "an operation took $longest ms"
    [ "$longest" -ge 1400 ] # or nothing was under way
}

two_are_apart() {
    net_environment=("${cut[@]}")
    works 1,2,3 apart
    isolate on
    job_ends
}

isolate() { # on|off: hosts 1 and 2 from each other
    local host
    for host in 1 2; do
        "${net_in[@]}" ip link set link$host type bridge_slave isolated "$1"
    done
}

# As if power was lost: nobody hears of it but by silence. The host is gone afterwards.
host_dies() {
    net_environment=("${cut[@]}")
    works 1,2,2,3 down
    host_end 2
    job_ends 0 "$killed" "$killed" 0
}

# ---- what is no message, and who is no rank ----

# Rank 0 says so in one line, and rank 1 counts as dead.
garbage() { # WHAT LINE
    net_environment=(TMB_PROVIDER=tcp)
    job_start 1,2 "$links" garbage "$1"
    job_ends
    one_line 0 "rank 1 sent no message that can be read: $2"
}

one_line() { # RANK TEXT
    [ "$(grep -c 'error: \|warn: tcp' "$work/rank.$1")" -eq 1 ] &&
        grep -qF -- "$2" "$work/rank.$1" && return
    echo "not one line of this: $2"
    job_output
    return 1
}

mixed_versions() {
    net_environment=(TMB_PROVIDER=tcp GARBLE=version)
    job_start 1,2 "$links" garbage none
    job_ends 1 1
    grep -qE 'rank 1 has Tombolo 9\.8\.7, this rank [0-9.]+: use one version' "$work/rank.0"
    [ "$(grep -c '9\.8\.7' "$work/rank.0")" -eq 1 ]
}

# Somebody on host 3 talks to rank 0 while it works with rank 1, who notices nothing.
stranger() { # WHAT LINES
    net_environment=(TMB_PROVIDER=tcp TMB_TCP_PORTS=7200-7209)
    works 1,2 back "$work/healed"
    host_run 3 python3 "$here/stranger.py" "$1" 10.78.0.1 7200 7201
    touch "$work/healed"
    job_ends
    [ "$(grep -c "a connection to this rank's listener is closed: " "$work/rank.0")" -eq "$2" ]
    [ "$(grep -c 'error: ' "$work/rank.0")" -eq 0 ]
}

# Also to who is about to join: its place is not taken by who doesn't know its number.
stranger_before() {
    net_environment=(TMB_PROVIDER=tcp TMB_TCP_PORTS=7200-7209)
    touch "$work/healed"
    host_run 3 python3 "$here/stranger.py" early 10.78.0.1 7200 7201 >"$work/early" &
    pid=$!
    net_await 10 grep -q begun "$work/early"
    job_start 1,2 "$links" back "$work/healed"
    job_ends
    wait "$pid"
    cat "$work/early"
    grep -q '^refused [1-9]' "$work/early"
}

if ! grep -qx '  tcp' < <("$net_tombolo" info); then
    net_why="the provider is not built (libfabric)"
else
    net_begin 3 || true
fi
# What a case that failed has left.
mend() {
    local host
    rm -f "$work/healed"
    isolate off
    for ((host = 1; host <= net_hosts; host++)); do
        link_set "$host" up
        host_clear "$host"
    done
}

# A case; it is skipped where there are no hosts.
try() { # NAME COMMAND...
    if [ -n "$net_why" ]; then
        skip "$1" "$net_why"
        return
    fi
    mend
    check "$@"
}

try "a process is killed" process_killed
try "a link stays down" link_stays_down
try "a link stays down, and no silence is too long" no_silence_is_too_long
try "a link comes back" link_comes_back
try "two hosts are cut off from each other" two_are_apart
try "no message: magic" garbage magic "it is none of Tombolo's, or another version's"
try "no message: kind" garbage kind "its kind is unknown"
try "no message: length" garbage length "its length is none that its kind has"
try "no message: cut short" garbage truncate "it ended in the middle of a message"
try "mixed versions" mixed_versions
try "strangers: garbage" stranger garbage 4
try "strangers: silence" stranger silence 1
try "strangers: a false rank" stranger rank 1
try "strangers: libfabric's port" stranger fabric 0
try "strangers: before the ranks" stranger_before
try "a host dies" host_dies
finish
