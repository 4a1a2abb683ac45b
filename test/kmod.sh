#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# The kernel module builds without a warning: for each kernel whose headers are installed,
# for the newest that apt offers, under sparse, and as DKMS does it from what is installed.
# $BUILD is the build directory. What it does, a guest tests (vm/guest/kmod_check.c).
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=test/report.sh
. "$top/test/report.sh"
build=$(realpath "${BUILD:-$top/build}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
kmod=providers/ivshmem/kmod

# A copy, since the kernel's build writes beside the sources.
sources() { # DIRECTORY
    mkdir -p "$1/providers/ivshmem" "$1/core"
    cp -r "$top/$kmod" "$1/providers/ivshmem"
    cp "$top/providers/ivshmem/layout.h" "$1/providers/ivshmem"
    cp "$top/core/shared.h" "$1/core"
}

# NAME KERNEL'S-BUILD-DIRECTORY ARGUMENT...: no warning, and a module for that device.
builds() {
    local directory=$work/$1 module=$work/$1/$kmod/tombolo_uio.ko log=$work/$1.log
    sources "$directory"
    make -C "$directory/$kmod" KDIR="$2" W=1 "${@:3}" >"$log" 2>&1 || { cat "$log" && false; }
    if grep -E '(kmod/|^)[a-z_]+\.[ch]:.*(warning|error)|modpost:|WARNING:' "$log"; then
        return 1
    fi
    [ "$(modinfo -F license "$module")" = GPL ]
    [ "$(modinfo -F depends "$module")" = uio ]
    grep -q '^pci:v00001AF4d00001110sv' < <(modinfo -F alias "$module")
}

releases() { # of the headers that apt knows, oldest first
    apt-cache pkgnames linux-headers- 2>/dev/null |
        sed -n "s/^linux-headers-\([0-9].*-$(dpkg --print-architecture)\)$/\1/p" |
        grep -vE -- '-(cloud|rt)-' | sort -V
}

# Headers, unpacked but not installed: they name each other by absolute paths, and want
# type information of a kernel that isn't there.
unpack() { # RELEASE DIRECTORY
    local common=${1%-*} package
    mkdir -p "$2"
    for package in "linux-headers-$1" "linux-headers-$common-common" "linux-kbuild-$common"; do
        (cd "$2" && apt-get -qq -o APT::Sandbox::User=root download "$package" 2>&1) || return 1
        dpkg-deb -x "$2/$package"_*.deb "$2"
    done
    sed -i "s|/usr/src|$2/usr/src|" "$2/usr/src/linux-headers-$1/Makefile"
    rm -f "$2/usr/src/linux-headers-$1/vmlinux"
}

newest() {
    local release
    release=$(releases | tail -n 1)
    if [ -z "$release" ]; then
        skip newest "apt knows no kernel headers"
    elif [ -e "/lib/modules/$release/build" ]; then
        skip newest "the newest headers that apt knows, $release, are the installed ones"
    elif ! unpack "$release" "$work/unpacked" >"$work/unpack.log"; then
        skip newest "the headers of $release can't be fetched: $(tail -n 1 "$work/unpack.log")"
    else
        check "newest $release" builds "$release" \
            "$work/unpacked/usr/src/linux-headers-$release" CC="${CC:-gcc}" HOSTCC="${CC:-gcc}"
    fi
}

installed() {
    make -s -C "$build" install-data DESTDIR="$work/stage" prefix=/usr
    diff -r "$work/stage/usr/src/tombolo-uio-$version/$kmod" "$top/$kmod" |
        grep -v "^Only in $top" | grep . && return 1
    grep -q '^SUBSYSTEM=="uio"' "$work"/stage/usr/lib/udev/rules.d/60-tombolo.rules
}

dkms_builds() { # RELEASE
    mkdir -p "$work/dkms" "$work/modules"
    set -- dkms build "tombolo-uio/$version" -k "$1" --dkmstree "$work/dkms" \
        --sourcetree "$work/stage/usr/src" --installtree "$work/modules"
    "$@"
    find "$work/dkms" -name 'tombolo_uio.ko*' | grep .
}

version=$(sed -n 's/^PACKAGE_VERSION = //p' "$build/Makefile")
release=''
for directory in /lib/modules/*/build; do
    [ -e "$directory/Makefile" ] || continue
    release=${directory%/build} release=${release##*/}
    check "installed $release" builds "$release" "$directory"
done
if [ -z "$release" ]; then
    skip installed "no kernel headers are installed (linux-headers-amd64)"
elif ! command -v sparse >/dev/null; then
    skip sparse "sparse isn't installed"
else
    check sparse builds sparse "/lib/modules/$release/build" C=2 CHECK=sparse
fi
newest
check install installed
if [ -n "$release" ] && command -v dkms >/dev/null; then
    check dkms dkms_builds "$release"
else
    skip dkms "dkms or the kernel's headers aren't installed"
fi
finish
