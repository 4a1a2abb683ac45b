#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Nothing that the tests started or made is left: processes, shared memory, sockets.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=test/report.sh
. test/report.sh

processes() {
    local found=0 process name line
    for process in /proc/[0-9]*; do
        name=$(readlink "$process/exe") || continue
        line=$(tr '\0' ' ' <"$process/cmdline")
        [[ $name == "$PWD"/build/test/* || $name == */qemu-* && $line == *"$TMPDIR"* ]] ||
            continue
        echo "${process#/proc/}: $line"
        found=1
    done
    return "$found"
}

files() { # in the directories that were made for the tests
    local found
    found=$(find "$TMPDIR" "$XDG_RUNTIME_DIR" -mindepth 1 &&
        find /dev/shm -name '*tombolo*' -newer build/test-logs/begin)
    echo "$found"
    [ -z "$found" ]
}

check processes processes
check files files
finish
