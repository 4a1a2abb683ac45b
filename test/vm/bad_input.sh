#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Guests that lack something, and users who want what isn't there: each is told in a line
# what is wrong, and what to do.
# BUILD is the build directory, TOMBOLO its command.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/report.sh
. "$here/../report.sh"
# shellcheck source=test/vm/lib.sh
. "$here/lib.sh"
# shellcheck source=test/vm/job.sh
. "$here/job.sh"
hello='tombolo run -n 2 -- hello_put'

# The command fails, and one line of what it says matches. No rank is left, and the kernel
# has nothing to say about it.
told() { # GUEST COMMAND TEXT
    local code=0
    guest_run "$1" 60 "$2" >"$rig/told" 2>&1 || code=$?
    cat "$rig/told"
    echo "exit code $code"
    [ "$code" -ne 0 ] && [ "$code" -ne 124 ]
    grep -aq "$3" "$rig/told"
    [ "$(grep -acE 'error: |tombolo [a-z]+: ' "$rig/told")" -le 4 ] # two ranks, and their ends
    guest_run "$1" 10 '! pidof hello_put'
    ! guest_complaints "$1"
}

works() { # GUEST COMMAND
    guest_run "$1" 60 "$2"
}

says_why() { # GUEST COMMAND TEXT...
    guest_run "$1" 60 "export TMB_LOG=info; $2" 2>&1 | tee "$rig/why"
    for text in "${@:3}"; do
        grep -aq "$text" "$rig/why" || {
            echo "nothing like '$text'"
            return 1
        }
    done
}

as_nobody() { # COMMAND
    echo "su nobody -s /bin/sh -c '$1'"
}

# ---- no device ----

no_device() {
    guest_boot none device=none
    guest_wait none
}

no_device_checks() {
    check "no device, and uio is wanted" told none "TMB_IVSHMEM_DEVICE=uio $hello" \
        'has no ivshmem device (QEMU: -device'
    check "no device, and any is wanted" told none "TMB_IVSHMEM_DEVICE=auto $hello" \
        'has no ivshmem device (QEMU: -device'
    check "no device, and no network" told none 'tombolo run -n 1 --job j --np 2 -- hello_put' \
        'there is none here: on a host give --server or TMB_SERVER, in a guest'
    check "no device for a broker" told none 'tombolo broker' 'no ivshmem device'
    check "nothing is wanted: a region of its own" works none "$hello"
    guest_kill none
}

# ---- a device with one doorbell ----

doorbell_checks() {
    check "no module" told one "TMB_IVSHMEM_DEVICE=uio $hello" '(modprobe tombolo_uio; see'
    check "no broker" told one "TMB_IVSHMEM_DEVICE=vfio $hello" 'tombolo broker --bind'
    check "no IOMMU" told one 'modprobe vfio_pci; tombolo broker --bind' \
        'intel-iommu,intremap=on'
    check "no such device" told one "TMB_IVSHMEM_DEVICE=uio:0000:00:1f.7 $hello" \
        'no such ivshmem device'
    check "no such way" told one "TMB_IVSHMEM_DEVICE=fast $hello" \
        'neither a way (uio, vfio or plain) nor the address'
    check "the module loads" works one 'modprobe tombolo_uio'
    check "no permission" told one "$(as_nobody "TMB_IVSHMEM_DEVICE=uio $hello")" \
        'may not open /dev/uio0: join the group'
    check "permission" works one \
        "chmod 666 /dev/uio*; $(as_nobody "TMB_IVSHMEM_DEVICE=uio $hello")"
    check "one vector is shared" works one "TMB_IVSHMEM_DEVICE=uio tombolo run -n 3 -- \
        conformance lock signal atomic/o"
    check "which way, and why" says_why one "TMB_IVSHMEM_DEVICE=auto $hello" 'by way of uio'
    check "unloading in use is refused" unload_in_use
    check "two jobs of one name" same_name
    check "a server and a device" told one "TMB_IVSHMEM_DEVICE=uio TMB_SERVER=/x $hello" \
        'unset one of them\|/x'
}

unload_in_use() {
    guest_run one 30 'TMB_IVSHMEM_DEVICE=uio tombolo run -n 2 -- fault_machines talk 3000' \
        >"$rig/talk" &
    vm_await 20 grep -aq ready "$rig/talk"
    guest_run one 10 '! rmmod tombolo_uio'
    wait $!
    guest_run one 20 'rmmod tombolo_uio && modprobe tombolo_uio && chmod 666 /dev/uio*'
}

# The first goes on, the second is told.
same_name() {
    local run='tombolo run --job twice --np 2 -n 2 --'
    guest_run one 30 "$run fault_machines talk 3000" >"$rig/twice" &
    vm_await 20 grep -aq ready "$rig/twice"
    told one "$run hello_put" 'choose another --job'
    wait $!
}

# ---- plain ----

plain_checks() {
    check "plain: the module loads" works plain 'modprobe tombolo_uio'
    check "plain: a doorbell is wanted" told plain "TMB_IVSHMEM_DEVICE=uio $hello" \
        'without doorbells (QEMU: -device ivshmem-doorbell'
    check "plain: BAR2 is too small" told plain "TMB_IVSHMEM_DEVICE=plain $hello" \
        '65536 bytes: a region has at least 1M (QEMU: '
}

check image "$here/image.sh"
[ "$failed" -eq 0 ] || finish
rig_begin
no_device
no_device_checks
server_start server 64M --vectors 1
guest_boot one vectors=1
truncate -s 64K "$rig/small"
guest_boot plain device=none -- \
    -object "memory-backend-file,id=region,share=on,mem-path=$rig/small,size=64K" \
    -device ivshmem-plain,memdev=region,master=on
guest_wait one
guest_wait plain
doorbell_checks
plain_checks
finish
