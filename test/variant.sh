#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# A variant is the project built by one compiler with one set of checks, in
# build/test/VARIANT: gcc clang asan tsan valgrind arm64 fuzz.
#   test/variant.sh VARIANT build         configure and make it
#   test/variant.sh VARIANT COMMAND...    run a command on it: $BUILD is its build
#                                         directory, $TOMBOLO its `tombolo`, and $UNDER
#                                         what its programs are run by, if anything
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
variant=$1
shift
export VARIANT=$variant
export BUILD=$top/build/test/$variant
export TOMBOLO=$BUILD/tombolo
reports=$BUILD/reports # of sanitizers, a file per process
sysroot=$top/build/test/arm64-sysroot

configure_arguments=(--enable-werror)
case $variant in
gcc) configure_arguments+=(CC=gcc CXX=g++) ;;
clang) configure_arguments+=(CC=clang CXX=clang++) ;;
asan)
    configure_arguments+=("--enable-sanitizer=address,undefined"
        CFLAGS="-O1 -g -fno-sanitize-recover=all")
    export ASAN_OPTIONS=allocator_may_return_null=1:detect_leaks=1:detect_stack_use_after_return=1:exitcode=86
    ASAN_OPTIONS=$ASAN_OPTIONS:log_path=$reports/address
    export UBSAN_OPTIONS=print_stacktrace=1:log_path=$reports/undefined
    ;;
tsan)
    configure_arguments+=(--enable-sanitizer=thread CFLAGS="-O1 -g")
    export TSAN_OPTIONS=allocator_may_return_null=1:exitcode=66:second_deadlock_stack=1:suppressions=$top/test/tsan.supp:log_path=$reports/thread
    ;;
valgrind) # runs what gcc's variant is
    BUILD=$top/build/test/gcc TOMBOLO=$BUILD/tombolo
    UNDER="valgrind -q --error-exitcode=99 --leak-check=full --suppressions=$top/test/valgrind.supp"
    export UNDER="$UNDER --errors-for-leak-kinds=definite --child-silent-after-fork=yes"
    ;;
arm64)
    libraries=$sysroot/usr/lib/aarch64-linux-gnu
    configure_arguments+=(--host=aarch64-linux-gnu
        "CPPFLAGS=-isystem $sysroot/usr/include -isystem ${libraries/lib/include}"
        "LDFLAGS=-Wl,-rpath-link,$libraries")
    export PKG_CONFIG_SYSROOT_DIR=$sysroot PKG_CONFIG_LIBDIR=$libraries/pkgconfig
    export UNDER="qemu-aarch64-static -L /usr/aarch64-linux-gnu"
    export UNDER_LIBRARIES=$libraries
    # The emulator knows no child subreapers, which `tombolo run` needs.
    export UNDER_RUN=$top/build/test/gcc/tombolo
    ;;
fuzz)
    configure_arguments+=(CC=clang CXX=clang++
        "--enable-sanitizer=fuzzer-no-link,address,undefined"
        CFLAGS="-O1 -g -fno-sanitize-recover=all")
    ;;
*)
    echo "variant $variant: unknown; one of gcc clang asan tsan valgrind arm64 fuzz" >&2
    exit 2
    ;;
esac
if [ -n "${UNDER:-}" ]; then
    export TOMBOLO=$top/test/under.sh
fi

build() {
    if [ "$variant" = arm64 ]; then
        mapfile -t packages < <("$top/test/packages.sh" list arm64)
        "$top/test/sysroot.sh" "$sysroot" "${packages[@]}"
        [ -e "$UNDER_RUN" ] || "$0" gcc build
    fi
    if [ "$variant" = valgrind ]; then
        "$0" gcc build
        return
    fi
    [ -e "$top/configure" ] || "$top/autogen.sh"
    mkdir -p "$BUILD"
    cd "$BUILD"
    [ -e config.status ] || "$top/configure" -q "${configure_arguments[@]}"
    case $variant in
    fuzz)
        make -j2 libtmbcore.la libtmbivshmem.la
        ! grep -qF 'X(tcp)' config.h || make -j2 libtmbtcp.la
        ;;
    *) make -j2 && make -j2 check TESTS= ;;
    esac
}

rm -rf "$reports"
if [ "$1" != build ]; then
    mkdir -p "$reports"
    exec "$@"
fi
trap 'printf "not ok build\n0 passed, 1 failed, 0 skipped\n"' ERR
set -E
build
printf 'ok build\n1 passed, 0 failed, 0 skipped\n'
