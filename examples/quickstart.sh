#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# From a fresh clone to ranks that put into each other's memory: installs what is missing,
# builds in build/, and measures.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p build
log=$PWD/build/quickstart.log
: >"$log"

step() { # WHAT COMMAND...
    local what=$1
    shift
    printf '%-44s' "$what ..."
    if "$@" >>"$log" 2>&1; then
        echo "done"
    else
        echo failed
        tail -n 30 "$log"
        echo "The whole log is $log"
        exit 1
    fi
}

configure() {
    ./autogen.sh && (cd build && ../configure)
}

if ! command -v apt-get >/dev/null; then
    test/packages.sh install build
    echo "If one of them is missing, the next step fails and names it."
elif packages=$(test/packages.sh missing build) && [ -n "$packages" ]; then
    step "Installing $(wc -w <<<"$packages") packages" test/packages.sh install build
fi
[ -e build/config.status ] || step "Configuring in build/" configure
step "Building" make -C build -j"$(nproc)" tombolo hello_put

echo
echo "Four ranks greet each other, through a region of shared memory:"
build/tombolo run -n 4 -- build/hello_put
echo
echo "Two ranks: what one put of each size takes"
build/tombolo perf put-latency --sizes 4:1M
echo
echo "and what it moves, beside a plain copy within the same run:"
build/tombolo perf put-bandwidth --sizes 4:1M
cat <<'EOF'

Next: examples/*.c are programs to begin with; `build/tombolo run -n 4 -- build/hello_put`
starts one (after `make -C build`). `build/tombolo perf all` measures the rest,
`build/tombolo info` shows what the library sees, and ./test/run.sh tests all of it.
EOF
