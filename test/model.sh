#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# The wake and lock protocols, checked by spin: every state of small configurations, and
# that each rule which the models can break (-DMUTATE) is missed when it is broken.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/report.sh
. "$here/report.sh"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

verifier() { # MODEL DEFINES...; makes ./pan
    local model=$1
    shift
    rm -f pan.* pan
    spin -a "$@" "$here/model/$model.pml" && gcc -O2 -DSAFETY -DNOFAIR "$storage" -o pan pan.c
}

search() {
    (
        ulimit -v 6000000
        timeout 300 ./pan -m1000000
    ) >pan.log 2>&1
}

# All states, and no error in them. A search that was cut short is no proof.
holds() { # MODEL DEFINES...
    storage=-DCOLLAPSE
    verifier "$@"
    search
    cat pan.log
    grep -q 'errors: 0' pan.log && ! grep -qE 'max search depth|out of memory|aborted' pan.log
}

# The broken rule is found.
fails() { # MODEL DEFINES...
    storage=-DCOLLAPSE
    verifier "$@"
    search || true
    cat pan.log
    grep -qE 'errors: [1-9]' pan.log
}

# Too many states for all: as far as MODEL_SECONDS (20) go, by bit-state hashing.
explored() { # MODEL DEFINES...
    storage=-DBITSTATE
    verifier "$@"
    timeout "${MODEL_SECONDS:-20}" ./pan -m1000000 -w30 >pan.log 2>&1 || [ $? -eq 124 ]
    cat pan.log
    ! grep -qE 'errors: [1-9]|assertion violated|invalid end state \(' pan.log
}

# The functions that a model says it stands for are still there.
sources() {
    local file function missing=0
    while read -r file function; do
        grep -qE "\b$function\(" "$here/../$file" || {
            echo "$file has no function $function, but a model stands for it"
            missing=1
        }
    done < <(sed -n 's|^/\* models: \(.*\) \*/$|\1|p' "$here"/model/*.pml)
    return "$missing"
}

check "models name functions that exist" sources
check "wake: 1 thread, 2 rounds" holds wake -DTHREADS=1 -DROUNDS=2
check "wake: 2 threads, 2 rounds" holds wake -DTHREADS=2 -DROUNDS=2
check "wake: a waker dies, sleeps are bounded" holds wake -DTHREADS=2 -DROUNDS=1 -DCRASH -DBOUND
check "wake: a waker dies, sleeps are not bounded: found" fails wake -DTHREADS=1 -DROUNDS=2 -DCRASH
for rule in 1 2 3 4; do
    check "wake: broken rule $rule is found" fails wake -DTHREADS=2 -DROUNDS=1 -DMUTATE=$rule
done

check "lock: 2 writers, 1 reader" holds lock -DWRITERS=2 -DREADERS=1 -DROUNDS=1
check "lock: 1 writer, 2 readers" holds lock -DWRITERS=1 -DREADERS=2 -DROUNDS=1
check "lock: 2 writers, a death, giving up" \
    holds lock -DWRITERS=2 -DREADERS=0 -DROUNDS=2 -DKILL -DGIVE_UP
check "lock: 1 writer, 1 reader, a death, giving up" \
    holds lock -DWRITERS=1 -DREADERS=1 -DROUNDS=2 -DKILL -DGIVE_UP
check "lock: 2 writers, 1 reader, a death: for a while" \
    explored lock -DWRITERS=2 -DREADERS=1 -DROUNDS=1 -DKILL
while read -r -u 3 rule configuration; do
    # shellcheck disable=SC2086 # words
    check "lock: broken rule $rule is found" \
        fails lock $configuration -DROUNDS=1 -DMUTATE="$rule"
done 3<<'EOF'
1 -DWRITERS=2 -DREADERS=1
2 -DWRITERS=1 -DREADERS=1
3 -DWRITERS=1 -DREADERS=1
4 -DWRITERS=1 -DREADERS=1
5 -DWRITERS=1 -DREADERS=1 -DKILL
6 -DWRITERS=2 -DREADERS=0 -DGIVE_UP
7 -DWRITERS=2 -DREADERS=1
EOF
finish
