#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# How MPI programs start and end with the adapter; who stays out of it; and that no
# one-sided call of Fortran's passes it by.
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
trap 'rm -rf "$work"' EXIT
# MPICH's own pieces may be many on few CPUs; they need not see InfiniBand.
export UCX_LOG_LEVEL=error

library=$build/.libs/libtombolo-mpich.so
if [ ! -e "$library" ]; then
    skip mpich "built without the MPICH adapter (libmpich-dev)"
    finish
fi

mpicc.mpich -O1 -g -o "$work/start" "$here/mpich/start.c"
start=$work/start
mark=$$-$RANDOM

# ---- helpers ----

# Run a command with a time limit; its code in $code, its output in files out and err.
try() { # COMMAND...
    code=0
    timeout -k 5 120 "$@" >"$work/out" 2>"$work/err" </dev/null || code=$?
}

# A command that is to fail, and say why. Of a rank that ends at once Hydra now and then
# forwards nothing: then there is another try.
try_failing() { # COMMAND...
    local count
    for count in 1 2 3; do
        try "$@"
        [ ! -s "$work/err" ] || break
        echo "try $count: nothing on stderr"
    done
}

served() { # RANKS ARGUMENT... - by `tombolo mpich`, with a report
    rm -f "$work/report"
    START_MARK=$mark try "$tombolo" mpich --report="$work/report" -- mpiexec.hydra -n "$1" "${@:2}"
}

code_is() { # CODE
    [ "$code" -eq "$1" ] || { echo "exit code $code, not $1"; cat "$work/out" "$work/err"; false; }
}

right() {
    code_is 0
    [ "$(cat "$work/out")" = right ] || { cat "$work/out" "$work/err"; false; }
}

quiet() {
    [ ! -s "$work/err" ] || { cat "$work/err"; false; }
}

says() { # TEXT - on one line of stderr, once
    [ "$(grep -cF -- "$1" "$work/err")" -eq 1 ] || { echo "not said once: $1"; cat "$work/err"; false; }
}

# A call's numbers in the report: mapped, remote, to MPICH.
counts() { # CALL
    awk -v call="$1" '$2 == call { print $3, $5, $7 }' "$work/report"
}

counts_are() { # CALL COUNTS
    [ "$(counts "$1")" = "$2" ] || { echo "$1: $(counts "$1"), not $2"; cat "$work/report"; false; }
}

# Neither a rank nor the server of the job's own region, which has the memory, is left a
# moment later: whoever has this run's mark in its environment.
nothing_left() {
    for _ in {1..400}; do
        grep -lsa "START_MARK=$mark" /proc/[0-9]*/environ >"$work/marked" || true
        [ -s "$work/marked" ] || return 0
        sleep 0.05
    done
    cat "$work/marked"
    false
}

# ---- jobs ----

ring_is_served() {
    served 4 "$start" ring
    right
    quiet
    nothing_left
    counts_are MPI_Win_allocate "4 0 0"
    counts_are MPI_Put "4 0 0"
    counts_are MPI_Win_free "4 0 0"
    grep -q '4 ranks; pairs by provider: ivshmem 12 ' "$work/report"
}

alone() {
    try env LD_PRELOAD="$library" "$start" ring
    right
    quiet
}

without_launcher_command() {
    try env LD_PRELOAD="$library" TMB_TOMBOLO="$tombolo" mpiexec.hydra -n 2 "$start" ring
    right
    quiet
}

linked() {
    mpicc.mpich -o "$work/linked" "$here/mpich/start.c" -L"$build/.libs" \
        -Wl,--no-as-needed,-rpath,"$build/.libs" -ltombolo-mpich
    try env TMB_MPICH_REPORT="$work/report" TMB_TOMBOLO="$tombolo" \
        mpiexec.hydra -n 2 "$work/linked" ring
    right
    counts_are MPI_Put "2 0 0"
}

mode() { # MODE
    served 3 "$start" "$1"
    right
    quiet
}

late_is_served() {
    mode late
    counts_are MPI_Win_free "3 0 0"
}

spawned() {
    served 2 "$start" spawn
    right
    counts_are MPI_Win_allocate "2 0 2"
}

report_on_stderr() {
    try env LD_PRELOAD="$library" TMB_MPICH_REPORT=1 mpiexec.hydra -n 2 "$start" ring
    right
    grep -q 'MPI_Put .* 2 ' "$work/err"
}

report_nowhere() {
    try env LD_PRELOAD="$library" TMB_MPICH_REPORT="$work/no/report" mpiexec.hydra -n 2 "$start" ring
    right
    says "TMB_MPICH_REPORT=$work/no/report: the file can't be written"
}

# ---- who stays out ----

to_mpich() {
    right
    [ "$(grep -c tombolo: "$work/err")" -eq 1 ] || { cat "$work/err"; false; }
}

off() {
    try env LD_PRELOAD="$library" TMB_MPICH=off mpiexec.hydra -n 2 "$start" ring
    right
    quiet
}

off_on_one() {
    try env LD_PRELOAD="$library" mpiexec.hydra -n 1 "$start" ring : \
        -n 2 -env TMB_MPICH off "$start" ring
    to_mpich
    says "rank 1-2 of this job has no libtombolo-mpich, or TMB_MPICH=off"
}

not_on_first() {
    try mpiexec.hydra -n 1 "$start" ring : -n 2 -env LD_PRELOAD "$library" "$start" ring
    to_mpich
    says "rank 0 of this job has no libtombolo-mpich"
}

required_partly() {
    try_failing mpiexec.hydra -n 2 -env LD_PRELOAD "$library" -env TMB_MPICH required \
        "$start" ring : -n 1 "$start" ring
    code_is 1
    says "rank 2 of this job has no libtombolo-mpich"
}

no_region() {
    try env LD_PRELOAD="$library" TMB_PROVIDER=ivshmem TMB_SERVER=/nonexistent \
        mpiexec.hydra -n 2 "$start" ring
    right
    says "MPI's one-sided calls go to MPICH: Tombolo could not be joined"
}

required_no_region() {
    try_failing env LD_PRELOAD="$library" TMB_PROVIDER=ivshmem TMB_SERVER=/nonexistent \
        TMB_MPICH=required mpiexec.hydra -n 2 "$start" ring
    code_is 1
    says "TMB_MPICH=required, but Tombolo could not be joined"
}

wrong_value() {
    try env LD_PRELOAD="$library" TMB_MPICH=maybe mpiexec.hydra -n 1 "$start" ring
    right
    says "TMB_MPICH=maybe: must be one of on|off|required"
}

# ---- programs that have no MPICH ----

no_mpi() {
    try env LD_PRELOAD="$library" sh -c 'echo right | sed s/x/y/'
    right
    quiet
    try env LD_PRELOAD="$library" LD_BIND_NOW=1 sh -c 'echo right | sed s/x/y/'
    right
    quiet
    # neither MPICH nor libfabric comes along
    env LD_PRELOAD="$library" cat /proc/self/maps >"$work/out"
    grep -q libtombolo-mpich "$work/out"
    [ "$(grep -cE 'libmpich\.|libfabric' "$work/out")" -eq 0 ]
}

all_weak() {
    [ -z "$(nm -D --undefined-only "$library" | awk '$1 == "U" && $2 ~ /MPI/')" ]
    readelf -d "$library" >"$work/out"
    [ "$(grep -cE 'NEEDED.*(mpi|fabric)' "$work/out")" -eq 0 ]
}

# With no headers of Open MPI's.
open_mpi() {
    cat >"$work/open.c" <<'END'
#include <stdio.h>
int MPI_Init(int *, char ***);
int MPI_Finalize(void);
int main(void)
{
    MPI_Init(0, 0);
    puts("right");
    return MPI_Finalize();
}
END
    gcc -o "$work/open" "$work/open.c" -l:libmpi.so.40
    try env LD_PRELOAD="$library" OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 \
        "$work/open"
    right
    says "this program has Open MPI, and not MPICH: it starts without libtombolo-mpich.so"
}

# ---- deaths ----

rank_dies() {
    served 3 "$start" die
    [ "$code" -ne 0 ]
    nothing_left
}

# ---- Fortran ----

# Each routine of mpi_f08 that calls PMPI_X of itself, where the adapter has an MPI_X.
f08_routines() {
    local fort
    fort=$(ldconfig -p | awk '/libmpichfort.so.12/ && !n++ { print $NF }')
    nm -D --defined-only "$library" | awk '{ print $3 }' | sort >"$work/ours"
    objdump -d --no-show-raw-insn "$fort" | awk '
        /^[0-9a-f]+ <mpi_.*_f08(_large)?_(@@Base)?>:/ { split($2, name, /[<>@]/); routine = name[2] }
        /^$/ { routine = "" }
        routine && /<PMPI_[A-Za-z_]+@plt>/ {
            match($0, /PMPI_[A-Za-z_]+/)
            print routine, substr($0, RSTART + 1, RLENGTH - 1)
        }' >"$work/bypasses"
    grep -q 'mpi_win_lock_f08_ MPI_Win_lock' "$work/bypasses"
    local missing=0 routine call
    while read -r routine call; do
        if grep -qx "$call" "$work/ours" && ! grep -qx "$routine" "$work/ours"; then
            echo "missing: $routine, which calls P$call"
            missing=1
        fi
    done <"$work/bypasses"
    [ "$missing" -eq 0 ]
}

fortran() { # DEFINE
    mpifort.mpich -O1 -D"$1" -o "$work/rma-$1" "$here/mpich/rma.F90" -J "$work"
    served 2 "$work/rma-$1"
    code_is 0
    local call
    for call in Win_create Win_allocate Win_create_dynamic Win_free Win_attach Win_detach Put Get \
        Accumulate Get_accumulate Fetch_and_op Compare_and_swap Rput Rget Raccumulate \
        Rget_accumulate Win_fence Win_start Win_complete Win_post Win_wait Win_test Win_lock \
        Win_unlock Win_lock_all Win_unlock_all Win_flush Win_flush_all Win_flush_local \
        Win_flush_local_all Win_sync; do
        [ -n "$(counts "MPI_$call")" ] || { echo "MPI_$call passed by"; cat "$work/report"; false; }
    done
    awk '$2 ~ /^MPI_/ && $7 > 0 { print "to MPICH: " $0; bad = 1 } END { exit bad }' "$work/report"
}

check "a job is served" ring_is_served
check "a program alone" alone
check "preloaded by hand" without_launcher_command
check "linked in front of MPI" linked
check "no one-sided call" mode none
check "with threads" mode threads
check "a window that is freed inside MPI_Finalize" late_is_served
try mpiexec.hydra -n 2 "$start" spawn
if [ "$code" -eq 0 ]; then
    check "spawned processes" spawned
else
    skip "spawned processes" "MPICH alone can't spawn here: $(grep -m1 -o 'Error in spawn call' "$work/err" || true)"
fi
check "report on stderr" report_on_stderr
check "report where no file can be" report_nowhere
check "TMB_MPICH=off" off
check "TMB_MPICH=off on some ranks" off_on_one
check "not preloaded on rank 0" not_on_first
check "required, but not preloaded on all" required_partly
check "no region" no_region
check "required, but no region" required_no_region
check "a value that TMB_MPICH can't have" wrong_value
check "programs without MPI" no_mpi
check "MPICH is referred to weakly" all_weak
if ldconfig -p | awk '/libmpi\.so\.40/ { found = 1 } END { exit !found }'; then
    check "a program of Open MPI" open_mpi
else
    skip "a program of Open MPI" "there is no libmpi.so.40 (Debian: openmpi-bin)"
fi
check "a rank dies" rank_dies
check "mpi_f08: no routine passes by" f08_routines
for interface in USE_MPIF_H USE_MPI USE_MPI_F08; do
    check "Fortran, -D$interface" fortran $interface
done
finish
