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
#   guest_boot NAME [OPTION=VALUE...] [-- QEMU OPTION...]  see machine.sh
#   guest_wait NAME [SECONDS]        until it takes commands
#   guest_run NAME SECONDS COMMAND   by the guest's shell; its output and exit code, or
#                                    124: it took longer, and was killed, 125: no guest.
#                                    What it leaves behind without setsid is killed, too
#   guest_feed NAME SECONDS COMMAND  the same, with this standard input
#   guest_put NAME FILE PATH         copy a file into it, with its mode
#   guest_get NAME PATH FILE         copy a file out of it
#   guest_mpiexec SECONDS GUEST,GUEST... ARGUMENT...  MPICH's mpiexec, ranks in guests that
#                                    have initrd=initrd-mpich.cpio and net=tap
#   guests_part GUEST GUEST          half of the processors for each
#   guest_monitor NAME COMMAND       QEMU's human monitor, such as 'info tlb', 'stop'
#   guest_off NAME [SECONDS]         a clean end, or else a hard one and false
#   guest_kill NAME                  as if its machine lost power
#   guest_complaints NAME            what its kernel complained of; false if of nothing
# A guest that has ended may be booted again under its name.
# VM_ACCEL: kvm or tcg (otherwise it is tried); VM_BOOT_SECONDS: the most (90); VM_KEEP: a
# directory to keep $rig's files in.
# $rig/NAME/console is all that a guest's kernel said, and $rig/NAME/qemu.log QEMU.
vm_here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
vm_build=$(realpath "${BUILD:-$vm_here/../../build}")
vm_tombolo=${TOMBOLO:-$vm_build/tombolo}
vm_boot_seconds=${VM_BOOT_SECONDS:-90} # a loaded machine without KVM is slow
vm_guard=(setpriv --pdeathsig KILL)     # nothing outlives a script that was killed
# shellcheck source=test/vm/machine.sh
. "$vm_here/machine.sh"
declare -A vm_pids=()    # of what runs, by name
declare -A vm_numbers=() # of guests, by name, from 1 on in the order of their first boot

vm_clean() {
    local name
    for name in "${!vm_pids[@]}"; do
        vm_kill "$name" KILL || true
    done
    [ -z "${VM_KEEP:-}" ] || find "$rig" -type f -exec cp --parents -t "$VM_KEEP" {} +
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
    "${vm_guard[@]}" "${@:3}" </dev/null >>"$2" 2>&1 &
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
        vm_numbers=()
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
    vm_start net "$rig/net.log" unshare --net "${root[@]}" \
        "${vm_guard[@]}" sleep infinity
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

guest_boot() { # NAME [OPTION=VALUE...] [-- QEMU OPTION...]
    local name=$1 key number append qemu=()
    # On a loaded host without KVM the kernel's test of its timer fails.
    append='console=ttyS0 loglevel=5 panic=1 no_timer_check'
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
    VM_RIG=$rig VM_SECONDS=$1 timeout -k 5 "$1" "${vm_net[@]}" mpiexec.hydra -launcher ssh \
        -launcher-exec "$vm_here/launcher.sh" -localhost 10.77.0.254 -wdir /tmp \
        -hosts "$2" "${@:3}"
}

# A half of the processors for each guest: two that spin for each other must not meet on one.
guests_part() { # GUEST GUEST
    local cpus
    mapfile -t cpus < <(python3 -c 'import os; print(*sorted(os.sched_getaffinity(0)), sep="\n")')
    if [ ${#cpus[@]} -lt 2 ]; then
        echo "one processor for two guests: what spins will be slow" >&2
        return
    fi
    local half=$((${#cpus[@]} / 2)) IFS=,
    taskset -apc "${cpus[*]:0:half}" "${vm_pids[$1]}" >/dev/null
    taskset -apc "${cpus[*]:half}" "${vm_pids[$2]}" >/dev/null
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
