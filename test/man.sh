#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# The man pages: well-formed, complete, true to the header, and with examples that
# compile and run. $BUILD is the build directory, $TOMBOLO its command.
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=test/report.sh
. "$top/test/report.sh"
build=$(realpath "${BUILD:-$top/build}")
tombolo=${TOMBOLO:-$build/tombolo}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

stage() {
    make -s -C "$build" install-data DESTDIR="$work/stage"
}

pages() { # COMMAND...
    python3 "$top/test/man/pages.py" "$top" "$work/stage" "$@"
}

variables() {
    "$tombolo" info --json |
        python3 -c 'import json, sys
for variable in json.load(sys.stdin)["variables"]: print(variable["name"])'
}

of_variables() { # COMMAND
    variables | pages "$1"
}

of_this_version() {
    "$tombolo" --version | pages version
}

lint() { # PAGE
    mandoc -Tlint -Wwarning "$1"
}

# The formatter of most systems prints its complaints, and fails at none.
formats() { # PAGE
    local complaints
    complaints=$(groff -t -man -Tutf8 -ww -rLL=78n -z "$1" 2>&1)
    echo "$complaints"
    [ -z "$complaints" ]
}

compiles() { # PROGRAM
    "${CC:-gcc}" -std=gnu11 -Wall -Wextra -Werror -I"$top/core/include" "$1" -o "${1%.c}" \
        -L"$build/.libs" -Wl,-rpath,"$build/.libs" -ltombolo
}

runs() { # PROGRAM
    [ -x "${1%.c}" ] || { echo "it was not compiled" && return 1; }
    timeout 60 "$tombolo" run -n 2 -- "${1%.c}"
}

check install stage
for page in "$top"/core/man/*.[1-8] "$top"/{providers,adapters}/*/man/*.[1-8]; do
    check "lint ${page##*/}" lint "$page"
    check "format ${page##*/}" formats "$page"
done
check calls pages calls
check synopsis pages synopsis
check errors pages errors
check references pages references
check variables of_variables variables
check names of_variables names
check version of_this_version
mkdir "$work/examples"
check examples pages examples "$work/examples"
for program in "$work"/examples/*.c; do
    name=${program##*/}
    check "${name%.c} compiles" compiles "$program"
    check "${name%.c} runs" runs "$program"
done
finish
