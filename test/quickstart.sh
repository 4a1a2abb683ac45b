#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# The first command that people type: examples/quickstart.sh, which builds in build/.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=test/report.sh
. test/report.sh
output=$(mktemp)
trap 'rm -f "$output"' EXIT

quickstart() {
    timeout 500 examples/quickstart.sh >"$output" || { cat "$output" && false; }
}

greetings() {
    [ "$(grep -c '^rank [0-3] of 4 got: hello from rank [0-3]$' "$output")" -eq 4 ]
}

# Both tables have a row for each power of two from 4 B to 1 MiB.
tables() {
    local size
    for size in {4,8,16,32,64,128,256,512}' B' {1,2,4,8,16,32,64,128,256,512}' KiB' '1 MiB'; do
        [ "$(grep -cE "^(put)? +$size " "$output")" -eq 2 ]
    done
}

check quickstart quickstart
check greetings greetings
check tables tables
finish
