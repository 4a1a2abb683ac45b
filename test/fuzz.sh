#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#   test/fuzz.sh [TARGET...]
# Run each fuzz target for FUZZ_SECONDS from its corpus. An input that fails is kept in
# the build directory and named. A target that needs more than the library names the
# sources in a line "fuzz-sources:" of its own.
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=test/report.sh
. "$top/test/report.sh"
seconds=${FUZZ_SECONDS:-15}
work=$BUILD/fuzz
mkdir -p "$work"
cd "$work"

nettle=()
! grep -q 'define HAVE_NETTLE' "$BUILD/config.h" || nettle=(-lnettle)
fabric=()
[ ! -e "$BUILD/.libs/libtmbtcp.a" ] || fabric=(-lfabric)

build_target() { # NAME SOURCE
    local more
    read -ra more < <(sed -n 's|^/\* fuzz-sources: \(.*\) \*/$|\1|p' "$2") || true
    clang -std=gnu11 -D_GNU_SOURCE -O1 -g -fsanitize=fuzzer,address,undefined \
        -fno-sanitize-recover=all -Wall -Wextra -Werror -I"$BUILD" \
        -I"$top/core/include" -o "$1" "$2" "${more[@]/#/$top/}" \
        -Wl,--start-group "$BUILD"/.libs/libtmb*.a -Wl,--end-group -lhwloc -lpthread -lm \
        "${nettle[@]}" "${fabric[@]}"
}

run_target() { # NAME
    local corpus=("$top/test/fuzz/corpus/$1") time=$seconds
    # The slowest: 65 handshakes a second on a busy machine.
    [ "$1" != fuzz_handshake ] || time=$((3 * seconds))
    [ -d "${corpus[0]}" ] || corpus=()
    mkdir -p "found-$1"
    timeout -k 5 $((time + 60)) "./$1" -max_total_time="$time" -timeout=10 \
        -rss_limit_mb=2048 -close_fd_mask=3 -print_final_stats=1 \
        -artifact_prefix="$work/failed-$1-" "found-$1" "${corpus[@]}" >"$1.log" 2>&1 || {
        grep -v '^#' "$1.log" | tail -n 60
        return 1
    }
    # A target that runs into a wall at once has shown nothing.
    [ "$(sed -n 's/^stat::number_of_executed_units: *//p' "$1.log")" -gt 1000 ]
}

if [ $# -eq 0 ]; then
    mapfile -t all < <(cd "$top/test/fuzz" && printf '%s\n' fuzz_*.c)
    set -- "${all[@]%.c}"
fi
for name in "$@"; do
    check "$name builds" build_target "$name" "$top/test/fuzz/$name.c"
    check "$name" run_target "$name"
done
finish
