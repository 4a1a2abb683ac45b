#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# One job of several launchers, which meet in the region of one server: what they do in as
# many virtual machines is the same.
# shellcheck disable=SC2016 # ranks' shells expand
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/report.sh
. "$here/report.sh"
build=$(realpath "${BUILD:-$here/../build}")
tombolo=$(realpath "${TOMBOLO:-$build/tombolo}")
for variable in ${!TMB_@}; do
    unset "$variable"
done

work=$(mktemp -d)
server=''
clean() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    rm -rf "$work"
}
trap clean EXIT
export XDG_RUNTIME_DIR=$work/run JOB_MARK=$$-$RANDOM
mkdir -m 700 "$XDG_RUNTIME_DIR"

# ---- helpers ----

# Until a command succeeds; 20 s at most.
await() { # COMMAND...
    for _ in {1..1000}; do
        ! "$@" || return 0
        sleep 0.02
    done
    echo "waited in vain for: $*"
    show
    return 1
}

show() {
    tail -n 20 "$work"/out.* "$work"/err.*
}

# Start a launcher in the background, number N of its case: files out.N and err.N.
launch() { # N ARGUMENT...
    set -m
    TMB_SERVER=$work/server timeout -k 5 200 "$tombolo" run "${@:2}" \
        >"$work/out.$1" 2>"$work/err.$1" </dev/null &
    launchers[$1]=$!
    set +m
}

# The same, and its process is the command itself, to be signalled.
launch_bare() { # N ARGUMENT...
    set -m
    TMB_SERVER=$work/server "$tombolo" run "${@:2}" \
        >"$work/out.$1" 2>"$work/err.$1" </dev/null &
    launchers[$1]=$!
    set +m
}

ends() { # N CODE
    local code=0
    await ended "${launchers[$1]}"
    wait "${launchers[$1]}" || code=$?
    [ "$code" -eq "$2" ] || { echo "launcher $1: exit code $code, not $2"; show; false; }
}

ended() { # PID
    local state
    state=$(awk '{ print $3 }' "/proc/$1/stat" 2>/dev/null) || return 0
    [ "$state" = Z ]
}

says() { # N TEXT
    grep -qF -- "$2" "$work/err.$1" || { echo "launcher $1 does not say: $2"; show; false; }
}

lines() { # N COUNT: said
    [ "$(wc -l <"$work/err.$1")" -eq "$2" ] || { echo "launcher $1: not $2 lines"; show; false; }
}

out() { # TEXT: all that the ranks wrote, in order
    [ "$(sort -n "$work"/out.*)" = "$1" ] || { echo "not: $1"; show; false; }
}

out_lines() { # COUNT
    [ "$(cat "$work"/out.* | wc -l)" -eq "$1" ]
}

new_case() {
    rm -f "$work"/out.* "$work"/err.*
}

# A case begins with empty files, and leaves no process.
try() { # NAME COMMAND...
    new_case
    check "$1" run_case "${@:2}"
}

run_case() {
    local launchers=()
    "$@"
    await nothing_runs
}

# Processes of this script's, but for the server and the shells.
nothing_runs() {
    local process
    for process in $(grep -lsa "JOB_MARK=$JOB_MARK" /proc/[0-9]*/environ || true); do
        process=${process#/proc/}
        process=${process%/environ}
        [ "$process" != "$server" ] || continue
        case $(readlink "/proc/$process/exe" || true) in
        "$build"/* | */sleep) return 1 ;;
        esac
    done
}

"$tombolo" server --socket "$work/server" --size 64M 2>"$work/server.log" &
server=$!
await [ -S "$work/server" ]

say_rank='echo $TMB_RANK of $TMB_SIZE'

# ---- coming together ----

two() {
    launch 1 --job two --np 3 -n 1 -- sh -c "$say_rank"
    launch 2 --job two --np 3 -n 2 -- sh -c "$say_rank"
    ends 1 0
    ends 2 0
    out "0 of 3
1 of 3
2 of 3"
    lines 1 0
    lines 2 0
}

# The lower peer ID, and so who came first, has the lower ranks; all have one TMB_JOB.
three() {
    local i
    for i in 1 2 3; do
        launch "$i" --job three --np 6 -n "$i" -l -- sh -c 'echo $TMB_JOB'
        sleep 0.3
    done
    for i in 1 2 3; do
        ends "$i" 0
    done
    [ "$(cut -d ' ' -f 1 "$work"/out.* | sort | tr -d '\n')" = '[0][1][2][3][4][5]' ]
    [ "$(cut -d ' ' -f 1 "$work/out.1")" = '[0]' ]
    [ "$(sort "$work/out.2" | cut -d ' ' -f 1 | tr -d '\n')" = '[1][2]' ]
    [ "$(cut -d ' ' -f 2 "$work"/out.* | sort -u | wc -l)" -eq 1 ]
}

alone() {
    launch 1 --job alone --np 2 -n 2 -- "$build/conformance" library team
    ends 1 0
}

again_and_again() {
    local i
    for i in {1..10}; do
        launch 1 --job again --np 2 -n 1 true
        launch 2 --job again --np 2 -n 1 true
        ends 1 0
        ends 2 0
    done
}

# In each machine a script with two jobs of one name, one after the other.
back_to_back() {
    local i pids=()
    for i in 1 2 3; do
        (
            for delay in 0.$i 0.$((4 - i)); do
                TMB_SERVER=$work/server timeout 60 "$tombolo" run --job script --np 3 -n 1 \
                    --first-rank $((i - 1)) -- sh -c "sleep $delay; echo $delay \$TMB_RANK"
            done
        ) >"$work/out.$i" 2>"$work/err.$i" &
        pids+=($!)
    done
    for i in "${pids[@]}"; do
        wait "$i"
    done
    out_lines 6
}

first_rank() {
    launch 1 --job first --np 4 -n 3 --first-rank 1 -l -- echo x
    sleep 0.2
    launch 2 --job first --np 4 -n 1 --first-rank 0 -l -- echo x
    ends 1 0
    ends 2 0
    [ "$(cat "$work/out.2")" = '[0] x' ]
}

first_rank_wrong() { # TEXT FIRST...
    local text=$1 i=0 first
    for first in "${@:2}"; do
        i=$((i + 1))
        # shellcheck disable=SC2086 # none, or two words
        launch "$i" --job wrong --np 4 -n 2 $first true
    done
    for i in 1 2; do
        ends "$i" 1
        says "$i" "$text"
        lines "$i" 1
    done
}

side_by_side() {
    local i
    for i in 1 2 3; do
        launch $((i * 2)) --job "side.$i" --np 3 -n 2 -- "$build/conformance" team collective/a
        launch $((i * 2 + 1)) --job "side.$i" --np 3 -n 1 -- "$build/conformance" team collective/a
    done
    for i in {2..7}; do
        ends "$i" 0
    done
}

suite() { # ARGUMENT...
    launch 1 --job suite --np 5 -n 2 -- "$build/conformance" "$@"
    launch 2 --job suite --np 5 -n 2 -- "$build/conformance" "$@"
    launch 3 --job suite --np 5 -n 1 -- "$build/conformance" "$@"
    ends 1 0
    ends 2 0
    ends 3 0
    [ "$(cat "$work"/out.* | grep -cE '^[1-9][0-9]* passed, 0 failed, ')" -eq 1 ]
}

binding() {
    launch 1 --job bind --np 2 -n 1 --bind core -- grep Cpus_allowed_list /proc/self/status
    launch 2 --job bind --np 2 -n 1 --bind core -- grep Cpus_allowed_list /proc/self/status
    ends 1 0
    ends 2 0
    [ "$(cat "$work"/out.* | sort -u | wc -l)" -eq 1 ] # each the first of its launcher
}

informed() {
    export TMB_LOG=info
    launch 1 --job log --np 2 -n 1 true
    launch 2 --job log --np 2 -n 1 true
    unset TMB_LOG
    ends 1 0
    ends 2 0
    says 1 "job log: 2 ranks have met in the region: "
    says 1 "region of 65536 KiB by way of host"
}

# ---- what is wrong ----

missing() {
    launch 1 --job missing --np 6 -n 2 --wait 1s true
    launch 2 --job missing --np 6 -n 1 --wait 5s true
    ends 1 1
    ends 2 1
    says 1 "job missing: 3 of 6 ranks have come after 1.0 s: "
    says 1 "2 from peer "
    says 1 "(this machine)"
    says 1 "; missing: 3"
    lines 1 1
    says 2 "has gone before all its 6 ranks had come"
    lines 2 1
}

missing_numbers() {
    export TMB_INIT_TIMEOUT=500ms
    launch 1 --job missing --np 6 -n 2 --first-rank 1 true
    unset TMB_INIT_TIMEOUT
    ends 1 1
    says 1 "2 of 6 ranks have come after 0.5 s"
    says 1 "; missing: ranks 0, 3-5"
    lines 1 1
}

too_many() {
    launch 1 --job same --np 3 -n 2 --wait 5s -- sh -c "echo in; exec sleep 2"
    sleep 0.5
    launch 2 --job same --np 3 -n 2 true
    ends 2 1
    says 2 "job same: 2 of its 3 ranks have come already, so there is no place for 2 more"
    says 2 "choose another --job"
    lines 2 1
    launch 3 --job same --np 4 -n 2 true
    ends 3 1
    says 3 "job same: it has 3 ranks, not 4"
    lines 3 1
    launch 2 --job same --np 3 -n 1 -- sh -c "echo in; exec sleep 2"
    await out_lines 3
    launch 3 --job same --np 3 -n 1 true
    ends 3 1
    says 3 "3 of its 3 ranks have come already"
    ends 1 0
    ends 2 0
}

usage() {
    local arguments
    while IFS='|' read -r arguments text; do
        # shellcheck disable=SC2086 # words
        launch 1 $arguments -- true
        ends 1 2
        says 1 "$text"
    done <<'END'
--job a -n 2|--job a: how many ranks has the whole job? Give --np N
--np 2 -n 2|--np is for a part of a job: name the job by --job NAME
--first-rank 0 -n 2|--first-rank is for a part of a job
--job a --np 2 -n 3|-n 3: the whole job has only --np 2 ranks
--job a --np 3 -n 2 --first-rank 2|--first-rank 2: 2 ranks from there on are not within
--job a/b --np 3 -n 2|--job a/b: must be 1 to 31 letters
--job 12345678901234567890123456789012 --np 3 -n 2|must be 1 to 31 letters
--job a --np 0 -n 2|--np 0: must be a number from 1 to
--job a --np 3 -n 2 --wait soon|--wait soon: must be a duration
END
}

no_region() {
    local code=0
    timeout 20 "$tombolo" run --job a --np 2 -n 1 true 2>"$work/err.1" || code=$?
    [ "$code" -eq 1 ]
    says 1 "its launchers meet in a region, and there is none here"
    lines 1 1
}

# ---- ends ----

failing() {
    local program='[ $TMB_RANK != 2 ] || exit 7; exec sleep 100'
    launch 1 --job fail --np 4 -n 2 --grace 300ms --first-rank 0 -- sh -c "$program"
    launch 2 --job fail --np 4 -n 2 --grace 300ms --first-rank 2 -- sh -c "$program"
    ends 1 7
    ends 2 7
    says 1 "rank 2 (peer "
    says 1 ", this machine) failed with code 7"
    says 1 "ending the 2 ranks that are left here 0.3 s after rank 2 failed"
    says 2 "exited with code 7"
}

# The first failure counts, wherever it was, though ranks elsewhere have ended well.
failing_late() {
    launch 1 --job late --np 2 -n 1 true
    launch 2 --job late --np 2 -n 1 -- sh -c 'sleep 1; exit 9'
    ends 1 9
    ends 2 9
}

not_started() {
    printf '#!/nonexistent/interpreter\n' >"$work/script"
    chmod +x "$work/script"
    launch 1 --job start --np 2 -n 1 -- sleep 100
    launch 2 --job start --np 2 -n 1 -- "$work/script"
    ends 2 127
    ends 1 127
    says 1 "ends the job with code 127"
}

aborting() {
    cat >"$work/abort.py" <<'END'
import os, struct, time
rank = int(os.environ["TMB_RANK"])
if rank == 1:
    os.write(int(os.environ["TMB_LAUNCH_FD"]),
             struct.pack("<IIIiiI", 0x31424d54, 2, 0, 42, rank, 0))
time.sleep(100)
END
    launch 1 --job abort --np 2 -n 1 --first-rank 0 -- python3 "$work/abort.py"
    launch 2 --job abort --np 2 -n 1 --first-rank 1 -- python3 "$work/abort.py"
    ends 1 42
    ends 2 42
    says 1 "rank 1 (peer "
    says 1 "aborts the job with code 42"
    says 2 "rank 1 aborts the job with code 42"
}

timed_out() {
    launch 1 --job time --np 2 -n 1 -t 1s -- sleep 100
    launch 2 --job time --np 2 -n 1 -- sleep 100
    ends 1 124
    ends 2 124
}

# A rank that ends before it has met the others.
no_show() {
    launch 1 --job show --np 3 -n 2 --grace 10s --first-rank 0 -- "$build/conformance" library
    launch 2 --job show --np 3 -n 1 --first-rank 2 true
    await grep -q "rank 2 ended before all ranks had met" "$work/err.1"
    ends 2 1
    ends 1 1
}

# Ranks that wait for one elsewhere give up, and say for whom they waited.
too_late() {
    launch 1 --job delay --np 3 -n 2 --first-rank 0 -- \
        env TMB_INIT_TIMEOUT=1s "$build/conformance" library
    launch 2 --job delay --np 3 -n 1 --first-rank 2 -- sleep 4
    ends 1 1
    ends 2 1
    says 1 "rank 2 did not come in time"
}

# One rank of a launcher gives up: those of the other hear of it.
gives_up() {
    local program='case $TMB_RANK in 1) sleep 100 ;; 2) export TMB_INIT_TIMEOUT=1s ;; esac'
    program+='; exec "$0" library'
    launch 1 --job give --np 3 -n 2 --grace 1s --first-rank 0 -- sh -c "$program" "$build/conformance"
    launch 2 --job give --np 3 -n 1 --grace 1s --first-rank 2 -- sh -c "$program" "$build/conformance"
    ends 1 1
    ends 2 1
    says 2 "[2] error: rank 0-1 did not come in time"
    says 1 "[0] error: rank 0-1 did not come in time"
}

signalled() { # SIGNAL CODE
    launch_bare 1 --job signal --np 3 -n 2 -- sh -c 'echo ready; exec sleep 100'
    launch_bare 2 --job signal --np 3 -n 1 -- sh -c 'echo ready; exec sleep 100'
    await out_lines 3
    kill -"$1" "${launchers[1]}"
    ends 1 "$2"
    ends 2 "$2"
}

passed_on() {
    local program='trap "echo got; exit 0" USR1; echo ready; while :; do sleep 0.1; done'
    launch_bare 1 --job usr --np 3 -n 2 -- sh -c "$program"
    launch_bare 2 --job usr --np 3 -n 1 -- sh -c "$program"
    await out_lines 3
    kill -USR1 "${launchers[2]}"
    ends 1 0
    ends 2 0
    [ "$(cat "$work"/out.* | grep -c got)" -eq 3 ]
}

interrupted_waiting() {
    launch_bare 1 --job early --np 3 -n 2 true
    sleep 0.5
    kill -INT "${launchers[1]}"
    ends 1 130
    says 1 "signal 2 came before its ranks had"
}

# Of a launcher that waits for others, or whose ranks run, or that waits for others' end.
killed_before() {
    launch_bare 1 --job kill --np 3 -n 2 true
    sleep 2 # a busy machine takes its time to take places
    launch 2 --job kill --np 4 -n 1 true
    ends 2 1
    launch 2 --job kill --np 4 -n 1 true
    ends 2 1
    kill -KILL "${launchers[1]}"
    ends 1 137
    launch_bare 1 --job kill --np 3 -n 1 true
    launch 2 --job kill --np 3 -n 1 true
    sleep 2
    kill -KILL "${launchers[1]}"
    ends 1 137
    ends 2 1
    says 2 "has gone before all its 3 ranks had come"
    lines 2 1
}

killed_while() {
    launch_bare 1 --job kill --np 3 -n 2 --first-rank 0 -- sh -c 'echo ready; exec sleep 100'
    launch 2 --job kill --np 3 -n 1 --first-rank 2 --grace 200ms -- sh -c 'echo ready; exec sleep 100'
    await out_lines 3
    kill -KILL "${launchers[1]}"
    ends 1 137
    ends 2 137
    says 2 "the launcher of ranks 0-1 (peer "
    says 2 "this machine) has died"
}

killed_after() {
    launch_bare 1 --job kill --np 2 -n 1 true
    launch 2 --job kill --np 2 -n 1 -- sh -c 'echo ready; sleep 2'
    await out_lines 1
    sleep 0.5
    kill -KILL "${launchers[1]}"
    ends 1 137
    ends 2 0
}

# ---- the region afterwards ----

room() { # a job of 60 % of the region
    launch 1 --job room --np 2 -n 1 -- "$build/fault_jobs" fill 40000000 well
    launch 2 --job room --np 2 -n 1 -- "$build/fault_jobs" fill 40000000 well
    ends 1 0
    ends 2 0
}

try "two launchers" two
try "three launchers" three
try "one launcher" alone
try "one job after another" again_and_again
try "scripts of jobs of one name" back_to_back
try "first ranks" first_rank
try "first ranks that overlap" first_rank_wrong "give rank 1 to two of them" \
    '--first-rank 0' '--first-rank 1'
try "first ranks with a gap" first_rank_wrong "give rank 0 to none of them" \
    '--first-rank 2' '--first-rank 1'
try "first ranks of some only" first_rank_wrong "give it to all or to none" \
    '--first-rank 0' ''
try "jobs side by side" side_by_side
try "binding" binding
try "a line at level info" informed
case ${VARIANT:-gcc} in
gcc) try "conformance across launchers" suite ;;
*) try "conformance across launchers" suite library team collective/a window/alloc \
    transfer/all atomic/o signal lock/e lock/s ;;
esac
try "room" room
try "missing ranks" missing
try "missing ranks by number" missing_numbers
try "two jobs of one name" too_many
try "usage" usage
try "no region" no_region
try "a rank fails" failing
try "a rank fails late" failing_late
try "a rank that can't be started" not_started
try "a rank aborts" aborting
try "the job takes too long" timed_out
try "a rank that does not come" no_show
try "a rank that comes too late" too_late
try "a rank that gives up" gives_up
try "interrupted" signalled INT 130
try "terminated" signalled TERM 143
try "signals are passed on" passed_on
try "interrupted while waiting" interrupted_waiting
try "a launcher killed before the others came" killed_before
try "a launcher killed while ranks run" killed_while
try "a launcher killed after its ranks" killed_after
try "room afterwards" room
code=0
kill "$server"
wait "$server" || code=$?
server=''
check "the server ends well" [ "$code" -eq 0 ]
[ ! -s "$work/server.log" ] || sed 's/^/# server: /' "$work/server.log"
finish
