# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2016,SC2154
# Sourced by run.sh: what is checked of guests a and b by the way into the region.

bytes_of() { # SIZE, such as 64M
    numfmt --from=iec "$1"
}

device_is_there() { # GUEST SIZE HIGH
    local start size
    guest_run "$1" 10 'cat "$(ivshmem)/revision"' | grep -x 0x01
    read -r start size < <(guest_run "$1" 10 'ivshmem bar 2')
    echo "BAR2 at $start, $size bytes"
    [ "$size" -eq "$(bytes_of "$2")" ]
    [ "$3" = "$((start >= 1 << 32))" ]
}

# The last line of the region belongs to nobody until a job fills it.
shares_memory() { # SIZE
    local place word
    place="\$((\$(ivshmem bar 2 | cut -d ' ' -f 1) + $(bytes_of "$1") - 64))"
    guest_run a 10 "devmem $place 32 0x70061070"
    word=$(guest_run b 10 "devmem $place 32")
    guest_run a 10 "devmem $place 32 0"
    echo "guest b sees $word"
    [ "$word" = 0x70061070 ]
}

peer_id() { # GUEST
    guest_run "$1" 10 "devmem \$((\$(ivshmem bar 0 | cut -d ' ' -f 1) + 8)) 32"
}

ids_differ() {
    local a b
    a=$(peer_id a) b=$(peer_id b)
    echo "IDs $a and $b"
    [ "$((a))" -ge 0 ] && [ "$((a))" -ne "$((b))" ]
}

common_checks() { # NAME MACHINE SIZE
    local guest high=0
    [ "$2 $3" != 'q35 1G' ] || high=1
    for guest in a b; do
        check "$1 device of guest $guest" device_is_there "$guest" "$3" "$high"
    done
    check "$1 memory is shared" shares_memory "$3"
}

# ---- the rig ----

gives() { # CODE COMMAND...
    local code=0
    "${@:2}" || code=$?
    [ "$code" -eq "$1" ]
}

none_runs() { # TEXT: no such process in guest a
    guest_run a 10 "! ps | grep '$1' | grep -v grep"
}

too_long_is_killed() {
    gives 124 guest_run a 2 'sleep 7771'
    gives 124 guest_feed a 2 'sleep 7772' </dev/zero
    none_runs 'sleep 777'
}

side_by_side() {
    local i pids=()
    for i in 1 2 3 4 5; do
        guest_run a 20 "sleep 1; exit $i" &
        pids+=($!)
    done
    for i in 1 2 3 4 5; do
        gives "$i" wait "${pids[i - 1]}"
    done
}

copies_files() {
    head -c 3000000 /dev/urandom >"$rig/file"
    chmod 751 "$rig/file"
    guest_put a "$rig/file" /tmp/file
    guest_get a /tmp/file "$rig/back"
    cmp "$rig/file" "$rig/back"
    guest_run a 10 'stat -c %a /tmp/file && rm /tmp/file' | grep -x 751
}

# After this guest a runs no more.
sees_a_panic() {
    gives 125 guest_run a 20 'echo c >/proc/sysrq-trigger; sleep 20'
    guest_complaints a | grep 'sysrq triggered crash'
}

rig_checks() {
    check "rig: exit codes" gives 7 guest_run a 10 'exit 7'
    check "rig: what takes too long is killed" too_long_is_killed
    check "rig: commands side by side" side_by_side
    check "rig: files in and out" copies_files
    check "rig: a panic is seen" sees_a_panic
}

# ---- the module ----

loads() { # GUEST NAME...: of the UIO devices
    local names
    guest_run "$1" 20 'modprobe tombolo_uio && cat "$(ivshmem)/tombolo/mapping"'
    names=$(guest_run "$1" 10 'cat /sys/class/uio/uio*/name | sort' | paste -sd ' ')
    echo "UIO devices: $names"
    [ "$names" = "${*:2}" ]
}

unloads() { # GUEST
    guest_run "$1" 20 'rmmod tombolo_uio && ! ls /dev/uio*'
}

# Ring a vector while the other guest sleeps in a read of it.
rings() { # FROM TO VECTOR
    local id find="grep -lx tombolo:$3 /sys/class/uio/uio*/name | cut -d / -f 5"
    id=$(($4))
    guest_run "$2" 20 "exec 3</dev/\$($find); echo ready; dd bs=4 count=1 <&3 | wc -c" \
        >"$rig/woken" 2>/dev/null &
    vm_await 10 grep -q ready "$rig/woken"
    sleep 0.3 # it may not sleep yet, and would then find the ring counted: as well
    guest_run "$1" 10 "printf '$(printf '\\%03o\\000\\%03o\\%03o' "$3" $((id & 255)) \
        $((id >> 8)))' >/dev/uio0"
    wait $!
    cat "$rig/woken"
    grep -qx 4 "$rig/woken"
}

module_checks() { # NAME UIO-NAME...
    local guest
    for guest in a b; do
        check "$1 module loads in guest $guest" loads "$guest" "${@:2}"
        check "$1 module unloads in guest $guest" unloads "$guest"
    done
    # It takes minutes: once with doorbells, and once without.
    case $1 in
    q35-64M-uio | pc-64M-plain)
        check "$1 kmod_check" guest_run a 300 kmod_check
        ;;
    esac
    for guest in a b; do
        check "$1 module loads again in guest $guest" loads "$guest" "${@:2}"
    done
}

checks_uio() { # NAME MACHINE SIZE
    local vector a b names=()
    common_checks "$@"
    check "$1 peers have IDs of their own" ids_differ
    a=$(peer_id a) b=$(peer_id b)
    for ((vector = 0; vector < vectors; vector++)); do
        names+=("tombolo:$vector")
    done
    module_checks "$1" "${names[@]}"
    for ((vector = 0; vector < vectors; vector++)); do
        check "$1 a rings b's vector $vector" rings a b "$vector" "$b"
        check "$1 b rings a's vector $vector" rings b a "$vector" "$a"
    done
}

checks_plain() { # NAME MACHINE SIZE
    common_checks "$@"
    module_checks "$1" tombolo:plain
}

# ---- stock vfio-pci ----

binds_to_vfio() { # GUEST
    guest_run "$1" 20 'modprobe vfio_iommu_type1 && modprobe vfio-pci ids=1af4:1110 &&
        ls "$(ivshmem)/iommu_group/devices" &&
        ls -l "/dev/vfio/$(basename "$(readlink "$(ivshmem)/iommu_group")")"' |
        tee "$rig/group"
    [ "$(wc -l <"$rig/group")" -eq 2 ] # alone in its group
}

broker_starts() { # GUEST
    guest_run "$1" 20 'setsid tombolo broker --bind >/tmp/broker 2>&1 &
        for i in $(seq 100); do
            [ ! -S /run/tombolo-broker ] || exit 0
            usleep 50000
        done
        cat /tmp/broker
        exit 1'
}

checks_vfio() { # NAME MACHINE SIZE
    local guest
    common_checks "$@"
    check "$1 peers have IDs of their own" ids_differ
    for guest in a b; do
        check "$1 vfio-pci binds in guest $guest" binds_to_vfio "$guest"
        check "$1 broker starts in guest $guest" broker_starts "$guest"
    done
}
