#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# What the guests boot, in $BUILD/vm: Debian's kernel for which headers are installed
# (fetched and unpacked there, never installed), and an initramfs with busybox, its
# modules and ours, and the programs of $BUILD.
#   test/vm/image.sh           vmlinux, initrd.cpio
#   test/vm/image.sh mpich     initrd-mpich.cpio too, which is large
set -euo pipefail
top=$(cd "$(dirname "$0")/../.." && pwd)
build=$(realpath "${BUILD:-$top/build}")
vm=$build/vm
kernel=$vm/kernel       # the unpacked package
drivers=(virtio_pci virtio_console virtio_net sch_netem uio vfio_pci vfio_iommu_type1)
programs=(tombolo conformance quiet kmod_check hello_put halo2d shared_counter work_queue
    fault_chaos fault_jobs fault_machines fault_locks fault_routes fault_waits fault_links
    tcp_pingpong uio_pingpong waiting)
mpich_programs=(mpich_conformance mpich_halo mpich_hash)

complain() { # TEXT...
    echo "image.sh: $*" >&2
    exit 1
}

# The newest kernel that modules can be built for here.
find_release() {
    local headers
    headers=$(find /lib/modules -mindepth 2 -maxdepth 2 -path '*-amd64/build' | sort -V |
        tail -n 1)
    [ -e "$headers/Makefile" ] ||
        complain "no kernel headers here; install linux-headers-amd64"
    headers=${headers%/build}
    release=${headers##*/}
    headers_version=$(dpkg-query -W -f '${Version}' "linux-headers-$release")
    package=linux-image-$release
}

download() {
    (cd "$vm" && apt-get -qq -o APT::Sandbox::User=root download \
        "$package=$headers_version")
}

fetch_kernel() {
    local deb=$vm/${package}_${headers_version}_amd64.deb
    if [ ! -s "$deb" ]; then
        download || { [ "$(id -u)" -eq 0 ] && apt-get -qq update && download; } ||
            complain "can't fetch $package of version $headers_version, which the headers" \
                "installed here are for; if the archive has a newer one only, upgrade" \
                "linux-headers-amd64"
    fi
    [ -s "$deb" ] || complain "apt-get has left no ${deb##*/}"
    if [ "$(cat "$kernel/version" 2>/dev/null)" != "$release $headers_version" ]; then
        rm -rf "$kernel"
        dpkg-deb -x "$deb" "$kernel"
        depmod -b "$kernel" "$release"
        extract_vmlinux "$kernel/boot/vmlinuz-$release" "$vm/vmlinux"
        echo "$release $headers_version" >"$kernel/version"
    fi
}

# The kernel in a bzImage is a compressed ELF file: the first stream that unpacks to one.
extract_vmlinux() { # BZIMAGE VMLINUX
    local signature command at
    while read -r signature command; do
        while IFS=: read -r at _; do
            tail -c +$((at + 1)) "$1" | $command >"$2" 2>/dev/null || true
            [ "$(head -c 4 "$2" | tr -d '\177')" != ELF ] || return 0
        done < <(LC_ALL=C grep -obUaP "$signature" "$1")
    done <<'END_OF_FORMATS'
\xfd7zXZ\x00 unxz -c
\x28\xb5\x2f\xfd zstd -dc
\x1f\x8b\x08 gunzip -c
\x02\x21\x4c\x18 lz4 -dc
END_OF_FORMATS
    rm -f "$2"
    complain "$1 holds no kernel that can be unpacked here (xz, zstd, gzip, lz4 tried)"
}

# The module is built from copies: the sources' directory stays clean.
build_module() {
    local from=providers/ivshmem to=$vm/module
    module=''
    [ -e "$top/$from/kmod/Kbuild" ] || return 0
    mkdir -p "$to/$from/kmod" "$to/core"
    cp -u "$top"/core/shared.h "$to/core"
    cp -u "$top/$from"/*.h "$to/$from"
    cp -u "$top/$from/kmod"/* "$to/$from/kmod"
    make -s -C "/lib/modules/$release/build" M="$to/$from/kmod" modules >"$to/log" 2>&1 || {
        cat "$to/log" >&2
        complain "the module can't be built for $release"
    }
    module=$to/$from/kmod/tombolo_uio.ko
    [ "$(modinfo -F vermagic "$module" | cut -d ' ' -f 1)" = "$release" ] ||
        complain "$module isn't for $release"
}

add_modules() { # ROOT
    local name path to=$1/lib/modules/$release
    mkdir -p "$to"
    for name in "${drivers[@]}"; do
        modprobe -d "$kernel" -S "$release" --show-depends "$name"
    done | awk '$1 == "insmod" { print $2 }' | sort -u | while read -r path; do
        install -D -m 644 "$path" "$to/${path#*/modules/"$release"/}"
    done
    [ -z "$module" ] || install -D -m 644 "$module" "$to/updates/tombolo_uio.ko"
    cp "$kernel/lib/modules/$release"/modules.{builtin,builtin.modinfo,order} "$to"
    depmod -b "$1" "$release"
}

# A program, or a shared object that is opened at run time, with what it is linked to.
add_closure() { # ROOT FILE DESTINATION
    local name path
    install -D -m 755 "$2" "$1/$3"
    strip -g "$1/$3"
    while read -r name path; do
        [ ! -e "$1/$path" ] || continue
        install -D -m 755 "$path" "$1/$path"
        strip -g "$1/$path"
    done < <(LD_LIBRARY_PATH=$build/.libs ldd "$2" |
        awk -v top="$build/.libs/" '$2 == "=>" && $3 ~ /^\// && index($3, top) != 1 \
            { print $1, $3 } $1 ~ /^\/.*ld-linux/ { print $1, $1 }')
}

# Those of the build's programs that are built; libtool has put a script in a program's
# place where it needs our library.
add_built() { # ROOT NAME...
    local name path
    for name in "${@:2}"; do
        path=$build/.libs/$name
        [ -e "$path" ] || path=$build/$name
        [ ! -e "$path" ] || add_closure "$1" "$path" "bin/$name"
    done
}

# Loaded at run time, and so in no program's closure.
add_fabric() { # ROOT
    local path
    path=$(ldconfig -p | awk '$1 == "libfabric.so.1" && !n++ { print $NF }')
    [ -z "$path" ] || add_closure "$1" "$path" lib/libfabric.so.1
}

add_programs() { # ROOT
    add_built "$1" "${programs[@]}"
    add_fabric "$1"
    install -D -m 755 "$build/.libs/libtombolo.so.0" "$1/lib/libtombolo.so.0"
    strip -g "$1/lib/libtombolo.so.0"
}

add_base() { # ROOT
    local here=$top/test/vm/guest busybox
    busybox=$(command -v busybox) || complain "no busybox here; install busybox-static"
    ! ldd "$busybox" >/dev/null 2>&1 || complain "$busybox isn't static; install busybox-static"
    install -D -m 755 "$busybox" "$1/bin/busybox"
    ln -sf /bin "$1/sbin"
    "$busybox" --list | while read -r name; do
        [ "$name" = busybox ] || ln -sf busybox "$1/bin/$name"
    done
    install -m 755 "$here/init" "$1/init"
    install -m 755 "$here/ivshmem" "$1/bin"
    "${CC:-gcc}" -O2 -Wall -static -o "$1/bin/agent" "$here/agent.c"
    # Busybox's knows no netem.
    rm -f "$1/bin/tc"
    add_closure "$1" "$(command -v tc)" bin/tc
    mkdir -p "$1/dev" "$1/etc"
    printf '%s\n' 'root:x:0:0:root:/root:/bin/sh' 'nobody:x:65534:65534:nobody:/:/bin/sh' \
        >"$1/etc/passwd"
    echo 'root:x:0:' >"$1/etc/group"
}

# UCX and libfabric open their transports at run time.
add_mpich() { # ROOT
    local path libraries
    libraries=/usr/lib/$(gcc -print-multiarch)
    for path in /usr/bin/hydra_pmi_proxy "$libraries"/libmpich.so.12 \
        "$libraries"/ucx/libuc*.so.0; do
        [ -e "$path" ] || complain "$path is missing; install mpich"
        add_closure "$1" "$path" "$path"
    done
    [ -n "$(command -v mpicc.mpich)" ] || complain "no mpicc.mpich here; install libmpich-dev"
    mpicc.mpich -O2 -Wall -o "$vm/mpi_lock_put" "$top/test/vm/guest/mpi_lock_put.c"
    add_closure "$1" "$vm/mpi_lock_put" bin/mpi_lock_put
    add_built "$1" "${mpich_programs[@]}"
    path=$build/.libs/libtombolo-mpich.so
    [ ! -e "$path" ] || add_closure "$1" "$path" lib/libtombolo-mpich.so
}

pack() { # ROOT CPIO
    (cd "$1" && find . | cpio -o -H newc -R 0:0 --quiet) >"$2.new"
    mv "$2.new" "$2"
}

[ -e "$build/.libs/libtombolo.so.0" ] || complain "nothing is built in $build; set BUILD"
find_release
mkdir -p "$vm"
exec 9>"$vm/lock"
flock 9 # two at once would use each other's half-made files
fetch_kernel
build_module
rm -rf "$vm/root"
mkdir "$vm/root"
add_base "$vm/root"
add_modules "$vm/root"
add_programs "$vm/root"
pack "$vm/root" "$vm/initrd.cpio"
if [ "${1:-}" = mpich ]; then
    rm -rf "$vm/root-mpich"
    mkdir "$vm/root-mpich"
    add_mpich "$vm/root-mpich"
    pack "$vm/root-mpich" "$vm/mpich.cpio"
    cat "$vm/initrd.cpio" "$vm/mpich.cpio" >"$vm/initrd-mpich.cpio"
fi
echo "Linux $release ($headers_version), $(du -m "$vm/initrd.cpio" | cut -f 1) MiB of initramfs"
