#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# `tombolo`, `tombolo run` and `tombolo info` as people use and misuse them.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/report.sh
. "$here/report.sh"
tombolo=$(realpath "${TOMBOLO:-$here/../build/tombolo}")
for variable in ${!TMB_@}; do
    unset "$variable"
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Private servers put their directories here; a name is short enough for a socket in it.
export XDG_RUNTIME_DIR=$work/run
mkdir -m 700 "$XDG_RUNTIME_DIR"

# ---- helpers ----

# Run the command with a time limit; its code in $code, its output in files out and err.
tombolo() {
    code=0
    timeout -k 5 60 "$tombolo" "$@" >"$work/out" 2>"$work/err" </dev/null || code=$?
}

code_is() { # CODE
    [ "$code" -eq "$1" ] || { echo "exit code $code, not $1"; cat "$work/err"; false; }
}

err_has() { # TEXT
    grep -qF -- "$1" "$work/err" || { echo "not said: $1"; cat "$work/err"; false; }
}

err_lines() { # COUNT
    [ "$(wc -l <"$work/err")" -eq "$1" ] || { echo "not $1 lines:"; cat "$work/err"; false; }
}

out_is() { # TEXT
    [ "$(cat "$work/out")" = "$1" ] || { echo "not '$1':"; cat "$work/out"; false; }
}

# Until a command succeeds; 10 s at most.
await() { # COMMAND...
    for _ in {1..500}; do
        ! "$@" || return 0
        sleep 0.02
    done
    echo "waited in vain for: $*"
    return 1
}

# Processes whose environment carries this run's mark, whoever their parents are.
marked() {
    grep -lsa "CLI_MARK=$mark" /proc/[0-9]*/environ | grep -v "/$$/" || true
}

nothing_left() {
    [ -z "$(ls "$XDG_RUNTIME_DIR")" ] || { ls "$XDG_RUNTIME_DIR"; false; }
    [ -z "$(marked)" ] || { echo "left: $(marked)"; false; }
}

# Start the command in the background, as the leader of a process group of its own with
# signals as a terminal's programs have them; its PID in $launcher.
background() {
    set -m
    CLI_MARK=$mark "$tombolo" "$@" >"$work/out" 2>"$work/err" </dev/null &
    launcher=$!
    set +m
}

# The code of $launcher, which ends within 20 s.
launcher_code() {
    await launcher_ended
    code=0
    wait "$launcher" || code=$?
}

launcher_ended() {
    [ ! -e "/proc/$launcher" ] || [ "$(awk '{ print $3 }' "/proc/$launcher/stat")" = Z ]
}

out_lines() { # COUNT
    [ "$(wc -l <"$work/out")" -eq "$1" ]
}

mark=$$-$RANDOM

# ---- usage ----

usage_error() { # TEXT ARGUMENT...
    tombolo "${@:2}"
    code_is 2
    err_has "$1"
}

no_command() {
    usage_error "a command is missing"
    usage_error "there is no command \`inof\`: did you mean \`info\`?" inof
    usage_error "there is no command \`xyzzy\`" xyzzy
}

version() {
    tombolo --version
    code_is 0
    grep -qE '^tombolo [0-9]+\.[0-9]+\.[0-9]+$' "$work/out"
}

help() {
    local command
    for command in '' run info mpich; do
        # shellcheck disable=SC2086 # none, or one word
        tombolo $command --help
        code_is 0
        grep -q '^Usage: tombolo' "$work/out"
    done
}

bad_counts() {
    usage_error "-n 0: must be a number from 1 to" run -n 0 true
    usage_error "-n -1" run -n -1 true
    usage_error "-n 99999999999999999999" run -n 99999999999999999999 true
    usage_error "-n 100000" run -n 100000 true
    usage_error "-n two" run -n two true
    usage_error "-n 2x" run -n 2x true
    usage_error "how many ranks?" run true
}

bad_options() {
    usage_error "which program?" run -n 2
    usage_error "which program?" run -n 2 --
    usage_error "--bind everywhere: must be core, numa or none" run -n 1 --bind everywhere true
    usage_error "--region-size 100M: must be a power of two" run -n 1 --region-size 100M true
    usage_error "--region-size 4K" run -n 1 --region-size 4K true
    usage_error "--vectors 65" run -n 1 --vectors 65 true
    usage_error "--timeout soon: must be a duration" run -n 1 --timeout soon true
    usage_error "frobnicate" run -n 1 --frobnicate true
}

missing_program() {
    tombolo run -n 4 -- /nonexistent/program
    code_is 127
    err_has "can't execute /nonexistent/program: No such file or directory"
    err_lines 1
    tombolo run -n 4 -- no-such-program-in-path
    code_is 127
    err_lines 1
}

not_executable() {
    echo text >"$work/text"
    tombolo run -n 4 -- "$work/text"
    code_is 126
    err_lines 1
    tombolo run -n 4 -- "$work"
    code_is 126
    printf '#!/nonexistent/interpreter\n' >"$work/script"
    chmod +x "$work/script"
    tombolo run -n 4 -- "$work/script"
    code_is 127
    err_has "can't start rank 0"
    err_lines 1
}

bad_environment() {
    TMB_PROVIDER=nonsense usage_error "TMB_PROVIDER=nonsense: there is no provider" run -n 4 true
    err_lines 1
    usage_error "there is no provider \`nonsense\`" run -n 4 --provider nonsense true
    usage_error "there is no provider \`x\`" run -n 4 --provider ivshmem,x true
    TMB_LOG=loud usage_error "TMB_LOG=loud: must be one of" run -n 4 true
    err_lines 1
    TMB_SPIN=1 usage_error "TMB_SPIN=1: must be a duration" run -n 4 true
}

unknown_variable() {
    TMB_PROVIDR=auto tombolo info
    code_is 0
    err_has "did you mean TMB_PROVIDER?"
    err_lines 1
}

no_server() {
    tombolo run -n 4 --server "$work/none" true
    code_is 1
    err_has "server $work/none: No such file or directory"
    err_lines 1
    TMB_SERVER=$work/none tombolo run -n 4 true
    code_is 1
    tombolo run -n 4 --server "$work/text" true
    code_is 1
    err_has "Socket operation on non-socket"
}

# ---- what ranks get ----

environment() {
    # shellcheck disable=SC2016 # the rank's shell expands it
    tombolo run -n 3 --provider ivshmem -- sh -c \
        'test -S "$TMB_SERVER" && echo "$TMB_RANK/$TMB_SIZE $TMB_PROVIDER ${#TMB_JOB}"'
    code_is 0
    [ "$(sort "$work/out")" = "0/3 ivshmem 32
1/3 ivshmem 32
2/3 ivshmem 32" ]
}

arguments() {
    tombolo run -n 1 printf '%s|' -n 2 --help '' 'a b'
    code_is 0
    out_is '-n|2|--help||a b|'
}

standard_input() {
    code=0
    # shellcheck disable=SC2016 # the rank's shell expands it
    echo hello | timeout 60 "$tombolo" run -n 3 -- sh -c 'echo "$TMB_RANK:$(cat)"' \
        >"$work/out" || code=$?
    code_is 0
    [ "$(sort "$work/out")" = "0:hello
1:
2:" ]
}

# A launcher without standard files gives its ranks no descriptor of its own for one.
closed_files() {
    timeout 60 "$tombolo" run -n 2 --label -- readlink /proc/self/fd/0 \
        <&- >"$work/out" 2>"$work/err"
    [ "$(sort "$work/out")" = "[0] /dev/null
[1] /dev/null" ]
    code=0
    timeout 60 "$tombolo" run -n 2 -- true <&- >&- 2>&- || code=$?
    code_is 0
}

# Nothing of the launcher's but the rank's socket.
descriptors() {
    local expected
    expected=$(($(sh -c 'ls /proc/self/fd | wc -l' </dev/null 2>&1) + 1))
    tombolo run -n 2 -l -- sh -c 'ls /proc/self/fd | wc -l'
    code_is 0
    [ "$(sort "$work/out")" = "[0] $expected
[1] $expected" ]
}

signals_default() {
    tombolo run -n 1 -- sh -c 'grep -E "^Sig(Blk|Ign)" /proc/self/status | tr -d "\t"'
    code_is 0
    out_is 'SigBlk:0000000000000000
SigIgn:0000000000000000'
}

binding() {
    tombolo run -n 2 --bind core -- sh -c 'grep Cpus_allowed_list /proc/self/status'
    code_is 0
    [ "$(nproc)" -lt 2 ] || [ "$(sort -u "$work/out" | wc -l)" -eq 2 ]
    tombolo run -n 2 --bind numa true
    code_is 0
    taskset -c 0 "$tombolo" run -n 3 --bind core -- \
        sh -c 'grep Cpus_allowed_list /proc/self/status | tr -d "\t"' >"$work/out"
    [ "$(sort -u "$work/out")" = Cpus_allowed_list:0 ]
}

# ---- output ----

labels() {
    # shellcheck disable=SC2016 # the rank's shell expands it
    tombolo run -n 2 --label -- sh -c 'echo out; echo err >&2; printf "no end"'
    code_is 0
    [ "$(sort "$work/out")" = "[0] no end
[0] out
[1] no end
[1] out" ]
    [ "$(sort "$work/err")" = "[0] err
[1] err" ]
}

# Pieces of lines from many ranks at once, lines of several lengths.
labels_whole_lines() {
    cat >"$work/lines" <<'END'
#!/bin/sh
i=0
while [ $i -lt 200 ]; do
    printf "rank $TMB_RANK "
    printf "%0$((i * 5 + 1))d" 7
    echo " end"
    i=$((i + 1))
done
END
    chmod +x "$work/lines"
    tombolo run -n 4 --label -- "$work/lines"
    code_is 0
    [ "$(wc -l <"$work/out")" -eq 800 ]
    ! grep -vE '^\[([0-3])\] rank \1 0*7 end$' "$work/out"
}

labels_long_line() {
    tombolo run -n 1 --label -- sh -c 'head -c 200000 /dev/zero | tr "\0" x; echo; echo short'
    code_is 0
    [ "$(sed 's/^\[0\] //' "$work/out" | tr -cd x | wc -c)" -eq 200000 ]
    [ "$(tail -n 1 "$work/out")" = "[0] short" ]
    [ "$(wc -l <"$work/out")" -eq 5 ]
}

labels_slow_reader() {
    timeout 60 "$tombolo" run -n 2 --label -- seq 200000 | { sleep 1; cat; } >"$work/out"
    [ "$(wc -l <"$work/out")" -eq 400000 ]
    [ "$(grep -c '^\[0\] 200000$' "$work/out")" -eq 1 ]
}

# Ranks get what they would get had they written there themselves.
labels_closed_reader() {
    local status
    set +e
    timeout 20 "$tombolo" run -n 2 --label -- yes 2>"$work/err" | head -n 1 >"$work/out"
    status=${PIPESTATUS[0]}
    set -e
    [ "$status" -eq 141 ]
    err_has "killed by signal 13"
}

# ---- how jobs end ----

failing_rank() {
    # shellcheck disable=SC2016 # the rank's shell expands it
    tombolo run -n 4 -- sh -c 'test $TMB_RANK != 2 || exit 7'
    code_is 7
    grep -qE '^tombolo run: rank 2 \(pid [0-9]+\) exited with code 7$' "$work/err"
    err_lines 1
}

killed_rank() {
    # shellcheck disable=SC2016 # the rank's shell expands it
    tombolo run -n 3 -- sh -c 'test $TMB_RANK != 1 || kill -9 $$'
    code_is 137
    grep -qE '^tombolo run: rank 1 \(pid [0-9]+\) was killed by signal 9 \(Killed\)$' \
        "$work/err"
}

# The first failure counts, not the lowest rank or the last.
first_failure() {
    # shellcheck disable=SC2016 # the rank's shell expands it
    tombolo run -n 3 -- sh -c \
        'case $TMB_RANK in 0) sleep 1; exit 3;; 1) sleep 0.5; exit 4;; 2) exit 5;; esac'
    code_is 5
    err_lines 3
}

# Survivors have their time to see to it, and then are ended.
grace() {
    local start=$SECONDS
    # shellcheck disable=SC2016 # the rank's shell expands it
    tombolo run -n 3 --grace 1s -- sh -c 'test $TMB_RANK = 1 && exit 7; exec sleep 300'
    code_is 7
    err_has "ending the 2 ranks that are left 1.0 s after rank 1 failed"
    [ $((SECONDS - start)) -lt 10 ]
    # shellcheck disable=SC2016 # the rank's shell expands it
    tombolo run -n 3 --grace 5s -- sh -c 'test $TMB_RANK = 1 && exit 7; sleep 1; echo done'
    code_is 7
    [ "$(grep -c "done" "$work/out")" -eq 2 ]
}

keep_going() {
    # shellcheck disable=SC2016 # the rank's shell expands it
    tombolo run -n 2 --grace 0 --keep-going -- sh -c \
        'test $TMB_RANK = 1 && exit 7; sleep 1; echo done'
    code_is 7
    out_is "done"
}

# Ranks that ignore SIGTERM are killed.
stubborn() {
    local start=$SECONDS
    # shellcheck disable=SC2016 # the rank's shell expands it
    tombolo run -n 2 --grace 0 -- sh -c \
        'trap "" TERM; sleep 0.5; test $TMB_RANK = 1 && exit 7; while :; do sleep 1; done'
    code_is 7
    [ $((SECONDS - start)) -lt 15 ]
}

time_out() {
    tombolo run -n 2 --timeout 500ms -- sleep 300
    code_is 124
    err_has "the job takes longer than its 0.5 s"
    err_lines 1
}

# ---- signals ----

forwarded() {
    # shellcheck disable=SC2016 # the rank's shell expands it
    background run -n 3 -- sh -c \
        'trap "echo got USR1; exit 0" USR1; echo ready; while :; do sleep 0.1; done'
    await out_lines 3
    kill -USR1 "$launcher"
    launcher_code
    code_is 0
    [ "$(grep -c 'got USR1' "$work/out")" -eq 3 ]
}

terminated() {
    background run -n 3 -- sh -c 'echo ready; exec sleep 300'
    await out_lines 3
    kill -TERM "$launcher"
    launcher_code
    code_is 143
    err_lines 1
    nothing_left
}

# As Ctrl-C on a terminal: the whole group gets it.
interrupted() {
    background run -n 3 -- sh -c 'echo ready; exec sleep 300'
    await out_lines 3
    kill -INT -- "-$launcher"
    launcher_code
    code_is 130
    nothing_left
}

# On a terminal: rank 0 can read it, and Ctrl-C reaches each rank, once.
terminal() {
    cat >"$work/rank.py" <<'END'
import os, signal, time
rank, count = os.environ["TMB_RANK"], 0
def interrupted(*_):
    global count
    count += 1
signal.signal(signal.SIGINT, interrupted)
if rank == "0":
    os.write(1, b"got " + os.read(0, 100))
os.write(1, b"ready\n")
end = time.time() + 1
while time.time() < end:  # awake, so that two signals are two
    pass
os.write(1, f"rank {rank} interrupts {count}\n".encode())
END
    timeout 60 python3 - "$tombolo" run -n 2 -- python3 "$work/rank.py" >"$work/out" <<'END'
import os, pty, sys
pid, fd = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
os.write(fd, b"line\n")
text = b""
while True:
    try:
        piece = os.read(fd, 4096)
    except OSError:
        break
    before, text = text, text + piece
    if before.count(b"ready") < 2 <= text.count(b"ready"):
        os.write(fd, b"\x03")
print(text.decode().replace("\r", "").replace("^C", ""))
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
END
    cat "$work/out"
    grep -qx "got line" "$work/out"
    grep -qx 'rank 0 interrupts 1' "$work/out"
    grep -qx 'rank 1 interrupts 1' "$work/out"
}

interrupted_twice() {
    background run -n 2 -- sh -c 'trap "" INT; echo ready; while :; do sleep 0.1; done'
    await out_lines 2
    kill -INT "$launcher"
    sleep 0.5
    if launcher_ended; then false; fi
    kill -INT "$launcher"
    launcher_code
    code_is 137
    nothing_left
}

stopped() {
    background run -n 1 -- sh -c 'echo ready; exec sleep 300'
    await out_lines 1
    kill -TSTP "$launcher"
    await is_stopped "$launcher"
    kill -CONT "$launcher"
    kill -TERM "$launcher"
    launcher_code
    code_is 143
}

is_stopped() { # PID
    [ "$(awk '{ print $3 }' "/proc/$1/stat")" = T ]
}

# ---- nothing is left behind ----

clean_end() {
    CLI_MARK=$mark tombolo run -n 4 true
    code_is 0
    nothing_left
    CLI_MARK=$mark tombolo run -n 4 -- sh -c 'exit 3'
    nothing_left
    CLI_MARK=$mark tombolo run -n 4 -- "$work/script"
    nothing_left
}

# What ranks leave running ends with the job, also what they have made daemons.
grandchildren() {
    CLI_MARK=$mark tombolo run -n 2 -- sh -c 'sleep 300 & setsid sleep 300 & exit 0'
    code_is 0
    nothing_left
}

# The launcher can't clean up: its ranks, their children, server and directory go all the
# same.
launcher_killed() {
    background run -n 3 -- sh -c 'setsid sleep 300 & sleep 300 & echo ready; sleep 300; true'
    await out_lines 3
    [ -n "$(ls "$XDG_RUNTIME_DIR")" ]
    [ "$(marked | wc -l)" -ge 12 ]
    kill -KILL "$launcher"
    wait "$launcher" || true
    await nothing_left
}

server_killed() {
    local server
    background run -n 2 -- sh -c 'echo ready; exec sleep 300'
    await out_lines 2
    server=$(server_of "$launcher")
    kill -KILL "$server"
    launcher_code
    code_is 1
    err_has "the embedded server has ended before the job"
    nothing_left
}

# The launcher's child that listens on the socket.
server_of() { # LAUNCHER
    local inode pid
    inode=$(awk -v path="$XDG_RUNTIME_DIR/" 'index($8, path) == 1 { print $7; exit }' \
        /proc/net/unix)
    for pid in /proc/[0-9]*; do
        if grep -qxF "socket:[$inode]" < <(readlink "$pid"/fd/* 2>/dev/null); then
            echo "${pid#/proc/}"
            return
        fi
    done
    return 1
}

no_runtime_directory() {
    # shellcheck disable=SC2016 # the rank's shell expands it
    XDG_RUNTIME_DIR=$work/none tombolo run -n 1 -- sh -c 'echo "${TMB_SERVER%/*/*}"'
    code_is 0
    out_is /tmp
}

many_ranks() {
    local begin end
    begin=$(date +%s%N)
    tombolo run -n 64 true
    end=$(date +%s%N)
    code_is 0
    times="64 ranks started and ended in $(((end - begin) / 1000000)) ms"
    echo "$times" >"$work/times"
}

# ---- info ----

info_lists_all() {
    local name
    tombolo info
    code_is 0
    err_lines 0
    for name in $(variables_in_source); do
        grep -qE "^  $name +(string|choice|integer|size|duration)," "$work/out" ||
            { echo "not listed: $name"; false; }
    done
    grep -q '^Providers' "$work/out"
    grep -q 'NUMA node 0' "$work/out"
}

# The adapter is built where there is an MPICH.
adapter=$(dirname "$tombolo")/.libs/libtombolo-mpich.so

variables_in_source() {
    local parts=("$here"/../core "$here"/../providers)
    [ ! -e "$adapter" ] || parts+=("$here"/../adapters)
    grep -rhoE '\.name = "TMB_[A-Z_]+"' "${parts[@]}" --include='*.c' |
        grep -oE 'TMB_[A-Z_]+' | sort -u
}

info_values() {
    TMB_LOG=debug tombolo info
    grep -qE '^  TMB_LOG .*default warn of error\|warn\|info\|debug; now debug$' "$work/out"
    TMB_LOG=loud tombolo info
    err_has "TMB_LOG=loud: must be one of"
}

info_json() {
    TMB_LOG=debug tombolo info --json
    code_is 0
    python3 - "$work/out" <<'END'
import json, sys
info = json.load(open(sys.argv[1]))
assert info["version"].count(".") == 2
assert any(p["name"] == "ivshmem" and "mapped" in p["capabilities"]
           for p in info["providers"])
assert info["topology"]["usable_cpus"] >= 1 and info["topology"]["nodes"]
log = [v for v in info["variables"] if v["name"] == "TMB_LOG"]
assert len(log) == 1 and log[0]["value"] == "debug" and log[0]["default"] == "warn"
assert all(v["meaning"].endswith(".") for v in info["variables"])
END
}

# ---- info --job ----

# As ranks of a job; the code of the first that failed.
job() { # SIZE NAME=VALUE... -- ARGUMENT...
    local size=$1 settings=()
    shift
    while [ "$1" != -- ]; do
        settings+=("$1")
        shift
    done
    code=0
    env "${settings[@]}" timeout -k 5 60 "$tombolo" run -n "$size" -- \
        "${split[@]}" "$tombolo" info --job "${@:2}" \
        >"$work/out" 2>"$work/err" </dev/null || code=$?
}

# What runs a rank's program otherwise than the launcher started it.
split=()

# The rows of the table, as RANK REGION ROUTE MAPPED STATE, where regions are R or -.
rows_are() { # TEXT
    local found
    found=$(awk '$1 ~ /^[0-9]+$/ && $3 > 0 { print $1, $4 == "-" ? "-" : "R", $5, $6, $7 }' \
        "$work/out")
    [ "$found" = "$1" ] || { echo "rows:"; cat "$work/out" "$work/err"; false; }
}

routes_are() { # TEXT
    local found
    found=$(sed -n 's/^  from //p' "$work/out")
    [ "$found" = "$1" ] || { echo "routes:"; cat "$work/out" "$work/err"; false; }
}

job_mapped() {
    local regions
    job 4 TMB_PROVIDER=ivshmem --
    code_is 0
    err_lines 0
    grep -qx 'Job of 4 ranks on 1 host' "$work/out"
    rows_are "0 R self yes alive
1 R ivshmem yes alive
2 R ivshmem yes alive
3 R ivshmem yes alive"
    routes_are "0-3 to 0-3: ivshmem, mapped"
    regions=$(awk '$1 ~ /^[0-9]+$/ { print $4 }' "$work/out" | sort -u)
    [[ $regions =~ ^[0-9a-f]{8}$ ]] || { echo "regions: $regions"; false; }
    [ "$(awk '$1 ~ /^[0-9]+$/ { print $3 }' "$work/out" | sort -u | wc -l)" -eq 4 ]
    [ "$(awk '$1 ~ /^[0-9]+$/ { print $2 }' "$work/out" | sort -u)" = \
        "$(hostname | cut -d. -f1 | cut -c1-31)" ]
}

job_tcp() {
    job 3 TMB_PROVIDER=tcp TMB_TCP_INTERFACE=lo --
    code_is 0
    rows_are "0 - self yes alive
1 - tcp no alive
2 - tcp no alive"
    routes_are "0-2 to 0-2: tcp"
}

# Only ranks 0 and 1 share the region.
job_mixed() {
    split=("$here/mixed.sh")
    job 5 MIXED=2 TMB_TCP_INTERFACE=lo --
    code_is 0
    rows_are "0 R self yes alive
1 R ivshmem yes alive
2 - tcp no alive
3 - tcp no alive
4 - tcp no alive"
    routes_are "0-1 to 0-1: ivshmem, mapped
0-1 to 2-4: tcp
2-4 to 0-4: tcp"
}

# A rank that is alone in its way: nobody is like it, and it has no route to itself there.
job_mixed_one() {
    split=("$here/mixed.sh")
    job 3 MIXED=2 TMB_TCP_INTERFACE=lo --
    routes_are "0-1 to 0-1: ivshmem, mapped
0-1 to 2: tcp
2 to 0-1: tcp"
}

# Rank 2 has a pid namespace of its own, and so is on another host of the same name.
job_hosts() {
    cat >"$work/apart" <<'END'
#!/bin/sh
[ "$TMB_RANK" -lt 2 ] || exec unshare -p -f "$@"
exec "$@"
END
    chmod +x "$work/apart"
    split=("$work/apart")
    job 3 --
    code_is 0
    grep -qx 'Job of 3 ranks on 2 hosts' "$work/out"
    [ "$(awk '$1 ~ /^[0-9]+$/ { sub(".*/", "", $2); print $1, $2 }' "$work/out")" = "0 1
1 1
2 2" ]
}

job_json() {
    split=("$here/mixed.sh")
    job 3 MIXED=2 TMB_TCP_INTERFACE=lo -- --json
    code_is 0
    python3 - "$work/out" <<'END'
import json, sys
job = json.load(open(sys.argv[1]))
ranks, routes = job["ranks"], job["routes"]
assert job["size"] == 3 and [r["rank"] for r in ranks] == [0, 1, 2], ranks
assert [r["route"] for r in ranks] == ["self", "ivshmem", "tcp"], ranks
assert [r["mapped"] for r in ranks] == [True, True, False], ranks
assert ranks[0]["region"] == ranks[1]["region"] and ranks[2]["region"] is None, ranks
assert len({r["host_id"] for r in ranks}) == 1 and len({r["pid"] for r in ranks}) == 3
assert all(r["host"] and r["state"] == "alive" for r in ranks), ranks
told = {(a, b): (group["provider"], group["mapped"])
        for group in routes for a in group["from"] for b in group["to"] if a != b}
memory, tcp = ("ivshmem", True), ("tcp", False)
assert told == {(0, 1): memory, (1, 0): memory, (0, 2): tcp, (2, 0): tcp,
                (1, 2): tcp, (2, 1): tcp}, told
END
}

job_alone() {
    tombolo info --job
    code_is 0
    err_lines 0
    rows_are "0 R self yes alive"
    grep -qx 'Job of 1 rank on 1 host' "$work/out"
    grep -qF "tombolo run -n 4 -- tombolo info --job" "$work/out"
    usage_error "no argument is expected" info --job 4
}

# Ranks 2 and 3 have another region.
other_region() {
    cat >"$work/split" <<END
#!/bin/sh
[ \$TMB_RANK -lt 2 ] || export TMB_SERVER=$work/other
exec "\$@"
END
    chmod +x "$work/split"
    rm -f "$work/other" # or a former server's would be taken for this one's
    timeout 300 "$tombolo" server --socket "$work/other" --size 4M 2>"$work/server" &
    server=$!
    await test -S "$work/other"
    split=("$work/split")
}

server_stop() {
    kill "$server"
    wait "$server"
}

job_regions() {
    other_region
    job 4 TMB_TCP_INTERFACE=lo --
    server_stop
    code_is 0
    rows_are "0 R self yes alive
1 R ivshmem yes alive
2 R tcp no alive
3 R tcp no alive"
    routes_are "0-1 to 0-1: ivshmem, mapped
0-1 to 2-3: tcp
2-3 to 0-1: tcp
2-3 to 2-3: ivshmem, mapped"
    [ "$(awk '$1 ~ /^[0-9]+$/ { print $4 }' "$work/out" | sort -u | wc -l)" -eq 2 ]
}

# Nobody joins, and each rank that misses others names all of them.
job_unreached() {
    local reason='no region in common with us; "auto" tries all providers'
    other_region
    job 4 TMB_PROVIDER=ivshmem --
    server_stop
    code_is 1
    [ ! -s "$work/out" ]
    for rank in 0 1; do
        err_has "[$rank] error: tmb_init: TMB_PROVIDER=ivshmem does not reach rank 2-3: \
it has $reason"
    done
    for rank in 2 3; do
        err_has "[$rank] error: tmb_init: TMB_PROVIDER=ivshmem does not reach rank 0-1: \
it has $reason"
    done
    [ "$(grep -c 'error:' "$work/err")" -eq 4 ]
}

# Rank 0 has the table, and the first rank without a region, which is reached otherwise,
# sums up its own.
log_routes() {
    local found
    split=("$here/mixed.sh")
    job 5 TMB_LOG=info MIXED=2 TMB_TCP_INTERFACE=lo --
    code_is 0
    found=$(sed -nE 's/, host [^ ,]+, region [0-9a-f]{8}:/, host H, region R:/
        s/, host [^ ,]+, region -:/, host H, no region:/
        s/^tombolo: (\[[0-9]\] info: routes?:)/\1/p' "$work/err" | sort)
    [ "$found" = "[0] info: route: rank 0, host H, region R: self
[0] info: route: rank 1, host H, region R: ivshmem
[0] info: route: rank 2-4, host H, no region: tcp
[2] info: routes: tcp to rank 0-1, 3-4" ] || { cat "$work/err"; false; }
}

# The log tells of ranks that are not reached as well.
log_unreached() {
    other_region
    job 4 TMB_LOG=info TMB_PROVIDER=ivshmem --
    server_stop
    code_is 1
    grep -qE '\[0\] info: route: rank 2-3, host [^ ]+, region [0-9a-f]{8}: none, it has no' \
        "$work/err"
    err_has "[2] info: routes: none to rank 0-1; ivshmem to rank 3"
}

# ---- mpich ----

mpich_usage() {
    usage_error "a command is missing" mpich
    usage_error "a command is missing" mpich --report
    usage_error "contradict" mpich --off --required -- true
    usage_error "unrecognized option" mpich --offf -- true
    tombolo mpich -- /nonexistent/program
    code_is 127
    err_has "can't execute /nonexistent/program: No such file or directory"
    tombolo mpich -- /etc/passwd
    code_is 126
    tombolo mpich --library="$work/none.so" -- true
    code_is 1
    err_has "--library $work/none.so: No such file or directory"
    err_lines 1
}

# What the environment becomes; a library that is none is ignored by the loader.
# shellcheck disable=SC2016 # the ranks' shells expand it
mpich_environment() {
    mkdir "$work/lib" "$work/a lib"
    : >"$work/lib/other.so"
    : >"$work/a lib/other.so"
    LD_PRELOAD='' TMB_MPICH='' tombolo mpich --library="$work/lib/other.so" --report="$work/r" \
        -- sh -c 'echo "$LD_PRELOAD,$TMB_MPICH,$TMB_MPICH_REPORT"'
    code_is 0
    out_is "$work/lib/other.so,,$work/r"
    LD_PRELOAD=libm.so.6 tombolo mpich --library="$work/lib/other.so" --off --report \
        -- sh -c 'echo "$LD_PRELOAD,$TMB_MPICH,$TMB_MPICH_REPORT"; [ -x "$TMB_TOMBOLO" ] && exit 3'
    code_is 3
    out_is "$work/lib/other.so:libm.so.6,off,1"
    tombolo mpich --library="$work/a lib/other.so" -- true
    code_is 1
    err_has "a path with a colon or a blank"
}

# shellcheck disable=SC2016
mpich_library() {
    tombolo mpich -- sh -c 'echo "$LD_PRELOAD"'
    code_is 0
    out_is "$(realpath "$adapter")"
    [ ! -s "$work/err" ]
}

check no-command no_command
check version version
check help help
check bad-counts bad_counts
check bad-options bad_options
check missing-program missing_program
check not-executable not_executable
check bad-environment bad_environment
check unknown-variable unknown_variable
check no-server no_server
check environment environment
check arguments arguments
check standard-input standard_input
check closed-files closed_files
check descriptors descriptors
check signals-default signals_default
check binding binding
check labels labels
check labels-whole-lines labels_whole_lines
check labels-long-line labels_long_line
check labels-slow-reader labels_slow_reader
check labels-closed-reader labels_closed_reader
check failing-rank failing_rank
check killed-rank killed_rank
check first-failure first_failure
check grace grace
check keep-going keep_going
check stubborn stubborn
check time-out time_out
check forwarded forwarded
check terminated terminated
check interrupted interrupted
check terminal terminal
check interrupted-twice interrupted_twice
check stopped stopped
check clean-end clean_end
check grandchildren grandchildren
check launcher-killed launcher_killed
check server-killed server_killed
check no-runtime-directory no_runtime_directory
check many-ranks many_ranks
check info-lists-all info_lists_all
check info-values info_values
check info-json info_json
check mpich-usage mpich_usage
if [[ ${VARIANT:-gcc} = [at]san ]]; then
    skip mpich-environment "a sanitizer's library can't be preloaded into what has none"
    skip mpich-library "as mpich-environment"
elif [ -e "$adapter" ]; then
    check mpich-environment mpich_environment
    check mpich-library mpich_library
else
    skip mpich-environment "built without the MPICH adapter (libmpich-dev)"
    skip mpich-library "built without the MPICH adapter (libmpich-dev)"
fi
check info-job-mapped job_mapped
check info-job-alone job_alone
if unshare -p -f true 2>/dev/null; then
    check info-job-hosts job_hosts
else
    skip info-job-hosts "no pid namespace can be made here (root can)"
fi
check info-job-unreached job_unreached
check log-unreached log_unreached
if grep -qx '  tcp' < <("$tombolo" info); then
    check info-job-tcp job_tcp
    check info-job-mixed job_mixed
    check info-job-mixed-one job_mixed_one
    check info-job-regions job_regions
    check info-job-json job_json
    check log-routes log_routes
else
    skip "routes over tcp" "the provider is not built (libfabric)"
fi
[ ! -e "$work/times" ] || echo "note: $(cat "$work/times")"
finish
