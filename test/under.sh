#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Stands in for `tombolo` where programs run under something else, which is $UNDER: an
# emulator or valgrind. `tombolo run` itself is $UNDER_RUN, if given, and otherwise runs
# natively; what it starts, and the other commands of an emulated build, run under it.
# libtool finds the real programs behind its wrapper scripts.
set -euo pipefail
read -ra prefix <<<"$UNDER"
execute=("$BUILD/libtool" --quiet --mode=execute)
command=("$BUILD/tombolo")
if [ -n "${UNDER_LIBRARIES:-}" ]; then
    export LD_LIBRARY_PATH=$UNDER_LIBRARIES${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
fi
if [ "${1:-}" = run ]; then
    command=("${UNDER_RUN:-$BUILD/tombolo}")
    while [ $# -gt 0 ]; do
        command+=("$1")
        shift
        [ "${command[-1]}" != -- ] || break
    done
    [ $# -eq 0 ] || command+=("${prefix[@]}")
elif [ -n "${UNDER_RUN:-}" ]; then
    command=("${prefix[@]}" "${command[@]}")
fi
exec "${execute[@]}" "${command[@]}" "$@"
