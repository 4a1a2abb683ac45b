#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Ranks that Slurm's srun starts, by PMI-1 (its pmi2 plugin speaks that, too) and by PMIx.
# The cluster is this machine: a controller and a node's daemon, on loopback, for as long
# as this runs.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/report.sh
. "$here/report.sh"
build=$(realpath "${BUILD:-$here/../build}")
tombolo=$(realpath "${TOMBOLO:-$build/tombolo}")
hello=$build/hello_put
for variable in ${!TMB_@} ${!SLURM_@} ${!PMI_@}; do
    unset "$variable"
done
export TMB_PROVIDER=tcp # as on a cluster's nodes; how ranks start is what is tried
PATH=$PATH:/usr/sbin:/sbin
work=$(mktemp -d)
daemons=()
cleanup() {
    [ ${#daemons[@]} -eq 0 ] || kill "${daemons[@]}" 2>/dev/null || true
    wait
    rm -rf "$work"
}
trap cleanup EXIT

# ---- a cluster ----

# Two ports that nobody has.
ports_choose() {
    python3 - <<'END'
import socket
sockets = [socket.socket() for _ in range(2)]
for s in sockets:
    s.bind(("127.0.0.1", 0))
print(*(s.getsockname()[1] for s in sockets))
END
}

configure() {
    local controller node
    read -r controller node < <(ports_choose)
    export SLURM_CONF=$work/slurm.conf
    mkdir "$work/state" "$work/spool"
    cat >"$SLURM_CONF" <<END
ClusterName=tombolo
SlurmctldHost=$(hostname)(127.0.0.1)
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
AuthType=auth/none
CredType=cred/none
SlurmctldPort=$controller
SlurmdPort=$node
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd.pid
SlurmctldLogFile=$work/slurmctld.log
SlurmdLogFile=$work/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/linear
SchedulerType=sched/builtin
SwitchType=switch/none
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
NodeName=node1 NodeHostname=$(hostname) NodeAddr=127.0.0.1 CPUs=$(nproc)
PartitionName=all Nodes=node1 Default=YES MaxTime=INFINITE State=UP
END
}

is_idle() {
    [ "$(sinfo -h -o %t 2>/dev/null)" = idle ]
}

# Until a command succeeds; 60 s at most.
await() { # COMMAND...
    for _ in {1..300}; do
        ! "$@" || return 0
        sleep 0.2
    done
    echo "waited in vain for: $*"
    tail -n 20 "$work"/*.log "$work"/*.out
    return 1
}

cluster_start() {
    configure
    slurmctld -D >"$work/slurmctld.out" 2>&1 </dev/null &
    daemons+=($!)
    slurmd -D -N node1 >"$work/slurmd.out" 2>&1 </dev/null &
    daemons+=($!)
}

# ---- ranks ----

slurm() { # PLUGIN RANKS COMMAND...
    code=0
    timeout -k 5 120 srun --overcommit --mpi="$1" -n "$2" -- "${@:3}" \
        >"$work/out" 2>"$work/err" </dev/null || code=$?
}

show() {
    echo "code $code"
    cat "$work/out" "$work/err"
    return 1
}

ended_well() {
    [ "$code" -eq 0 ] || show
}

# It failed, and was not just stopped for taking too long.
ended_badly() {
    if [ "$code" -eq 0 ] || [ "$code" -eq 124 ]; then
        show
    fi
}

# The plugin by which a back end's ranks are started.
plugin() { # BACKEND
    [ "$1" = pmix ] && echo pmix || echo pmi2
}

meets() { # BACKEND RANKS
    local rank size=$2
    slurm "$(plugin "$1")" "$size" env TMB_TCP_INTERFACE=lo "$hello"
    ended_well
    [ ! -s "$work/err" ] || show
    for ((rank = 0; rank < size; rank++)); do
        grep -qx "rank $rank of $size got: hello from rank $(((rank + size - 1) % size))" \
            "$work/out" || show
    done
    [ "$(wc -l <"$work/out")" -eq "$size" ]
}

# Exchanges of all sizes by that back end; the ranks agree on the job's name.
rounds() { # BACKEND
    local rank
    slurm "$(plugin "$1")" 3 "$build/bootstrap_rounds"
    ended_well
    for rank in 0 1 2; do
        grep -qE "^$1 $rank of 3 in .*: 0$" "$work/out" || show
    done
    [ "$(sed 's/.* in //' "$work/out" | sort -u | wc -l)" -eq 1 ]
}

# One rank ends all, which wait for it.
aborts() { # BACKEND
    local start=$SECONDS
    slurm "$(plugin "$1")" 3 "$build/bootstrap_rounds" 7
    ended_badly
    [ $((SECONDS - start)) -lt 60 ]
}

# A rank that does not come.
missing() { # BACKEND
    # shellcheck disable=SC2016 # the ranks' own variables
    slurm "$(plugin "$1")" 2 env TMB_INIT_TIMEOUT=2s sh -c \
        '[ "$SLURM_PROCID" = 0 ] || exec sleep 6; exec "$0"' "$hello"
    ended_badly
    grep -qF "not all ranks came in time" "$work/err" || show
}

routes() {
    slurm pmi2 3 env TMB_TCP_INTERFACE=lo "$tombolo" info --job
    ended_well
    grep -qx '  from 0-2 to 0-2: tcp' "$work/out" || show
    [ "$(grep -cE '^ +[0-2] .* alive$' "$work/out")" -eq 3 ]
}

# Without a plugin each is a job of its own; with a port they are one.
no_plugin() {
    slurm none 2 env TMB_TCP_INTERFACE=lo "$hello"
    [ "$(grep -c 'rank 0 of 1' "$work/out")" -eq 2 ] || show
    local port
    read -r port _ < <(ports_choose)
    # shellcheck disable=SC2016 # the ranks' own variables
    slurm none 3 env TMB_TCP_INTERFACE=lo TMB_RENDEZVOUS="127.0.0.1:$port" sh -c \
        'TMB_RANK=$SLURM_PROCID TMB_SIZE=$SLURM_NTASKS exec "$0"' "$hello"
    ended_well
    [ "$(grep -c ' of 3 got: hello' "$work/out")" -eq 3 ] || show
}

[ -x "$hello" ] || { fail slurm "there is no $hello: build first"; finish; }
for command in slurmctld slurmd srun; do
    type "$command" >/dev/null 2>&1 && continue
    skip slurm "there is no $command (Debian: slurmctld, slurmd, slurm-client)"
    finish
done
if ! grep -qx '  tcp' < <("$tombolo" info); then
    skip slurm "the provider tcp is not built (libfabric)"
    finish
fi
cluster_start
check cluster await is_idle
backends=(pmi)
if ! grep -q 'define HAVE_PMIX' "$build/config.h"; then
    skip slurm-pmix "PMIx is not in this build (Debian: libpmix-dev)"
elif ! grep -qw pmix < <(srun --mpi=list 2>&1); then
    skip slurm-pmix "srun has no plugin pmix (Debian: slurm-wlm-basic-plugins)"
else
    backends+=(pmix)
fi
for backend in "${backends[@]}"; do
    for size in 1 2 4; do
        check "$backend-$size" meets "$backend" "$size"
    done
    check "$backend-rounds" rounds "$backend"
    check "$backend-abort" aborts "$backend"
    check "$backend-missing" missing "$backend"
done
check info-job routes
check no-plugin no_plugin
finish
