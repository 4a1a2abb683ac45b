#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# MPI programs with ranks in two guests: MPICH starts them and sends messages over TCP, and
# the adapter serves their windows over the region that the guests share.
#   test/vm/mpich.sh                     the cases
#   test/vm/mpich.sh --bench [--quick]   what lock - put - unlock and fetch-and-op cost with
#                                        MPICH alone and with the adapter; --quick: with
#                                        few rounds
# BUILD is the build directory, with mpich_conformance, mpich_halo and mpich_hash; TOMBOLO
# its command.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/report.sh
. "$here/../report.sh"
# shellcheck source=test/vm/lib.sh
. "$here/lib.sh"
bench='' iters=100
ranks=2 # half of them in each guest

usage() {
    sed -n '5,8s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

boot() {
    local guest
    server_start server 64M --vectors 4
    for guest in a b; do
        guest_boot $guest high=yes memory=512 initrd=initrd-mpich.cpio \
            modules=tombolo_uio net=tap
    done
    guest_wait a && guest_wait b
    guests_part a b
}

# Without its registration cache UCX gives windows of MPICH's right addresses (mpich.sh).
plain=(-genv UCX_TLS 'tcp,self' -genv UCX_RCACHE_ENABLE n)
# The ranks' environment, and not the proxies'. Required: or a job that could not be served
# would do well, by MPICH.
adapter=("${plain[@]}" -genv LD_PRELOAD /lib/libtombolo-mpich.so -genv TMB_MPICH required
    -genv TMB_MPICH_REPORT 1 -genv TMB_IVSHMEM_DEVICE uio)

# What ranks print goes to $rig/log. Debian's MPI_Finalize hangs now and then: a rank waits
# in UCX for others, which wait for it in PMI. The windows have gone then, and what matters
# has been printed, with the adapter its report; there is another try.
run() { # SECONDS RESULT ARGUMENT...
    local try code
    for try in 1 2 3; do
        code=0
        guest_mpiexec "$1" a,b -n $ranks -ppn $((ranks / 2)) "${@:3}" \
            >"$rig/log" 2>&1 </dev/null || code=$?
        [ $code -ne 0 ] || return 0
        printed "$2" || return $code
        [ $code -eq 124 ] || printed 'MPI_Finalize: took|long.*: MPI_Finalize' || return $code
        echo "try $try of ${*:3}" | sed 's/-genv [^ ]* [^ ]* //g' >>"$rig/hangs"
        sleep 2
    done
    return $code
}

# With the adapter. It reports inside MPI_Finalize, when it has left.
served() { # SECONDS PROGRAM...
    run "$1" "^tombolo: $ranks ranks; " "${adapter[@]}" "${@:2}"
}

printed() { # PATTERN
    [ "$(grep -acE "$1" "$rig/log")" -gt 0 ]
}

in_each() {
    run 60 '^$' hostname
    cat "$rig/log"
    [ "$(sort "$rig/log" | paste -sd ' ')" = 'a b' ]
}

# All of it: two minutes at most, since with one processor each ranks do fewer rounds.
# That targets may compute meanwhile is among its cases (progress).
conformance() {
    local code=0
    served 420 mpich_conformance || code=$?
    suite_cases "two guests:" "$rig/log" "$code"
    cp "$rig/log" "$rig/log.conformance"
}

from_adapter() {
    grep -ax '# one-sided calls are those of /lib/libtombolo-mpich.so' "$rig/log.conformance"
}

# A program that checks its own result, and all of whose calls went over mapped memory.
program() { # RESULT ARGUMENT...
    if ! served 60 "${@:2}" || ! printed "$1"; then
        cat "$rig/log"
        return 1
    fi
    mapped
}

mapped() {
    local pairs=$((ranks * (ranks - 1)))
    cat "$rig/log"
    printed "^tombolo: $ranks ranks; .* ivshmem $pairs .*; $pairs mapped\$"
    awk '$1 == "tombolo:" && $2 ~ /^MPI_/ { calls++; bad += !$3 || $5 || $7 }
        END { exit !calls || bad }' "$rig/log"
}

# ---- the benchmark ----

alone() { # SECONDS PROGRAM...
    run "$1" '^mpich-fetch-op,' "${plain[@]}" "${@:2}"
}

# The program's rows for a size, with a prefix.
rows() { # WAY BYTES
    $1 120 mpi_lock_put "$2" "$2" "$iters" &&
        sed -n "s/^mpich-/$1,/p" "$rig/log" >>"$rig/rows"
}

measure() {
    local bytes
    : >"$rig/rows"
    for bytes in 4 1048576; do
        if ! rows alone $bytes || ! rows served $bytes; then
            cat "$rig/log"
            return 1
        fi
    done
}

# way,method,bytes,iters,p50 in us,...
factors() {
    awk -F, '{ key = $2 " of " $3 " bytes" }
        $1 == "alone" && !(key in alone) { alone[key] = $5; keys[++n] = key }
        $1 == "served" && !(key in ours) { ours[key] = $5 }
        END { for (i = 1; i <= n; i++)
                  printf "%-28s MPICH alone %10.1f us, with the adapter %8.1f us: %6.1f times\n",
                      keys[i], alone[keys[i]], ours[keys[i]], alone[keys[i]] / ours[keys[i]] }' \
        "$rig/rows"
}

rows_exist() {
    measure
    mapped
    factors | tee "$rig/factors"
    [ "$(grep -cE ' bytes +MPICH alone .* times$' "$rig/factors")" -eq 3 ]
}

no_complaints() { # GUEST
    ! guest_complaints "$1"
}

while [ $# -gt 0 ]; do
    case $1 in
    --bench) bench=yes ;;
    --quick) iters=3 ;;
    *) usage ;;
    esac
    shift
done
for program in mpich_conformance mpich_halo mpich_hash .libs/libtombolo-mpich.so; do
    if [ ! -e "$vm_build/$program" ]; then
        skip mpich "$program is not built (libmpich-dev)"
        finish
    fi
done
check image "$here/image.sh" mpich
[ "$failed" -eq 0 ] || finish
rig_begin
if ! net_begin; then
    skip mpich "no network of our own here: $(head -n 1 "$rig/net.log")"
    finish
fi
boot
if [ -n "$bench" ]; then
    measure
    factors
    exit
fi
check "a rank in each guest" in_each
conformance
check "two guests: the library" from_adapter
for ranks in 4 2; do
    for epochs in fence pscw lock; do
        check "$ranks ranks: halo exchange, $epochs" program ' 0 cells differ' \
            mpich_halo $epochs
    done
    check "$ranks ranks: hash table" program ' 0 entries wrong' mpich_hash
done
iters=3
check "two guests: benchmark" rows_exist
for guest in a b; do
    check "guest $guest complains of nothing" no_complaints "$guest"
done
if [ -e "$rig/hangs" ]; then
    echo "MPI_Finalize hung, after which the program ran again:"
    sed 's/^/    /' "$rig/hangs"
fi
finish
