#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# `make check` of a variant, with each cmocka case counted as one.
set -euo pipefail
# shellcheck source=test/report.sh
. "$(dirname "$0")/report.sh"
LSAN_OPTIONS=suppressions=$(realpath "$(dirname "$0")")/lsan.supp:print_suppressions=0
export LSAN_OPTIONS
cd "$BUILD"

arguments=()
if [ -n "${UNDER:-}" ]; then
    arguments+=("LOG_COMPILER=$BUILD/libtool --quiet --mode=execute $UNDER")
    export LD_LIBRARY_PATH=${UNDER_LIBRARIES:-}
fi
make -j2 -k check "${arguments[@]}" >unit.log 2>&1 || true

# One line per case: ok, failed or skipped, its name, and a skip's reason, which is the
# last line that the case printed. Failures come last, before what the program printed.
cases() { # LOG
    awk '/^\[ RUN      \] / { name = $4; reason = ""; next }
         name == "" { next }
         $4 != name { reason = $0; next }
         /^\[       OK \] / { print "ok", name; name = "" }
         /^\[  FAILED  \] / { print "failed", name; name = "" }
         /^\[  SKIPPED \] / { print "skipped", name, reason; name = "" }
         END { if (name != "") print "failed", name }' "$1"
}

program() { # LOG RESULT
    local program=${1%.log} failures=$failed word name reason
    while read -r word name reason; do
        case $word in
        ok) pass "$program $name" ;;
        failed) fail "$program $name" ;;
        skipped) skip "$program $name" "$reason" ;;
        esac
    done < <(cases "$1" | sort -s -r -k 1,1)
    case $2 in
    PASS) ;;
    SKIP) skip "$program" "$(tail -n 1 "$1")" ;;
    *) [ "$failed" -gt "$failures" ] || fail "$program" "$2" ;;
    esac
    [ "$failed" -eq "$failures" ] || tail -n 60 "$1" | sed 's/^/    /'
}

while read -r results; do
    program "${results%.trs}.log" "$(sed -n 's/^:global-test-result: //p' "$results")"
done < <(find . -name '*.trs' -printf '%P\n' | sort)
if [ $((passed + failed)) -eq 0 ]; then
    fail "make check" "it ran no test"
    tail -n 40 unit.log
fi
finish
