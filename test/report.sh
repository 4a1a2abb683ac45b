# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# Sourced by test scripts: one line per case, and the counts at the end.
passed=0 failed=0 skipped=0

pass() { # NAME
    printf 'ok %s\n' "$1"
    passed=$((passed + 1))
}

fail() { # NAME [DETAIL]
    printf 'not ok %s%s\n' "$1" "${2:+: $2}"
    failed=$((failed + 1))
}

skip() { # NAME REASON
    printf 'skip %s: %s\n' "$1" "${2:?a skip needs a reason}"
    skipped=$((skipped + 1))
}

# Run a command as a case; what it prints is shown if it fails. A function ends at its
# first command that fails, which it would not where its status is tested.
check() { # NAME COMMAND...
    local check_output check_status # their names must not be those that a command uses
    set +e
    check_output=$(
        set -e
        "${@:2}" 2>&1
    )
    check_status=$?
    set -e
    if [ $check_status -eq 0 ]; then
        pass "$1"
    else
        fail "$1"
        printf '%s\n' "$check_output" | tail -n 60 | sed 's/^/    /'
    fi
}

# Count the cases of a run of the conformance suite, named with their configuration. One
# that crashed or hung has no last line, or says less than it counted.
suite_cases() { # CONFIGURATION LOG EXIT-CODE
    local word name
    while read -r word name; do
        case $word in
        ok) pass "$1 $name" ;;
        not) fail "$1 ${name#ok }" ;;
        skip) skip "$1 ${name%%:*}" "${name#*: }" ;;
        esac
    done < <(grep -aE '^((not )?ok|skip) ' "$2" || true)
    if [ "$3" -ne 0 ] || ! grep -aqE '^[1-9][0-9]* passed, 0 failed, ' "$2"; then
        fail "$1 ends well" "exit code $3"
        grep -avE '^ok ' "$2" | tail -n 60 | sed 's/^/    /'
    fi
}

finish() {
    printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
    [ "$failed" -eq 0 ]
    exit
}
