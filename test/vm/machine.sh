# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2034,SC2154
# Sourced by lib.sh: a guest's options, and what QEMU is told of them.
declare -A guest_options=(
    [machine]=q35       # or pc
    [device]=doorbell   # the ivshmem device: doorbell, plain or none
    [server]=server     # whose region it is
    [size]=''           # of the region, which plain needs to be told
    [vectors]=4
    [high]=no           # yes: BAR2 above 4 GiB, where it can be write-back (q35)
    [iommu]=no          # yes: an IOMMU, for vfio (q35)
    [net]=no            # tap (needs net_begin), or listen on one and connect on the other
    [memory]=256        # MiB
    [cpus]=1
    [initrd]=initrd.cpio # or initrd-mpich.cpio
    [modules]=''        # to load at boot, separated by commas
    [shell]=no          # yes: a shell on the console, at the socket $rig/NAME/serial
    [reboot]=no         # yes: a reset restarts it; no: it ends it, as does a panic
)

# QEMU's options, in the array qemu, for what is in the array o.
vm_machine() { # NAME
    local i iommu='' dir=$rig/$1
    [ "${o[iommu]}" = no ] || iommu=,kernel-irqchip=split
    qemu=(qemu-system-x86_64 -name "$1" -machine "${o[machine]}$iommu" "${vm_accel[@]}"
        -m "${o[memory]}" -smp "${o[cpus]},maxcpus=$((o[cpus] + 1))"
        -display none -nodefaults -no-user-config
        -kernel "$vm_build/vm/vmlinux" -initrd "$vm_build/vm/${o[initrd]}"
        -qmp "unix:$dir/qmp,server=on,wait=off"
        -chardev "socket,id=console,path=$dir/serial,server=on,wait=off,logfile=$dir/console"
        -serial chardev:console -device virtio-serial-pci)
    for i in {1..9}; do
        qemu+=(-chardev "socket,id=port$i,path=$dir/port.$i,server=on,wait=off"
            -device "virtserialport,chardev=port$i,nr=$i")
    done
    [ "${o[iommu]}" = no ] || qemu+=(-device "intel-iommu,intremap=on")
    [ "${o[reboot]}" = yes ] || qemu+=(-no-reboot)
}

vm_ivshmem() {
    local server=$rig/${o[server]}.server bus='' fd
    if [ "${o[high]}" = yes ]; then
        qemu+=(-device "pcie-root-port,id=rp0,slot=1,pref64-reserve=8G")
        bus=,bus=rp0
    fi
    case ${o[device]} in
    doorbell)
        qemu+=(-chardev "socket,id=ivshmem,path=$server"
            -device "ivshmem-doorbell,chardev=ivshmem,vectors=${o[vectors]}$bus")
        ;;
    plain) # the server's own memory
        fd=$(vm_region "${vm_pids[server ${o[server]}]}")
        qemu+=(-object "memory-backend-file,id=region,share=on,mem-path=$fd,size=${o[size]}"
            -device "ivshmem-plain,memdev=region,master=on$bus")
        ;;
    esac
}

# A server's region, as a file.
vm_region() { # PID
    local fd
    for fd in "/proc/$1/fd"/*; do
        if [[ $(readlink "$fd") == /memfd:* ]]; then
            echo "$fd"
            return
        fi
    done
    echo "process $1 has no region" >&2
    return 1
}

# The network device, and how the guest is to set it up.
vm_network() { # NAME
    local netdev mac
    mac=52:54:00:00:00:$(printf '%02x' "$number")
    case ${o[net]} in
    no) return 0 ;;
    tap)
        "${vm_net[@]}" ip link show "tap-$1" >/dev/null 2>&1 ||
            "${vm_net[@]}" ip tuntap add "tap-$1" mode tap
        "${vm_net[@]}" ip link set "tap-$1" master br0 up
        netdev="tap,ifname=tap-$1,script=no,downscript=no"
        qemu=("${vm_net[@]}" "${vm_guard[@]}" "${qemu[@]}") # nsenter may undo the first
        ;;
    listen) netdev="stream,server=on,addr.type=unix,addr.path=$rig/link" ;;
    connect) netdev="stream,server=off,addr.type=unix,addr.path=$rig/link" ;;
    esac
    qemu+=(-netdev "$netdev,id=net"
        -device "virtio-net-pci,netdev=net,mac=$mac,romfile=")
    o[modules]+=,virtio_net
    append+=" address=10.77.0.$number/24"
}
