#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# What machines, processes in them and the server can do wrong, with real guests.
#   test/vm/faults.sh [PATTERN]   the cases that a pattern matches
# BUILD is the build directory, TOMBOLO its command.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/report.sh
. "$here/../report.sh"
# shellcheck source=test/vm/lib.sh
. "$here/lib.sh"
# shellcheck source=test/vm/job.sh
. "$here/job.sh"
pattern=${1:-*}

boot() { # GUEST [OPTION=VALUE...]
    guest_boot "$1" reboot=yes modules=tombolo_uio "${@:2}"
}


since() { # WHAT, after the moment in $at
    printf '# %s after %d ms\n' "$1" $(($(date +%s%3N) - at)) >>"$rig/times"
}

# Ranks 0 and 2 are told that rank 1 is dead; what is left serves the next job.
survivors_know() { # JOB TEXT...
    local places=(a host) i
    for i in 0 1; do
        job_says "$1" "${places[i]}" "${@:$((2 + i)):1}" 20
        since "$1: ${places[i]} knows"
    done
    ! job_wait "$1" a || return 1
    ! job_wait "$1" host || return 1
    ! grep -ha 'fault/.*\.c:' "$rig/$1.a" "$rig/$1.host"
}

next_job_runs() {
    job_start next 1+1+1 hello_put
    job_ends next a b host
}

# ---- a machine loses its power ----

power() { # MODE TEXT TEXT
    job_start "$1" 1+1+1 fault_machines "$1"
    job_says "$1" a ready 60
    sleep 0.5 # so that the others sleep
    at=$(date +%s%3N)
    guest_kill b
    survivors_know "$@"
    ! job_wait "$1" b || return 1
}

holder_dies() {
    power holder . . && grep -q 'the owner died' "$rig/holder".{a,host}
}

waiter_dies() {
    power waiter 'let it go' 'got the lock'
}

waited_for_dies() {
    power signal 'knows of' 'knows of'
}

# ---- a process ends, or its machine starts anew ----

process_dies() {
    job_start process 1+1+1 fault_machines signal
    job_says process a ready 60
    at=$(date +%s%3N)
    guest_run b 10 "kill -9 \$(pidof fault_machines)"
    survivors_know process 'knows of' 'knows of'
    ! job_wait process b || return 1
}

# The kernel goes through its drivers' ends, which tell of the processes'.
machine_reboots() {
    job_start reboot 1+1+1 fault_machines signal
    job_says reboot a ready 60
    at=$(date +%s%3N)
    guest_run b 5 'setsid reboot -f' || true
    survivors_know reboot 'knows of' 'knows of'
    job_forget reboot b
    guest_wait b
}

# Nobody tells, until the module is back.
machine_is_reset() {
    job_start reset 1+1+1 fault_machines signal
    job_says reset a ready 60
    at=$(date +%s%3N)
    guest_monitor b system_reset
    survivors_know reset 'knows of' 'knows of'
    job_forget reset b
    guest_wait b
}

# ---- a machine stops for a while ----

paused_in_time() {
    job_start pause 1+1+1 fault_machines talk 6000
    job_says pause a ready 60
    sleep 1
    kill -STOP "${vm_pids[b]}"
    sleep 3
    kill -CONT "${vm_pids[b]}"
    job_ends pause a b host
    grep -a rounds "$rig/pause.a"
}

paused_too_long() {
    local job_environment=TMB_IVSHMEM_HEARTBEAT=2s
    job_start limit 1+1+1 fault_machines signal
    job_says limit a ready 60
    sleep 1
    at=$(date +%s%3N)
    kill -STOP "${vm_pids[b]}"
    survivors_know limit 'knows of' 'knows of'
    kill -CONT "${vm_pids[b]}"
    ! job_wait limit b || return 1
    job_environment=
}

# ---- the server ----

joins_burst() {
    job_start burst 1+1+1 fault_machines talk 6000
    job_says burst a ready 60
    python3 "$here/clients.py" join "$rig/server.server" 300
    job_ends burst a b host
}

has_successor() { # PID
    [ -s "$rig/manager/pid" ] && [ "$(cat "$rig/manager/pid")" != "$1" ]
}

restarts() {
    local pid
    job_start restart 1+1+1 fault_machines talk 5000
    job_says restart a ready 60
    sleep 0.5
    pid=$(cat "$rig/manager/pid")
    kill -KILL "$pid"
    vm_await 20 has_successor "$pid"
    job_ends restart a b host
    # The next death is told by the successor.
    job_start after 1+1+1 fault_machines signal
    job_says after a ready 60
    at=$(date +%s%3N)
    guest_kill b
    survivors_know after 'knows of' 'knows of'
    job_wait after b || true
}

# Machines need no server to go on, nor to start a job.
guests_go_on() {
    job_start alone 1+1 fault_machines talk 4000
    job_says alone a ready 60
    sleep 0.5
    vm_kill manager KILL
    kill -KILL "$(cat "$rig/manager/pid")"
    job_ends alone a b
    job_start between 2+2 fault_machines talk 1000
    job_ends between a b
}

# ---- the region and the module ----

module_comes_late() {
    guest_run b 20 'rmmod tombolo_uio'
    python3 "$here/clients.py" ring "$rig/server.server" 2000
    guest_run b 20 'modprobe tombolo_uio'
}

# Refused in one line, by every way in; and right again, it is as it was.
refused() { # NAME TEXT
    guest_run a 20 'TMB_IVSHMEM_DEVICE=uio tombolo run -n 2 -- hello_put' \
        >"$rig/$1.out" 2>&1 && return 1
    cat "$rig/$1.out"
    grep -aq "$2" "$rig/$1.out"
}

other_layout() {
    python3 "$here/clients.py" poke "$rig/server.server" 8 63000000
    refused layout 'layout version 99'
    python3 "$here/clients.py" poke "$rig/server.server" 8 02000000
}

garbage() {
    local told=yes
    python3 "$here/clients.py" garbage "$rig/server.server" "$rig/header"
    refused garbage 'no region of' && guest_run a 20 'rmmod tombolo_uio && modprobe tombolo_uio' ||
        told=no
    python3 "$here/clients.py" restore "$rig/server.server" "$rig/header"
    [ "$told" = yes ]
}

# Guests that were lost are back for the next case, and all three can have a job.
repair() {
    local guest
    for guest in a b; do
        if vm_ended "$guest"; then
            guest_kill "$guest"
            boot "$guest"
        fi
    done
    for guest in a b; do
        guest_wait "$guest" || fail "guest $guest is back"
    done
}

run() { # NAME FUNCTION
    # shellcheck disable=SC2053 # a pattern
    [[ $2 == $pattern ]] || return 0
    check "$1" "$2"
    [ "$2" != guests_go_on ] || return 0 # there is no server any more
    repair
    check "$1: and then the next job" next_job_runs
}

no_complaints() { # GUEST
    ! guest_complaints "$1"
}

check image "$here/image.sh"
[ "$failed" -eq 0 ] || finish
rig_begin
mkdir "$rig/manager"
vm_start manager "$rig/server.log" python3 "$here/../manager.py" "$rig/manager" \
    "$vm_tombolo" server --socket "$rig/server.server" --size 64M --vectors 4
vm_await 20 test -s "$rig/manager/pid"
boot a && boot b
guest_wait a && guest_wait b
run "power lost: the holder of a lock" holder_dies
run "power lost: a waiter in a lock" waiter_dies
run "power lost: whom others wait for" waited_for_dies
run "killed: a process" process_dies
run "rebooted: a machine" machine_reboots
run "reset: a machine" machine_is_reset
run "paused: in time" paused_in_time
run "paused: too long" paused_too_long
run "clients: 300 at once" joins_burst
run "module: loaded after doorbells" module_comes_late
run "region: another layout version" other_layout
run "region: garbage" garbage
run "server: killed and restarted" restarts
run "server: killed for good" guests_go_on
for guest in a b; do
    check "guest $guest complains of nothing" no_complaints "$guest"
done
cat "$rig/times" 2>/dev/null || true
finish
