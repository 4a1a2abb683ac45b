#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# A server that dies and is started anew by a service manager that keeps its descriptors:
# running jobs don't notice, deaths are told again, new jobs join the same region.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/report.sh
. "$here/report.sh"
build=$(realpath "${BUILD:-$here/../build}")
tombolo=$(realpath "${TOMBOLO:-$build/tombolo}")
work=$(mktemp -d)
manager=''
trap 'end_manager; rm -rf "$work"' EXIT
export TMB_SERVER=$work/server

end_manager() {
    local code=0
    [ -n "$manager" ] || return 0
    kill "$manager" 2>/dev/null || true
    wait "$manager" || code=$?
    manager=''
    return $code
}

await() { # CONDITION...
    for _ in {1..1000}; do
        ! "$@" || return 0
        sleep 0.02
    done
    echo "not within 20 s: $*"
    cat "$work/log"
    return 1
}

start_manager() {
    python3 "$here/manager.py" "$work" "$tombolo" server --socket "$work/server" \
        --size 64M --vectors 2 >>"$work/log" 2>&1 &
    manager=$!
    await test -s "$work/pid"
}

has_successor() { # PID
    [ -s "$work/pid" ] && [ "$(cat "$work/pid")" != "$1" ]
}

kill_server() {
    local pid
    pid=$(cat "$work/pid")
    kill -KILL "$pid"
    await has_successor "$pid"
}

# A job that holds memory until the file goes; $holder is its launcher.
hold() { # RANKS
    : >"$work/hold"
    "$tombolo" run -n "$1" -- "$build/fault_jobs" hold 30000000 "$work/hold" \
        >"$work/hold.log" 2>&1 &
    holder=$!
    await test -s "$work/hold"
}

release() {
    rm -f "$work/hold"
    wait "$holder"
}

ranks() { # COUNT PROGRAM ARGUMENT...
    timeout 60 "$tombolo" run -n "$1" -- "$build/$2" "${@:3}"
}

job_goes_on() {
    hold 3
    kill_server
    # The old job has half of the region, and goes on having it.
    ! ranks 2 fault_jobs fill 45000000 well >"$work/refused" 2>&1 || return 1
    grep -q 'no room' "$work/refused"
    ranks 2 fault_jobs fill 20000000 well
    release
    ranks 2 fault_jobs fill 45000000 well
}

# The successor tells of deaths, and frees what a job leaves that died as a whole.
deaths_are_told() {
    local victim
    hold 3
    kill_server
    victim=$(pgrep -P "$holder" -x '(lt-)?fault_jobs' | head -n 1)
    kill -KILL "$victim"
    rm "$work/hold"
    ! wait "$holder" || return 1
    # Both survivors came to know of it.
    [ "$(grep -c 'tmb_finalize() gave -112' "$work/hold.log")" -eq 2 ]
    ranks 2 fault_jobs fill 45000000 well
}

# Whoever ended while there was no server is found out.
ends_meanwhile_are_seen() {
    local pid
    hold 2
    pid=$(cat "$work/pid")
    kill -STOP "$manager"
    kill -KILL "$pid"
    kill -KILL "$holder" $(pgrep -P "$holder")
    wait "$holder" || true
    rm -f "$work/hold"
    sleep 0.2
    kill -CONT "$manager"
    await has_successor "$pid"
    ranks 2 fault_jobs fill 45000000 well
}

ids_go_on() {
    ranks 2 hello_put >/dev/null
    kill_server
    TMB_LOG=info ranks 2 hello_put
    local next
    next=$(sed -n 's/.*next ID \([0-9]*\)$/\1/p' "$work/log" | tail -n 1)
    [ "$next" -gt 10 ] || {
        echo "the next ID is $next"
        return 1
    }
}

start_manager
check "a running job does not notice" job_goes_on
check "deaths are told after it" deaths_are_told
check "ends in between are seen" ends_meanwhile_are_seen
check "IDs are not given twice" ids_go_on
check "suite after restarts" ranks 2 conformance lock signal atomic/o
code=0
end_manager || code=$?
check "it ends well" [ $code -eq 0 ]
sed 's/^/# server: /' "$work/log"
finish
