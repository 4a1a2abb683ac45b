#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# What every source file must be: formatted, licensed, of modest size, in its layer.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=test/report.sh
. test/report.sh

function_lines=40
file_lines=400
# FILE:FUNCTION of each function that is longer, with the reason beside it.
long_functions=()

found=$(mktemp)
trap 'rm -f "$found"' EXIT
directories=()
for directory in core providers adapters examples test; do
    [ ! -d $directory ] || directories+=("$directory")
done
mapfile -t code < <(find "${directories[@]}" -name '*.[ch]' | sort)
mapfile -t scripts < <(find autogen.sh .ci "${directories[@]}" \
    -type f \( -name '*.sh' -o -perm /u+x \) | sort)
mapfile -t sources < <(find autogen.sh configure.ac Makefile.am .ci .clang-format \
    "${directories[@]}" -type f \
    ! -path '*/corpus/*' ! -name '*.md' ! -name '*.in' ! -name '.*.swp' ! -name COPYING | sort)

each_licensed() {
    ! grep -L 'SPDX-License-Identifier: ' "${sources[@]}" | grep .
}

hwloc_in_one_place() {
    ! grep -ln '#include <hwloc' "${code[@]}" | grep -v '^core/topology\.c$'
}

# Layers: core knows no provider, and a provider knows no other.
layers() {
    ! grep -nE '#include "(\.\./)*providers/' core/*.[ch] core/bootstrap/*.[ch]
}

no_leftover_notes() {
    ! grep -nE '\b(TO''DO|FIX''ME|XX''X|HA''CK)\b' "${sources[@]}"
}

top_level() {
    local name
    # What is generated there is ignored by git.
    for name in *; do
        case $name in
        core | providers | adapters | examples | test) ;;
        autogen.sh | configure.ac | Makefile.am) ;;
        README.md | NEWS.md | CONTRIBUTING.md | COPYING*) ;;
        *) git check-ignore -q "$name" || git check-ignore -q "$name/" || echo "$name" ;;
        esac
    done >"$found"
    ! grep . "$found"
}

# FILE:FUNCTION LINES of each function. The format puts a function's braces, and no
# others, alone in the first column.
functions() {
    awk 'FNR == 1 { begin = 0 }
         /^[a-zA-Z_].*\(/ { name = $0; sub(/\(.*/, "", name); sub(/.*[ *]/, "", name) }
         /^{$/ { begin = FNR }
         /^}$/ && begin { print FILENAME ":" name, FNR - begin - 1; begin = 0 }' "${code[@]}"
}

function_length() {
    local name lines expected bad=0
    while read -r name lines; do
        expected=0
        [[ " ${long_functions[*]} " != *" $name "* ]] || expected=1
        if ((lines > function_lines && !expected)); then
            echo "$name: $lines lines"
            bad=1
        elif ((lines <= function_lines && expected)); then
            echo "$name: $lines lines, needs no exception"
            bad=1
        fi
    done < <(functions)
    return "$bad"
}

check format clang-format --dry-run -Werror "${code[@]}"
check licence each_licensed
check shellcheck shellcheck "${scripts[@]}"
check hwloc hwloc_in_one_place
check layers layers
check notes no_leftover_notes
check top-level top_level
check function-length function_length
wc -l "${code[@]}" | awk -v most=$file_lines '$2 != "total" && $1 > most {
    print "note: " $2 ": " $1 " lines, of " most }'
functions | awk '{ n++; if ($2 > 25) over++ }
    END { printf "note: %d functions, %d over 25 lines\n", n, over }'
finish
