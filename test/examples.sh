#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# The examples check their own results: they exit with 0 if those are right.
set -euo pipefail
# shellcheck source=test/report.sh
. "$(dirname "$0")/report.sh"
build=${BUILD:-build}
tombolo=${TOMBOLO:-$build/tombolo}

for example in hello_put shared_counter halo2d work_queue; do
    for ranks in 1 2 4; do
        check "$example, $ranks ranks" timeout 120 "$tombolo" run -n $ranks -- \
            "$build/$example"
    done
    lines=$(wc -l <"$(dirname "$0")/../examples/$example.c")
    check "$example has at most 60 lines" [ "$lines" -le 60 ]
done
finish
