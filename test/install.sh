#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# What a packager and a user meet: the tarball, the installed files, the exported
# symbols, the headers.
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=test/report.sh
. "$top/test/report.sh"
cd "$BUILD"
stage=$BUILD/stage
lib=$stage/usr/local/lib
header=$top/core/include/tombolo.h

install_staged() {
    rm -rf "$stage"
    make install DESTDIR="$stage"
}

installed_files() {
    local file
    for file in include/tombolo.h lib/libtombolo.so lib/libtombolo.so.0 \
        lib/pkgconfig/tombolo.pc bin/tombolo share/man/man1/tombolo.1 \
        src/tombolo-uio-*/dkms.conf lib/udev/rules.d/60-tombolo.rules; do
        compgen -G "$stage/usr/local/$file" >/dev/null ||
            { echo "missing: $file" && return 1; }
    done
    ! find "$stage" -name '*.la' -o -name '*.a' | grep -vE '/libtombolo(-mpich)?\.la$'
}

# Compile and run a program that knows nothing but tombolo.pc.
user_program() { # COMPILER EXTENSION FLAGS...
    local compiler=$1 program=$stage/program.$2
    shift 2
    cat >"$program" <<'EOF'
#include <tombolo.h>
#include <stdio.h>

int main(void)
{
    tmb_win *win;
    uint64_t sum = 0;
    int rank, size;

    if (tmb_init(TMB_THREAD_SINGLE) || tmb_rank(&rank) || tmb_size(&size))
        return 1;
    if (tmb_win_alloc(TMB_TEAM_WORLD, rank ? 0 : sizeof sum, 0, &win))
        return 2;
    if (tmb_fetch_add_u64(win, 0, 0, (uint64_t)rank + 1, NULL))
        return 3;
    if (tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER) || tmb_fetch_u64(win, 0, 0, &sum))
        return 4;
    if (sum != (uint64_t)(size * (size + 1) / 2))
        return 5;
    return tmb_win_free(win) || tmb_finalize() ? 6 : 0;
}
EOF
    export PKG_CONFIG_PATH=$lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$stage
    # shellcheck disable=SC2046 # words
    "$compiler" "$@" -Wall -Wextra -Werror -o "$program.out" "$program" \
        $(pkg-config --cflags --libs tombolo)
    LD_LIBRARY_PATH=$lib timeout 60 "$stage/usr/local/bin/tombolo" run -n 3 -- \
        "$program.out"
}

version() {
    local printed
    printed=$(LD_LIBRARY_PATH=$lib "$stage/usr/local/bin/tombolo" --version)
    [ "${printed##* }" = "$(pkg-config --modversion "$lib/pkgconfig/tombolo.pc")" ]
}

exported() { # of the installed library: NAME@@VERSION
    nm -D --defined-only --with-symbol-versions "$lib/libtombolo.so" |
        awk '$2 != "A" { print $3 }'
}

only_our_symbols() {
    ! exported | grep -vE '^(tmb_[a-z0-9_]+@@TOMBOLO_0\.1|tmbi_[a-z0-9_]+@@TOMBOLO_PRIVATE)$'
}

# What the header declares and what the library exports are the same.
api_is_complete() {
    diff <(gcc -E -P "$header" | tr '\n' ' ' | tr ';' '\n' |
        grep 'visibility("default")' | grep -oE '\btmb_[a-z0-9_]+\(' | tr -d '(' | sort) \
        <(exported | sed -n 's/^\(tmb_.*\)@@.*/\1/p' | sort)
}

# The adapter's headers are for MPICH's.
headers_compile_alone() {
    local mpi=()
    read -ra mpi < <(pkg-config --cflags-only-I mpich 2>/dev/null | sed 's/-I/-isystem /g')
    local file bad=0
    while read -r file; do
        gcc -std=gnu11 -D_GNU_SOURCE -fsyntax-only -Wall -Wextra -Werror -I"$BUILD" \
            -I"$top/core/include" "${mpi[@]}" -include config.h -x c "$file" || bad=1
    done < <(find "$top/core" "$top/providers" "$top/adapters" -name '*.h' ! -path '*/kmod/*')
    return "$bad"
}

public_header() {
    local standard
    for standard in c99 c11 c17; do
        gcc -std="$standard" -pedantic -Wall -Wextra -Werror -fsyntax-only -x c "$header"
    done
    for standard in c++98 c++11 c++20; do
        g++ -std="$standard" -Wall -Wextra -Werror -fsyntax-only -x c++ "$header"
    done
}

uninstalled() {
    make uninstall DESTDIR="$stage"
    ! find "$stage/usr" ! -type d | grep .
}

# The tarball has all that the repository has, but for what serves the repository itself.
tarball_is_complete() {
    local missing
    make dist
    missing=$(comm -23 <(git -C "$top" ls-files | grep -v '^\.' | sort) \
        <(tar tf tombolo-*.tar.xz | sed 's|^[^/]*/||' | sort))
    [ -z "$missing" ] || { echo "not in the tarball: $missing" && false; }
}

check headers headers_compile_alone
check public-header public_header
check install install_staged
check files installed_files
check version version
check symbols only_our_symbols
check api api_is_complete
check program-c user_program gcc c -std=c99
check program-c++ user_program g++ cpp -std=c++11
check uninstall uninstalled
if [ -d "$top/.git" ] || [ -f "$top/.git" ]; then
    check tarball tarball_is_complete
else
    skip tarball "this is no git repository to compare with"
fi
check distcheck timeout 700 make -j2 distcheck
rm -rf "$stage"
finish
