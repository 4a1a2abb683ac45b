#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Ranks that `tombolo run` did not start: TMB_RENDEZVOUS, PMI-1, PMIx. All on loopback.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/report.sh
. "$here/report.sh"
build=$(realpath "${BUILD:-$here/../build}")
tombolo=$(realpath "${TOMBOLO:-$build/tombolo}")
hello=$build/hello_put
for variable in ${!TMB_@}; do
    unset "$variable"
done
work=$(mktemp -d)
server=
cleanup() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT
secret=a-secret-of-some-length

# ---- helpers ----

# Until a command succeeds; 10 s at most.
await() { # COMMAND...
    for _ in {1..500}; do
        ! "$@" || return 0
        sleep 0.02
    done
    echo "waited in vain for: $*"
    return 1
}

# A port that nobody has, and that no connection is given as its own.
port_choose() {
    python3 - <<'EOF'
import random, socket
while True:
    port = random.randrange(20000, 32000)
    with socket.socket() as s:
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            continue
    print(port)
    break
EOF
}

# Start a rank of the job at $at; further arguments are variables.
start() { # RANK SIZE [NAME=VALUE...]
    env TMB_RENDEZVOUS="$at" TMB_RANK="$1" TMB_SIZE="$2" "${@:3}" \
        timeout -k 5 60 "$hello" >"$work/out.$1" 2>"$work/err.$1" </dev/null &
    pids[$1]=$!
}

# The code of a rank that was started, in $code.
ended() { # RANK
    code=0
    wait "${pids[$1]}" || code=$?
}

ended_with() { # RANK CODE
    ended "$1"
    [ "$code" -eq "$2" ] || { echo "rank $1: code $code"; cat "$work/err.$1"; return 1; }
}

says() { # RANK TEXT...
    local text
    for text in "${@:2}"; do
        [ -z "$text" ] || grep -qF -- "$text" "$work/err.$1" ||
            { echo "rank $1 did not say: $text"; cat "$work/err.$1"; return 1; }
    done
}

says_lines() { # RANK COUNT
    [ "$(wc -l <"$work/err.$1")" -eq "$2" ] ||
        { echo "rank $1: not $2 lines"; cat "$work/err.$1"; return 1; }
}

got() { # RANK SIZE
    local from=$((($1 + $2 - 1) % $2))
    [ "$(cat "$work/out.$1")" = "rank $1 of $2 got: hello from rank $from" ] ||
        { cat "$work/out.$1" "$work/err.$1"; return 1; }
}

fresh() {
    pids=()
    at=127.0.0.1:$(port_choose)
}

# All ranks end well, and say nothing.
all_well() { # SIZE
    local rank
    for ((rank = 0; rank < $1; rank++)); do
        ended_with "$rank" 0
        got "$rank" "$1"
        says_lines "$rank" 0
    done
}

listening() {
    python3 - "${at%:*}" "${at##*:}" <<'EOF'
import sys
port = "%04X" % int(sys.argv[2])
rows = [line.split() for name in ("tcp", "tcp6") for line in open("/proc/net/" + name)]
sys.exit(not any(row[1].endswith(":" + port) and row[3] == "0A" for row in rows))
EOF
}

# ---- ranks that meet ----

ranks_meet() { # SIZE [NAME=VALUE...]
    local size=$1 rank
    fresh
    for ((rank = size - 1; rank >= 0; rank--)); do
        start "$rank" "$size" "${@:2}"
    done
    all_well "$size"
}

rank_zero_late() {
    fresh
    start 1 2
    sleep 0.7
    start 0 2
    all_well 2
}

by_name_and_ipv6() {
    fresh
    at=localhost:${at##*:}
    start 1 2
    start 0 2
    all_well 2
    [ -e /proc/net/if_inet6 ] && grep -q '^0*1 ' /proc/net/if_inet6 || return 0
    fresh
    at="[::1]:${at##*:}"
    start 1 2
    start 0 2
    all_well 2
}

one_after_the_other() {
    local round
    fresh
    for round in 1 2 3; do
        start 0 2
        start 1 2
        all_well 2
    done
    [ "$round" -eq 3 ]
}

secret_file() {
    printf '%s\n' "$secret" >"$work/secret"
    chmod 644 "$work/secret"
    fresh
    start 0 1 TMB_SECRET_FILE="$work/secret"
    ended_with 0 1
    says 0 "TMB_SECRET_FILE=$work/secret" "chmod 600"
    says_lines 0 1
    chmod 600 "$work/secret"
    fresh
    start 0 2 TMB_SECRET_FILE="$work/secret"
    start 1 2 TMB_SECRET="$secret"
    all_well 2
}

# ---- what is wrong ----

# A wrong rank is refused at once, and does not keep the right one out.
refused() { # RANK-0-SAYS RANK-1-SAYS RANK-0-VARIABLES RANK-1-VARIABLES [SIZE]
    local right wrong
    read -ra right <<<"$3"
    read -ra wrong <<<"$4"
    fresh
    start 0 2 "${right[@]}"
    start 1 "${5:-2}" "${wrong[@]}"
    ended_with 1 1
    says 1 "TMB_RENDEZVOUS=$at" "$2"
    says_lines 1 1
    start 1 2 "${right[@]}"
    ended_with 1 0
    got 1 2
    ended_with 0 0
    got 0 2
    [ -z "$1" ] || says 0 "TMB_RENDEZVOUS=$at" "127.0.0.1" "$1"
    says_lines 0 $((${#1} > 0))
}

rank_twice() {
    fresh
    start 0 3
    start 1 3
    sleep 0.3
    start 2 3 TMB_RANK=1
    ended_with 2 1
    says 2 "TMB_RANK=1 has come already"
    start 2 3
    ended_with 0 0
    ended_with 1 0
    ended_with 2 0
    says 0 "TMB_RANK=1 has come already"
}

missing() {
    fresh
    start 0 6 TMB_INIT_TIMEOUT=1s
    start 3 6 TMB_INIT_TIMEOUT=1s
    ended_with 0 1
    ended_with 3 1
    says 0 "rank 1-2, 4-5 did not come in time"
    says 3 "rank 1-2, 4-5 did not come in time"
    says_lines 0 1
    says_lines 3 1
    fresh
    start 1 2 TMB_INIT_TIMEOUT=500ms
    ended_with 1 1
    says 1 "TMB_RENDEZVOUS=$at" "rank 0 did not come in time" "TMB_INIT_TIMEOUT"
    says_lines 1 1
}

rank_dies() {
    fresh
    start 0 3
    start 1 3
    await connected 1
    stranger leave
    ended_with 0 1
    ended_with 1 1
    says 0 "rank 2 ended before all ranks had met"
    says 1 "rank 2 ended before all ranks had met"
    fresh # the same, of one that had come as far as it could
    start 0 3
    start 1 3
    await connected 1
    kill -9 "$(pgrep -P "${pids[1]}")"
    start 2 3
    ended_with 0 1
    ended_with 2 1
}

rank_zero_dies() {
    fresh
    start 0 3
    start 1 3
    await connected 1
    kill -9 "$(pgrep -P "${pids[0]}")"
    ended_with 1 1
    says 1 "rank 0 is gone"
    says_lines 1 1
}

# So many are connected to rank 0, and have had time to be let in.
connected() { # COUNT
    python3 - "${at##*:}" "$1" <<'EOF' && sleep 0.3
import sys
port = "%04X" % int(sys.argv[1])
rows = [line.split() for line in open("/proc/net/tcp")]
there = sum(row[2].endswith(":" + port) and row[3] == "01" for row in rows)
sys.exit(there != int(sys.argv[2]))
EOF
}

port_in_use() {
    fresh
    start 0 2
    await listening
    mv "$work/err.0" "$work/err.first"
    local first=${pids[0]}
    start 0 2
    ended_with 0 1
    says 0 "TMB_RENDEZVOUS=$at" "can't listen" "choose another port"
    says_lines 0 1
    start 1 2
    ended_with 1 0
    wait "$first"
}

wrong_addresses() {
    local wrong
    fresh
    at=nohost.invalid:5555
    start 0 2
    ended_with 0 1
    says 0 "TMB_RENDEZVOUS=$at" "host nohost.invalid can't be found"
    says_lines 0 1
    for wrong in here 127.0.0.1: :5555 127.0.0.1:0 127.0.0.1:65536 ::1:5555 '[::1]' '[]:5'; do
        at=$wrong
        start 0 2
        ended_with 0 1
        says 0 "TMB_RENDEZVOUS=$wrong: must be HOST:PORT"
        says_lines 0 1
    done
    at=0.0.0.0:5555
    start 0 2
    ended_with 0 1
    says 0 "TMB_RENDEZVOUS=$at" "no loopback address" TMB_SECRET
    at=192.0.2.1:5555
    start 0 2 TMB_SECRET="$secret"
    ended_with 0 1
    says 0 "TMB_RENDEZVOUS=$at" "no address of this host"
}

wrong_variables() {
    fresh
    start 0 2 TMB_SECRET=short
    ended_with 0 1
    says 0 "TMB_SECRET: the secret has 5 bytes" "16"
    [ "$(grep -c short "$work/err.0")" -eq 0 ]
    start 0 2 TMB_SECRET="$secret" TMB_SECRET_FILE=/dev/null
    ended_with 0 1
    says 0 "TMB_SECRET and TMB_SECRET_FILE are both set"
    start 0 2 TMB_SECRET_FILE="$work/none"
    ended_with 0 1
    says 0 "TMB_SECRET_FILE=$work/none" "No such file"
    start 0 2 TMB_RANK=
    ended_with 0 1
    says 0 "TMB_RENDEZVOUS is set, but TMB_RANK is not"
    start 0 2 TMB_SIZE=
    ended_with 0 1
    says 0 "TMB_RENDEZVOUS is set, but TMB_SIZE is not"
    start 2 2
    ended_with 2 1
    says 2 "TMB_RANK=2 is not less than TMB_SIZE=2"
    start 0 2 TMB_LAUNCH_FD=0
    ended_with 0 1
    says 0 "TMB_LAUNCH_FD and TMB_RENDEZVOUS are both set"
    start 0 2 TMB_RENDEZVOUS= TMB_BOOTSTRAP=rendezvous
    ended_with 0 1
    says 0 "TMB_BOOTSTRAP=rendezvous, but TMB_RENDEZVOUS is not set"
    start 0 2 TMB_RENDEZVOUS=
    ended_with 0 1
    says 0 "neither TMB_LAUNCH_FD nor TMB_RENDEZVOUS"
    start 0 2 TMB_BOOTSTRAP=sinlge
    ended_with 0 1
    says 0 "TMB_BOOTSTRAP=sinlge: must be one of auto|run"
}

# ---- strangers ----

stranger() { # WHAT
    python3 "$here/stranger.py" "$1" "${at##*:}"
}

# Whatever a stranger does, the ranks meet.
stranger_at() { # WHAT RANK-0-SAYS
    fresh
    start 0 3 TMB_SECRET="$secret"
    start 1 3 TMB_SECRET="$secret"
    await listening
    : >"$work/stranger"
    stranger "$1" >"$work/stranger" 2>&1 &
    local pid=$!
    await grep -q there "$work/stranger"
    start 2 3 TMB_SECRET="$secret"
    for rank in 0 1 2; do
        ended_with "$rank" 0
        got "$rank" 3
    done
    wait "$pid" || { cat "$work/stranger"; return 1; }
    [ -n "$2" ] || says_lines 0 0
    says 0 "$2"
    says_lines 1 0
    says_lines 2 0
}

# What listens at the port is no rank 0 that this rank may trust.
stranger_serves() { # WHAT TEXT...
    fresh
    stranger "$1" >"$work/stranger" 2>&1 &
    local pid=$!
    await listening
    start 1 2 TMB_SECRET="$secret" TMB_INIT_TIMEOUT=2s
    ended_with 1 1
    says 1 "TMB_RENDEZVOUS=$at" "${@:2}"
    says_lines 1 1
    wait "$pid" || { cat "$work/stranger"; return 1; }
}

# ---- ranks that make a region for their host ----

# Their servers' sockets, as rank 0 has logged them; and that these are gone.
region_names() {
    sed -n 's/.*region of .* (server \(@tombolo-[^)]*\))$/\1/p' "$@" | sort -u
}

server_pids() { # NAME
    pgrep -f -- "--socket $1 " || true
}

name_gone() { # NAME
    ! grep -qF " $1" /proc/net/unix && [ -z "$(server_pids "$1")" ]
}

all_gone() { # FILE...
    local name names
    names=$(region_names "$@")
    [ -n "$names" ] || { echo "no region was made"; cat "$@"; return 1; }
    for name in $names; do
        await name_gone "$name"
    done
}

# How many routes of all ranks are by this provider.
routes() { # PROVIDER COUNT FILE...
    local count
    count=$(cat "${@:3}" | grep -c "route: rank [0-9]* by $1\$" || true)
    [ "$count" -eq "$2" ] || { echo "$count routes by $1, not $2"; cat "${@:3}"; return 1; }
}

rendezvous_shares() { # SIZE
    local rank files=()
    fresh
    for ((rank = 0; rank < $1; rank++)); do
        start "$rank" "$1" TMB_LOG=debug
        files+=("$work/err.$rank")
    done
    for ((rank = 0; rank < $1; rank++)); do
        ended_with "$rank" 0
        got "$rank" "$1"
    done
    routes ivshmem $(($1 * $1)) "${files[@]}"
    all_gone "${files[@]}"
    [ "$(region_names "${files[@]}" | wc -l)" -eq 1 ]
}

# Ranks of two users have two regions, and reach each other by TCP.
two_users() {
    local rank as files=()
    fresh
    for rank in 0 1 2 3; do
        as=()
        [ "$rank" -lt 2 ] || as=(setpriv --reuid 65534 --clear-groups)
        TMB_RENDEZVOUS="$at" TMB_RANK=$rank TMB_SIZE=4 TMB_LOG=debug TMB_TCP_INTERFACE=lo \
            timeout -k 5 60 "${as[@]}" "$hello" >"$work/out.$rank" 2>"$work/err.$rank" \
            </dev/null &
        pids[rank]=$!
        files+=("$work/err.$rank")
    done
    for rank in 0 1 2 3; do
        ended_with "$rank" 0
        got "$rank" 4
    done
    routes ivshmem 8 "${files[@]}"
    routes tcp 8 "${files[@]}"
    [ "$(region_names "${files[@]}" | wc -l)" -eq 2 ]
    all_gone "${files[@]}"
}

named() { # FILE
    [ -n "$(region_names "$1")" ]
}

# Who started it has ended.
alone() { # NAME
    [ "$(server_pids "$1" | wc -l)" -eq 1 ]
}

# The server has nothing of a rank's but stderr.
detached() { # PID
    [ "$(readlink "/proc/$1/fd/0")" = /dev/null ] &&
        [ "$(readlink "/proc/$1/fd/1")" = /dev/null ] &&
        [ "$(find "/proc/$1/fd" -lname "$work/out.*" -o -lname 'pipe:*' | wc -l)" -eq 0 ]
}

# Whatever becomes of the ranks.
ranks_killed() {
    local rank name pid victims hello=$build/conformance
    fresh
    for rank in 0 1 2; do
        start "$rank" 3 TMB_LOG=debug
    done
    await grep -q 'route: rank 2 by ivshmem' "$work/err.0"
    await named "$work/err.0"
    name=$(region_names "$work/err.0")
    await alone "$name"
    pid=$(server_pids "$name")
    await detached "$pid" # once it has told that it is there
    # All at once: one's death may end the others.
    mapfile -t victims < <(for rank in 0 1 2; do pgrep -P "${pids[$rank]}"; done)
    [ ${#victims[@]} -eq 3 ]
    kill -9 "${victims[@]}"
    await name_gone "$name"
    for rank in 0 1 2; do
        ended "$rank"
    done
}

# Without the command it goes by TCP, and a line tells why.
without_command() { # COMMAND TEXT
    local rank
    fresh
    start 0 2 TMB_TOMBOLO="$1" TMB_TCP_INTERFACE=lo
    start 1 2 TMB_TOMBOLO="$1" TMB_TCP_INTERFACE=lo
    for rank in 0 1; do
        ended_with "$rank" 0
        got "$rank" 2
        says_lines "$rank" $((1 - rank))
    done
    says 0 "$2"
    fresh
    start 0 2 TMB_TOMBOLO="$1" TMB_TCP_INTERFACE=lo TMB_LOG=debug
    start 1 2 TMB_TOMBOLO="$1" TMB_TCP_INTERFACE=lo TMB_LOG=debug
    ended_with 0 0
    ended_with 1 0
    says 0 "$2"
    routes tcp 4 "$work/err.0" "$work/err.1"
}

tcp_makes_none() {
    fresh
    start 0 2 TMB_PROVIDER=tcp TMB_TCP_INTERFACE=lo TMB_LOG=debug
    start 1 2 TMB_PROVIDER=tcp TMB_TCP_INTERFACE=lo TMB_LOG=debug
    ended_with 0 0
    ended_with 1 0
    routes tcp 4 "$work/err.0" "$work/err.1"
    [ "$(cat "$work/err.0" "$work/err.1" | grep -c @tombolo-)" -eq 0 ]
}

hydra_shares() { # SIZE
    TMB_LOG=debug hydra -n "$1" "$hello"
    code_is 0
    routes ivshmem $(($1 * $1)) "$work/err"
    all_gone "$work/err"
}

# Hydra has ended its ranks: none of them could clean up.
hydra_killed() {
    # shellcheck disable=SC2016 # the ranks' own variables
    TMB_LOG=debug hydra -n 3 sh -c \
        '[ "$PMI_RANK" != 1 ] || {
            (until grep -q "route: rank 2 by ivshmem" "$1"; do sleep 0.05; done; kill -9 $$) &
        }
        exec "$0"' "$build/conformance" "$work/err"
    [ "$code" -ne 0 ]
    all_gone "$work/err"
}

# A program's descriptors are of no consequence.
without_standard_files() {
    fresh
    start 0 2 TMB_LOG=debug
    TMB_RENDEZVOUS="$at" TMB_RANK=1 TMB_SIZE=2 timeout 60 "$hello" <&- >&- 2>&- &
    pids[1]=$!
    ended_with 0 0
    ended 1
    routes ivshmem 2 "$work/err.0"
    all_gone "$work/err.0"
    fresh
    TMB_RENDEZVOUS="$at" TMB_RANK=0 TMB_SIZE=2 timeout 60 "$hello" <&- >&- 2>&- &
    pids[0]=$!
    start 1 2 TMB_LOG=debug
    ended_with 1 0
    ended 0
    routes ivshmem 2 "$work/err.1"
    all_gone "$work/err.1"
}

# ---- launchers of others ----

# Exchanges of all sizes; the ranks agree on the job's name.
rounds_well() { # BACKEND SIZE
    local rank
    code_is 0
    for ((rank = 0; rank < $2; rank++)); do
        grep -qE "^$1 $rank of $2 in .*: 0$" "$work/out" ||
            { cat "$work/out" "$work/err"; return 1; }
    done
    [ "$(sed 's/.* in //' "$work/out" | sort -u | wc -l)" -eq 1 ]
}

hydra_rounds() {
    hydra -n 3 "$build/bootstrap_rounds"
    rounds_well pmi 3
}

# By its own name: `mpiexec` is whichever MPI was installed last.
hydra() { # ARGUMENT...
    code=0
    timeout -k 5 60 mpiexec.hydra "$@" >"$work/out" 2>"$work/err" </dev/null || code=$?
}

code_is() { # CODE
    [ "$code" -eq "$1" ] || { echo "code $code"; cat "$work/out" "$work/err"; return 1; }
}

err_has() { # TEXT
    grep -qF -- "$1" "$work/err" || { echo "not said: $1"; cat "$work/err"; return 1; }
}

# Ranks of a launcher in $work/out, all of them.
greeted() { # SIZE
    local rank size=$1
    code_is 0
    for ((rank = 0; rank < size; rank++)); do
        grep -qx "rank $rank of $size got: hello from rank $(((rank + size - 1) % size))" \
            "$work/out" || { cat "$work/out" "$work/err"; return 1; }
    done
    [ "$(wc -l <"$work/out")" -eq "$size" ]
}

hydra_meets() { # SIZE
    hydra -n "$1" "$hello"
    greeted "$1"
    [ ! -s "$work/err" ] || { cat "$work/err"; return 1; }
}

# Two programs, one job.
hydra_two_programs() {
    hydra -n 2 "$hello" : -n 1 env "$hello"
    greeted 3
}

hydra_missing() {
    TMB_INIT_TIMEOUT=1s hydra -n 1 "$hello" : -n 1 sleep 3
    [ "$code" -ne 0 ]
    err_has "not all ranks came in time"
}

# Hydra ends the others when a rank has gone without a word; nobody waits for long.
hydra_rank_dies() {
    local start=$SECONDS
    # shellcheck disable=SC2016 # the ranks' own variables
    hydra -n 3 sh -c '[ "$PMI_RANK" != 1 ] || { sleep 0.3; kill -9 $$; }; exec "$0"' "$hello"
    [ "$code" -ne 0 ]
    [ $((SECONDS - start)) -lt 20 ]
}

hydra_abort() {
    local start=$SECONDS
    hydra -n 3 "$build/bootstrap_rounds" 7
    code_is 7
    [ $((SECONDS - start)) -lt 20 ]
}

hydra_with_mpi() {
    hydra -n 2 env LD_PRELOAD=libmpich.so.12 "$hello"
    [ "$code" -ne 0 ]
    err_has "this program has MPI"
    hydra -n 2 env LD_PRELOAD=libmpich.so.12 TMB_BOOTSTRAP=pmi "$hello"
    greeted 2
    hydra -n 2 env LD_PRELOAD=libmpich.so.12 TMB_BOOTSTRAP=single "$hello"
    [ "$(grep -c 'rank 0 of 1' "$work/out")" -eq 2 ]
}

# `tombolo run` under mpiexec has ranks of its own.
hydra_runs_tombolo_run() {
    hydra -n 1 "$tombolo" run -n 3 -- "$hello"
    greeted 3
}

pmi_wrong() { # TEXT NAME=VALUE...
    code=0
    env "${@:2}" timeout 20 "$hello" >"$work/out" 2>"$work/err" </dev/null || code=$?
    code_is 1
    err_has "$1"
    [ "$(wc -l <"$work/err")" -eq 1 ]
}

pmi_wrong_variables() {
    pmi_wrong "PMI_FD=99 is not the launcher's socket" PMI_FD=99 PMI_RANK=0 PMI_SIZE=2
    pmi_wrong "PMI_RANK=: must be a number" PMI_FD=0 PMI_SIZE=2
    pmi_wrong "PMI_RANK=2 of PMI_SIZE=2" PMI_FD=0 PMI_RANK=2 PMI_SIZE=2
    pmi_wrong "PMI_FD=0 is not the launcher's socket" PMI_FD=0 PMI_RANK=0 PMI_SIZE=2
    pmi_wrong "TMB_BOOTSTRAP=pmi, but PMI_FD is not set" TMB_BOOTSTRAP=pmi
}

# Open MPI's launcher, which speaks PMIx: nothing of its MPI is in the programs.
prun() { # ARGUMENT...
    code=0
    timeout -k 5 60 mpirun.openmpi --allow-run-as-root --oversubscribe \
        --mca btl self,vader --mca oob_tcp_if_include lo "$@" \
        >"$work/out" 2>"$work/err" </dev/null || code=$?
}

prun_meets() { # SIZE
    prun -n "$1" "$hello"
    greeted "$1"
    [ ! -s "$work/err" ] || { cat "$work/err"; return 1; }
}

prun_rounds() {
    prun -n 3 "$build/bootstrap_rounds"
    rounds_well pmix 3
}

prun_missing() {
    TMB_INIT_TIMEOUT=1s prun -n 1 "$hello" : -n 1 sleep 3
    [ "$code" -ne 0 ]
    err_has "not all ranks came in time"
}

prun_rank_dies() {
    local start=$SECONDS
    # shellcheck disable=SC2016 # the ranks' own variables
    prun -n 3 sh -c '[ "$PMIX_RANK" != 1 ] || { sleep 0.3; kill -9 $$; }; exec "$0"' "$hello"
    [ "$code" -ne 0 ]
    [ $((SECONDS - start)) -lt 20 ]
}

prun_abort() {
    local start=$SECONDS
    prun -n 3 "$build/bootstrap_rounds" 7
    code_is 7
    [ $((SECONDS - start)) -lt 20 ]
}

pmix_wrong_variables() {
    pmi_wrong "PMIx_Init failed" PMIX_RANK=0 PMIX_NAMESPACE=none
    pmi_wrong "TMB_BOOTSTRAP=pmix, but PMIX_RANK is not set" TMB_BOOTSTRAP=pmix
}

without_pmix() {
    pmi_wrong "this build of Tombolo knows no PMIx" PMIX_RANK=0
}

version=$(sed -n 's/^AC_INIT(\[tombolo\], \[\(.*\)\])$/\1/p' "$here/../configure.ac")

info_hides() {
    TMB_SECRET=$secret "$tombolo" info >"$work/info"
    TMB_SECRET=$secret "$tombolo" info --json >>"$work/info"
    [ "$(grep -cF "$secret" "$work/info")" -eq 0 ]
    grep -q 'TMB_SECRET .*; now set' "$work/info"
}

export LSAN_OPTIONS=suppressions=$here/lsan.supp:print_suppressions=0
[ -x "$hello" ] || { fail bootstrap "there is no $hello: build first"; finish; }
if ! grep -q 'define HAVE_NETTLE' "$build/config.h"; then
    skip bootstrap "secrets are not in this build (Debian: nettle-dev)"
    finish
fi
"$tombolo" server --socket "$work/socket" --size 64M >"$work/server" 2>&1 &
server=$!
check server await test -S "$work/socket"
export TMB_SERVER=$work/socket

for size in 1 2 5 16; do
    check "rendezvous-$size" ranks_meet "$size"
done
check rendezvous-secret ranks_meet 4 TMB_SECRET="$secret"
check rendezvous-any-address ranks_meet 3 TMB_SECRET="$secret" TMB_JOB=name
check rank-0-late rank_zero_late
check by-name-and-ipv6 by_name_and_ipv6
check one-after-the-other one_after_the_other
check secret-file secret_file
check secret-wrong refused "it does not know the secret" "another secret" \
    "TMB_SECRET=$secret" "TMB_SECRET=${secret}x"
check secret-missing refused "" "rank 0 has a secret, this rank has none" \
    "TMB_SECRET=$secret" ""
check secret-not-wanted refused "" "this rank has a secret, rank 0 has none" \
    "" "TMB_SECRET=$secret"
check size-differs refused "TMB_RANK=1 has TMB_SIZE=3, rank 0 TMB_SIZE=2" \
    "TMB_SIZE=3, but rank 0 has TMB_SIZE=2" "" "" 3
check job-differs refused "of another job" "TMB_JOB=b, but rank 0 there is of another job" \
    TMB_JOB=a TMB_JOB=b
check rank-twice rank_twice
check missing-named missing
check rank-dies rank_dies
check rank-0-dies rank_zero_dies
check port-in-use port_in_use
check wrong-addresses wrong_addresses
check wrong-variables wrong_variables
check stranger-garbage stranger_at garbage "refused a connection from 127.0.0.1"
check stranger-silent stranger_at silent ""
check stranger-many stranger_at many ""
check stranger-replay stranger_at replay "it does not know the secret"
check stranger-version stranger_at version \
    "it has Tombolo 9.8.7 (wire 1), rank 0 $version (wire 1)"
check server-garbage stranger_serves serve-garbage "no rank 0 of Tombolo"
check server-silent stranger_serves serve-silent "rank 0 says nothing"
check server-version stranger_serves serve-version \
    "rank 0 has Tombolo 9.8.7 (wire 2), this rank $version (wire 1)"
check server-without-secret stranger_serves serve-no-secret "rank 0 has none"
check server-unproved stranger_serves serve-unproved "does not know the secret"
if type mpiexec.hydra >/dev/null 2>&1; then
    for size in 1 2 4 16; do
        check "mpiexec-$size" hydra_meets "$size"
    done
    check mpiexec-two-programs hydra_two_programs
    check mpiexec-missing hydra_missing
    check mpiexec-rank-dies hydra_rank_dies
    check mpiexec-rounds hydra_rounds
    check mpiexec-abort hydra_abort
    if [ "${VARIANT:-gcc}" = asan ]; then
        skip mpiexec-with-mpi "MPI is preloaded, before the sanitizer"
    else
        check mpiexec-with-mpi hydra_with_mpi
    fi
    check mpiexec-tombolo-run hydra_runs_tombolo_run
else
    skip mpiexec "there is no mpiexec.hydra (Debian: mpich)"
fi
check pmi-wrong-variables pmi_wrong_variables
if ! grep -q 'define HAVE_PMIX' "$build/config.h"; then
    skip pmix "it is not in this build (Debian: libpmix-dev)"
    check without-pmix without_pmix
elif type mpirun.openmpi >/dev/null 2>&1; then
    for size in 1 2 4; do
        check "pmix-$size" prun_meets "$size"
    done
    check pmix-rounds prun_rounds
    check pmix-missing prun_missing
    check pmix-rank-dies prun_rank_dies
    check pmix-abort prun_abort
    check pmix-wrong-variables pmix_wrong_variables
else
    skip pmix "there is no mpirun.openmpi (Debian: openmpi-bin)"
fi
check info-hides-secret info_hides

# Nobody has made a region for these.
unset TMB_SERVER
export TMB_TOMBOLO=$tombolo
for size in 2 5; do
    check "host-region-rendezvous-$size" rendezvous_shares "$size"
done
check host-region-ranks-killed ranks_killed
check host-region-without-standard-files without_standard_files
if ! grep -qx '  tcp' < <("$tombolo" info); then
    skip host-region-or-tcp "the provider tcp is not built (libfabric)"
else
    check host-region-no-command without_command "$work/none" \
        "TMB_TOMBOLO=$work/none can't be started: No such file"
    check host-region-command-fails without_command false "\`false server\` did not start"
    check host-region-not-for-tcp tcp_makes_none
    if setpriv --reuid 65534 --clear-groups "$hello" >/dev/null 2>&1; then
        check host-region-two-users two_users
    else
        skip host-region-two-users "another user can't run $hello"
    fi
fi
if type mpiexec.hydra >/dev/null 2>&1; then
    for size in 2 16; do
        check "host-region-mpiexec-$size" hydra_shares "$size"
    done
    check host-region-mpiexec-killed hydra_killed
fi
finish
