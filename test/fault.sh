#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Ranks and servers that die or stop. Each program checks by itself what the others see,
# and says so on stderr if it is wrong. FAULT_SEED chooses the moments of death.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/report.sh
. "$here/report.sh"
build=$(realpath "${BUILD:-$here/../build}")
tombolo=$(realpath "${TOMBOLO:-$build/tombolo}")
seed=${FAULT_SEED:-$((RANDOM % 10000))}
work=$(mktemp -d)
server='' region=''
trap 'end_server; plain_end; rm -rf "$work"' EXIT

killed=137
rounds=10 # of deaths at a moment that chance chooses; fewer where all is slow
[ "${VARIANT:-gcc}" = gcc ] || rounds=3

# Run a program of test/fault; it ends with this exit code, and no rank complains.
ranks() { # COUNT CODE PROGRAM ARGUMENT...
    local count=$1 expected=$2 code=0 log
    shift 2
    log=$(mktemp -p "$work")
    timeout -k 5 120 "$tombolo" run -n "$count" -- "$build/fault_$1" "${@:2}" \
        >"$log" 2>&1 || code=$?
    grep '^# ' "$log" >>"$work/times" || true
    if [ "$code" -ne "$expected" ] ||
        grep -qE '^rank [0-9]+: [^ ]*\.c:|^(==|WARNING: ).*Sanitizer' "$log"; then
        echo "exit code $code, not $expected"
        cat "$log"
        return 1
    fi
}

start_server() { # SIZE
    "$tombolo" server --socket "$work/server" --size "$1" 2>"$work/server.log" &
    server=$!
    for _ in {1..500}; do
        [ ! -S "$work/server" ] || break
        sleep 0.02
    done
    export TMB_SERVER=$work/server
}

end_server() { # its exit code
    local code=0
    [ -n "$server" ] || return 0
    kill "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || code=$?
    rm -f "$work/server"
    unset TMB_SERVER
    server=''
    return $code
}

for case in holder holder_before reader writer_waits reader_waits \
    writer_waits_until_now reader_waits_until_now all target; do
    check "lock: $case" ranks 4 $killed locks $case
done
TMB_SPIN=10ms check "lock: holder, spinning" ranks 4 $killed locks holder
check "lock: holder, 9 ranks" ranks 9 $killed locks holder

for case in wait others_team tmb_barrier tmb_bcast tmb_allgather tmb_allreduce \
    tmb_team_split tmb_team_create tmb_win_alloc tmb_win_create win_free finalize \
    all_but_one; do
    check "wait: $case" ranks 5 $killed waits $case
done
check "wait: exits" ranks 5 0 waits exits

for route in auto off; do
    export TMB_IVSHMEM_CMA=$route
    check "killed under puts, CMA $route" ranks 4 $killed routes killed
    # The job of a server that others started: a private one's end is the end of its job.
    start_server 64M
    check "server killed, CMA $route" ranks 4 $killed routes server
    end_server || true
    for ((i = 0; i < rounds; i++)); do
        check "killed at any moment, seed $((seed + i)), CMA $route" \
            ranks 4 $killed chaos $((seed + i))
    done
done
export TMB_OP_TIMEOUT=500ms TMB_IVSHMEM_CMA=off
check "stopped under calls" ranks 4 0 routes stopped
unset TMB_OP_TIMEOUT TMB_IVSHMEM_CMA

# ---- no region ----

if grep -qx '  tcp' < <("$tombolo" info); then
    export TMB_PROVIDER=tcp TMB_TCP_INTERFACE=lo
    for case in holder holder_before reader writer_waits reader_waits \
        writer_waits_until_now reader_waits_until_now; do
        check "tcp lock: $case" ranks 4 $killed locks $case
    done
    skip "tcp lock: all, target" "needs capability mapped: a dead rank's memory"
    for case in wait others_team tmb_barrier tmb_bcast tmb_allgather tmb_allreduce \
        tmb_team_split tmb_team_create tmb_win_alloc tmb_win_create win_free finalize \
        all_but_one; do
        check "tcp wait: $case" ranks 5 $killed waits $case
    done
    check "tcp wait: exits" ranks 5 0 waits exits
    check "tcp: killed under puts" ranks 4 $killed routes killed
    for ((i = 0; i < rounds; i++)); do
        check "tcp: killed at any moment, seed $((seed + i))" \
            ranks 4 $killed chaos $((seed + i))
    done
    TMB_OP_TIMEOUT=500ms check "tcp: stopped under calls" ranks 4 0 routes stopped
    TMB_TCP_TIMEOUT=2s check "tcp: paused for less than the limit" ranks 3 0 pauses short
    TMB_TCP_TIMEOUT=2s check "tcp: paused for longer" ranks 3 0 pauses long
    unset TMB_PROVIDER TMB_TCP_INTERFACE
else
    skip "tcp" "the provider is not built (libfabric)"
fi

# ---- no server ----

# Memory alone: nobody but the ranks themselves sees an end.
plain_start() { # SIZE
    region=$(mktemp -p /dev/shm region-XXXXXX)
    truncate -s "$1" "$region"
    export TMB_IVSHMEM_DEVICE=plain:$region
}

plain_end() {
    [ -z "$region" ] || rm -f "$region"
    unset TMB_IVSHMEM_DEVICE
    region=''
}

plain_start 64M
for case in holder reader writer_waits all target; do
    check "plain lock: $case" ranks 4 $killed locks $case
done
for case in wait tmb_barrier tmb_allgather tmb_win_alloc win_free finalize all_but_one; do
    check "plain wait: $case" ranks 5 $killed waits $case
done
for ((i = 0; i < rounds / 2; i++)); do
    check "plain: killed at any moment, seed $((seed + i))" ranks 4 $killed chaos $((seed + i))
done
for end in well one all open well all well; do
    code=$killed
    [[ $end != [wo]* || $end = one ]] || code=0
    check "plain: most of the region, $end" ranks 3 $code jobs fill 40000000 $end
done
export TMB_IVSHMEM_HEARTBEAT=2s
check "plain: paused for less than the limit" ranks 3 0 pauses short
check "plain: paused for longer" ranks 3 0 pauses long
unset TMB_IVSHMEM_HEARTBEAT
plain_end

# ---- one server, many jobs ----

most=40000000 # of 64 MiB: what one job leaves behind the next would miss

ten_jobs() {
    local end
    for end in well one all open well all one one open well; do
        case $end in
        well | open) ranks 3 0 jobs fill "$most" "$end" ;;
        *) ranks 3 "$killed" jobs fill "$most" "$end" ;;
        esac
    done
}

await_held() { # JOBS have their memory
    for _ in {1..1000}; do
        [ "$(wc -l <"$work/hold")" -lt "$1" ] || return 0
        sleep 0.02
    done
    echo "no $1 jobs that hold their memory after 20 s"
    return 1
}

# Three jobs keep their memory while others run, die, and fill the rest.
side_by_side() {
    local holders=() i
    : >"$work/hold"
    trap 'rm -f "$work/hold"' EXIT
    for i in 1 2 3; do
        ranks 2 0 jobs hold 8000000 "$work/hold" &
        holders+=($!)
    done
    await_held 3
    for i in 1 2 3; do
        ranks 3 "$killed" jobs fill 20000000 one
        ranks 4 "$killed" chaos $((seed + 100 + i))
        ranks 2 0 jobs fill 20000000 well
    done
    rm "$work/hold"
    for i in "${holders[@]}"; do
        wait "$i"
    done
}

suites_at_once() {
    local jobs=() i
    for i in 1 2 3; do
        timeout 120 "$tombolo" run -n 2 -- "$build/conformance" \
            library team collective/a window/alloc window/churn window/load \
            transfer/all atomic/o signal lock/e lock/s >"$work/suite.$i" 2>&1 &
        jobs+=($!)
    done
    for i in "${jobs[@]}"; do
        wait "$i"
    done
    [ "$(cat "$work"/suite.? | grep -cE '^[1-9][0-9]* passed, 0 failed')" -eq 3 ]
}

# The command itself dies, and with it the job.
launcher_killed() {
    local launcher
    : >"$work/hold"
    "$tombolo" run -n 3 -- "$build/fault_jobs" hold "$most" "$work/hold" >"$work/log" 2>&1 &
    launcher=$!
    await_held 1
    kill -KILL "$launcher"
    wait "$launcher" || true
    rm "$work/hold"
    sleep 0.2
    ranks 3 0 jobs fill "$most" well
}

full_says_so() {
    ranks 2 0 jobs full
    TMB_SERVER='' timeout 60 "$tombolo" run -n 2 --region-size 8M -- \
        "$build/fault_jobs" fill 100000000 well >"$work/log" 2>&1 || true
    grep -E 'region of 8192 KiB: no room .* 50000000 bytes: [0-9]+ KiB are free' \
        "$work/log" || {
        cat "$work/log"
        return 1
    }
}

open_is_warned_of() {
    ranks 2 0 jobs fill 100000 open
    timeout 60 "$tombolo" run -n 2 -- "$build/fault_jobs" fill 100000 open \
        >"$work/log" 2>&1
    grep -i 'window' "$work/log" || {
        cat "$work/log"
        return 1
    }
}

start_server 64M
check "ten jobs of 60 % each, some killed" ten_jobs
export FAULT_ADOPT=1
check "ten jobs of 60 %, adopted, some killed" ten_jobs
unset FAULT_ADOPT
check "jobs side by side" side_by_side
check "suites at once" suites_at_once
check "the launcher killed" launcher_killed
check "a full region" full_says_so
check "finalize with windows open" open_is_warned_of
check "ten jobs more" ten_jobs
code=0
end_server || code=$?
check "the server ends well" [ $code -eq 0 ]
[ ! -s "$work/server.log" ] || sed 's/^/# server: /' "$work/server.log"
awk '{ for (i = 1; i <= NF; i++) if ($i == "ms" && $(i - 1) > most) most = $(i - 1) }
     END { printf "# the longest that a death took to be told of: %.1f ms, of %d\n", most, NR }' \
    "$work/times"
finish
