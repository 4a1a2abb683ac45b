#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# MPI programs of one-sided communication, on MPICH alone, with the adapter, and with the
# adapter over TCP. MPICH alone shows that the programs are right.
#   test/mpich.sh [WAY...]    of plain, adapter, tcp; all. $RANKS: how many ranks
# By default 1 and 2; MPICH alone 1, since it spins, and takes minutes on a busy machine.
# shellcheck disable=SC2329 # called by name
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/report.sh
. "$here/report.sh"
build=$(realpath "${BUILD:-$here/../build}")
library=$build/.libs/libtombolo-mpich.so
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for variable in ${!TMB_@}; do
    unset "$variable"
done
hangs=$work/hangs # a line for each of MPI_Finalize, after which a program ran again

if [ ! -e "$build/mpich_conformance" ]; then
    skip mpich 'not built: no MPICH (libmpich-dev)'
    finish
fi

# A way that programs run: its name, and the environment. Without its registration cache,
# UCX 1.13.1 gives MPICH 4.0.2 the address that a window begins at; with it, one that is
# rounded down, or that of an older window there.
ways=("$@")
# shellcheck disable=SC2034 # by name
plain=(UCX_RCACHE_ENABLE=n)
if [ -e "$library" ]; then
    [ $# -gt 0 ] || ways=(plain adapter tcp)
    runtime=$(ldd "$library" | sed -nE 's/.* => (.*lib(asan|ubsan)\.[^ ]*) .*/\1:/p' | tr -d '\n')
    adapter=("LD_PRELOAD=$runtime$library" "LD_LIBRARY_PATH=$build/.libs"
        "TMB_TOMBOLO=$build/tombolo" "TMB_MPICH_REPORT=$work/report")
    if [ -n "$runtime" ]; then
        # Sanitizers come first, and want malloc and signals, which UCX takes, too. What
        # MPICH leaves behind is not ours.
        adapter+=(UCX_MEM_EVENTS=n UCX_ERROR_SIGNALS= UCX_RCACHE_ENABLE=n
            "ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0:verify_asan_link_order=0")
        RANKS=2
    fi
    # shellcheck disable=SC2034
    tcp=("${adapter[@]}" TMB_PROVIDER=tcp)
else
    ways=(plain)
    skip mpich-adapter 'adapter not built'
fi

# Run under a way's environment; what is printed goes to $work/log. Debian's MPI_Finalize
# hangs now and then, when all has been done: the program has printed its result, and gets
# another chance.
run() { # WAY RANKS RESULT PROGRAM...
    local -n environment=$1
    local ranks=$2 result=$3 try status
    for try in 1 2 3; do
        status=0
        env "${environment[@]}" timeout -k 5 "$seconds" mpiexec.hydra -n "$ranks" \
            "${@:4}" >"$work/log" 2>&1 </dev/null || status=$?
        if [ $status -eq 0 ] || ! hung_at_end "$1" "$result" $status; then
            return $status
        fi
        echo "$1, $ranks ranks: ${4##*/}, try $try" >>"$hangs"
    done
    return $status
}

# The result is there, and then time was up; or MPICH alone made nothing of a good end.
hung_at_end() { # WAY RESULT STATUS
    grep -qE "$2" "$work/log" || return 1
    [ "$3" -eq 124 ] || grep -qE 'MPI_Finalize: took|long.*: MPI_Finalize' "$work/log" ||
        { [ "$1" = plain ] && ! grep -qE '^not ok|[1-9][0-9]* failed' "$work/log"; }
}

# The conformance suite: each of its cases counts.
conformance() { # WAY RANKS
    local word name status=0 from="$1, $2 ranks:"
    run "$1" "$2" '^[0-9]+ passed, ' "$build/mpich_conformance" || status=$?
    while read -r word name; do
        case $word in
        ok) pass "$from $name" ;;
        not) fail "$from ${name#ok }" ;;
        esac
    done < <(grep -E '^(not )?ok ' "$work/log" || true)
    # Where the calls came from is what the way says.
    if { [ "$1" = plain ] && grep -q '^# .*/libmpich\.so' "$work/log"; } ||
        { [ "$1" != plain ] && grep -q '^# .*/libtombolo-mpich\.so' "$work/log"; }; then
        pass "$from the library"
    else
        fail "$from the library" "$(grep '^# one-sided' "$work/log" || echo unknown)"
    fi
    [ "$2" -eq 1 ] || check "$from the route" went_by "$1"
    if [ $status -ne 0 ] || ! grep -qE '^[1-9][0-9]* passed, 0 failed, ' "$work/log"; then
        fail "$from ends well" "exit code $status"
        grep -vE '^ok ' "$work/log" | tail -n 40 | sed 's/^/    /'
    fi
}

# What ranks of one host do, they do in memory; the report says so.
went_by() { # WAY
    case $1 in
    plain) [ ! -e "$work/report" ] ;;
    adapter) grep 'pairs by provider: ivshmem [1-9][0-9]* tcp 0;' "$work/report" ;;
    tcp) grep 'pairs by provider: ivshmem 0 tcp [1-9]' "$work/report" ;;
    esac
}

# A program that checks its own result, which it prints in a line.
program() { # WAY RANKS RESULT PROGRAM...
    if ! run "$@" || ! grep -qE "$3" "$work/log"; then
        cat "$work/log"
        return 1
    fi
}

programs() { # WAY RANKS
    local epochs from="$1, $2 ranks:" interface
    for epochs in fence pscw lock; do
        check "$from halo exchange, $epochs" program "$1" "$2" ' 0 cells differ' \
            "$build/mpich_halo" $epochs
    done
    check "$from hash table" program "$1" "$2" ' 0 entries wrong' "$build/mpich_hash"
    for interface in "${interfaces[@]}"; do
        check "$from Fortran, $interface" program "$1" "$2" ': 0 wrong' \
            "$work/rma-$interface"
    done
    [ ! -e "$work/coarray" ] ||
        check "$from coarrays" program "$1" "$2" ' 0 wrong' "$work/coarray"
}

# ---- Fortran, which automake does not build here ----

fortran() { # INTERFACE
    mkdir -p "$work/mod-$1"
    # Buffers of all types are handed to one procedure: -w.
    mpifort.mpich -O2 -g -w "-DUSE_$1" "-J$work/mod-$1" "$here/mpich/rma.F90" \
        -o "$work/rma-$1"
}

coarrays() {
    caf.mpich -O2 -g -Wall "$here/mpich/coarray.f90" -o "$work/coarray"
}

interfaces=()
if command -v mpifort.mpich >/dev/null; then
    for interface in MPIF_H MPI MPI_F08; do
        check "build Fortran, $interface" fortran "$interface"
        [ ! -e "$work/rma-$interface" ] || interfaces+=("$interface")
    done
else
    skip mpich-fortran 'no mpifort.mpich (gfortran)'
fi
if command -v caf.mpich >/dev/null; then
    check 'build coarrays' coarrays
else
    skip mpich-coarrays 'no caf.mpich (libcoarrays-mpich-dev)'
fi

seconds=240
for way in "${ways[@]}"; do
    [ "$way" = plain ] && default=1 || default='1 2'
    for ranks in ${RANKS:-$default}; do
        conformance "$way" "$ranks"
        programs "$way" "$ranks"
    done
done
if [ -e "$hangs" ]; then
    echo "MPI_Finalize hung $(wc -l <"$hangs") times, after which the program ran again:"
    sed 's/^/    /' "$hangs"
fi
finish
