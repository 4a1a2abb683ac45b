# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# Sourced by what needs guests. BUILD is the build directory; image.sh has been run on it.
#   rig_begin                        a private directory, $rig; all that is started below
#                                    ends, and the directory goes, when the script exits
#   server_start NAME SIZE [OPTION...]  `tombolo server` at $rig/NAME.server
#   server_stop NAME
#   net_begin                        a bridge for guests with net=tap, in a namespace of
#                                    its own; false where that isn't permitted. The host
#                                    is 10.77.0.254 in it, the first guest 10.77.0.1
#   "${vm_net[@]}" COMMAND...        on the host, in that namespace
#   guest_boot NAME [OPTION=VALUE...] [-- QEMU OPTION...]  see guest_options
#   guest_wait NAME [SECONDS]        until it takes commands
#   guest_run NAME SECONDS COMMAND   by the guest's shell; its output and exit code, or
#                                    124: it took longer, and was killed, 125: no guest.
#                                    What it leaves behind without setsid is killed, too
#   guest_feed NAME SECONDS COMMAND  the same, with this standard input
#   guest_put NAME FILE PATH         copy a file into it, with its mode
#   guest_get NAME PATH FILE         copy a file out of it
#   guest_mpiexec SECONDS GUEST,GUEST... ARGUMENT...  MPICH's mpiexec, ranks in guests that
#                                    have initrd=initrd-mpich.cpio and net=tap
#   guest_monitor NAME COMMAND       QEMU's human monitor, such as 'info tlb', 'stop'
#   guest_off NAME [SECONDS]         a clean end, or else a hard one and false
#   guest_kill NAME                  as if its machine lost power
#   guest_complaints NAME            what its kernel complained of; false if of nothing
# A guest that has ended may be booted again under its name.
# $rig/NAME/console is all that a guest's kernel said, and $rig/NAME/qemu.log QEMU.
vm_here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
vm_build=$(realpath "${BUILD:-$vm_here/../../build}")
vm_tombolo=${TOMBOLO:-$vm_build/tombolo}
vm_boot_seconds=${VM_BOOT_SECONDS:-90} # a loaded machine without KVM is slow
declare -A vm_pids=()    # of what runs, by name
declare -A vm_numbers=() # of guests, by name, from 1 on in the order of their first boot
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

vm_clean() {
    local name
    for name in "${!vm_pids[@]}"; do
        vm_kill "$name" KILL || true
    done
    [ -z "${VM_KEEP:-}" ] || cp -r "$rig" "$VM_KEEP"
    rm -rf "$rig"
}

rig_begin() {
    [ -s "$vm_build/vm/initrd.cpio" ] || {
        echo "no guest image in $vm_build/vm: run test/vm/image.sh" >&2
        return 1
    }
    rig=$(mktemp -d)
    unset "${!TMB_@}"
    vm_net=()
    trap vm_clean EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
    vm_accelerate
}

vm_start() { # NAME LOG COMMAND...
    "${@:3}" </dev/null >>"$2" 2>&1 &
    vm_pids[$1]=$!
}

# The shell reaps a child when it likes, and its number may be another's then: only what
# is our child is ours.
vm_lives() { # NAME
    local pid=${vm_pids[$1]:-} stat
    [ -n "$pid" ] && { read -r stat <"/proc/$pid/stat"; } 2>/dev/null &&
        [[ ${stat##*) } =~ ^[^Z]\ $$\  ]]
}

vm_ended() { # NAME
    ! vm_lives "$1"
}

vm_kill() { # NAME SIGNAL; the exit code, which a subshell can't know
    local code=0
    ! vm_lives "$1" || kill "-$2" "${vm_pids[$1]}" 2>/dev/null || true
    if [ "$BASHPID" -ne $$ ]; then
        vm_await 20 vm_ended "$1"
    elif [ -n "${vm_pids[$1]:-}" ]; then
        [ "$2" = KILL ] || vm_await 20 vm_ended "$1" || kill -KILL "${vm_pids[$1]}"
        wait "${vm_pids[$1]}" 2>/dev/null || code=$?
        unset "vm_pids[$1]"
    fi
    return "$code"
}

vm_await() { # SECONDS COMMAND...
    local end=$((SECONDS + $1 + 1))
    while ((SECONDS < end)); do
        ! "${@:2}" || return 0
        sleep 0.05
    done
    return 1
}

# /dev/kvm may be there and yet not run this kernel: what boots is used.
vm_accelerate() {
    vm_accel=(-accel kvm -cpu host)
    if [ -z "${VM_ACCEL:-}" ] && [ -w /dev/kvm ]; then
        guest_boot probe device=none >/dev/null 2>&1
        VM_ACCEL=tcg
        ! guest_wait probe 10 >/dev/null 2>&1 || VM_ACCEL=kvm
        guest_kill probe
    fi
    # Without maxcpus=2 QEMU would emulate one processor only, with no barriers and no
    # atomics towards the other guest. `rep movsb` is slow without KVM.
    [ "${VM_ACCEL:=tcg}" = kvm ] ||
        vm_accel=(-accel "tcg,thread=multi" -cpu "max,-erms,-fsrm")
    export VM_ACCEL
}

server_start() { # NAME SIZE [OPTION...]
    vm_start "server $1" "$rig/$1.log" "$vm_tombolo" server --socket "$rig/$1.server" \
        --size "$2" "${@:3}"
    vm_await 10 test -S "$rig/$1.server" || {
        echo "server $1 doesn't listen:" && cat "$rig/$1.log"
        return 1
    }
}

server_stop() { # NAME
    vm_kill "server $1" TERM
}

net_begin() {
    local root=() user=()
    [ "$(id -u)" -eq 0 ] || root=(--map-root-user) user=(--user --preserve-credentials)
    vm_start net "$rig/net.log" unshare --net "${root[@]}" sleep infinity
    vm_net=(nsenter "--target=${vm_pids[net]}" --net "${user[@]}" --)
    vm_await 5 vm_net_is_apart && {
        "${vm_net[@]}" ip link add br0 type bridge &&
            "${vm_net[@]}" ip address add 10.77.0.254/24 dev br0 &&
            "${vm_net[@]}" ip link set br0 up &&
            "${vm_net[@]}" ip link set lo up
    } >>"$rig/net.log" 2>&1
}

vm_net_is_apart() {
    [ "$(readlink /proc/self/ns/net)" != "$(readlink "/proc/${vm_pids[net]}/ns/net")" ]
}

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
    local netdev
    case ${o[net]} in
    no) return 0 ;;
    tap)
        "${vm_net[@]}" ip tuntap add "tap-$1" mode tap
        "${vm_net[@]}" ip link set "tap-$1" master br0 up
        netdev="tap,ifname=tap-$1,script=no,downscript=no"
        qemu=("${vm_net[@]}" "${qemu[@]}")
        ;;
    listen) netdev="stream,server=on,addr.type=unix,addr.path=$rig/link" ;;
    connect) netdev="stream,server=off,addr.type=unix,addr.path=$rig/link" ;;
    esac
    qemu+=(-netdev "$netdev,id=net"
        -device "virtio-net-pci,netdev=net,mac=52:54:00:00:00:0$number,romfile=")
    o[modules]+=,virtio_net
    append+=" address=10.77.0.$number/24"
}

guest_boot() { # NAME [OPTION=VALUE...] [-- QEMU OPTION...]
    local name=$1 key number qemu=() append='console=ttyS0 loglevel=5 panic=1'
    local -A o
    vm_ended "$name" || {
        echo "guest $name runs already"
        return 2
    }
    number=${vm_numbers[$name]:-$((${#vm_numbers[@]} + 1))}
    vm_numbers[$name]=$number
    for key in "${!guest_options[@]}"; do
        o[$key]=${guest_options[$key]}
    done
    shift
    while [ $# -gt 0 ] && [ "$1" != -- ]; do
        [ "${guest_options[${1%%=*}]+known}" ] || {
            echo "guest $name: no option ${1%%=*}" >&2
            return 2
        }
        o[${1%%=*}]=${1#*=}
        shift
    done
    guest_kill "$name" # its process may still wait to be reaped
    rm -rf "${rig:?}/$name"
    mkdir "$rig/$name"
    vm_machine "$name"
    vm_ivshmem
    vm_network "$name"
    [ "${o[shell]}" = no ] || append+=' shell'
    [ "${o[iommu]}" = no ] || append+=' intel_iommu=on'
    append+=" guest=$name modules=${o[modules]}"
    vm_start "$name" "$rig/$name/qemu.log" "${qemu[@]}" -append "$append" "${@:2}"
}

# Its agent starts when the network is up: MPI libraries drop an interface that isn't.
guest_wait() { # NAME [SECONDS]
    local end=$((SECONDS + ${2:-$vm_boot_seconds})) name=$1
    vm_await 10 vm_has_begun "$name"
    ! vm_ended "$name" && guest_run "$name" $((end - SECONDS)) true && return 0
    echo "guest $name doesn't answer:"
    tail -n 20 "$rig/$name/qemu.log" "$rig/$name/console"
    return 1
}

vm_has_begun() { # NAME
    [ -S "$rig/$1/port.9" ] || vm_ended "$1"
}

guest_run() { # NAME SECONDS COMMAND
    python3 "$vm_here/guest.py" run "$rig/$1" "$2" "$3"
}

guest_feed() { # NAME SECONDS COMMAND
    python3 "$vm_here/guest.py" feed "$rig/$1" "$2" "$3"
}

guest_put() { # NAME FILE PATH
    local mode
    mode=$(stat -c %a "$2")
    guest_feed "$1" 60 "cat >'$3' && chmod $mode '$3'" <"$2"
}

guest_get() { # NAME PATH FILE
    guest_run "$1" 60 "cat '$2'" >"$3"
}

# mpiexec runs in the guests' network, and reaches them through us instead of ssh.
guest_mpiexec() { # SECONDS GUEST,GUEST... ARGUMENT...
    VM_RIG=$rig VM_SECONDS=$1 timeout -k 5 "$1" "${vm_net[@]}" mpiexec -launcher ssh \
        -launcher-exec "$vm_here/launcher.sh" -localhost 10.77.0.254 -wdir /tmp \
        -hosts "$2" "${@:3}"
}

guest_monitor() { # NAME COMMAND
    python3 "$vm_here/guest.py" monitor "$rig/$1" "$2"
}

guest_off() { # NAME [SECONDS]
    guest_run "$1" "${2:-30}" 'setsid poweroff -f' >/dev/null 2>&1 || true
    if vm_await "${2:-30}" vm_ended "$1"; then
        vm_kill "$1" KILL
        return # QEMU's exit code
    fi
    echo "guest $1 didn't power off"
    guest_kill "$1"
    return 1
}

guest_kill() { # NAME
    vm_kill "$1" KILL || true
}

guest_complaints() { # NAME
    grep -aE -A 30 'BUG:|WARNING:|Oops|Call Trace|Kernel panic|general protection|soft lockup' \
        "$rig/$1/console"
}
