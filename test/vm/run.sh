#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Two guests and the host over one region, for each kind of machine, region and way in.
#   test/vm/run.sh [--all] [PATTERN]    the configurations (machine-size-way; rig: the rig
#                                       itself) that a pattern matches, of the whole matrix
#                                       or of CI's part of it
# BUILD is the build directory, TOMBOLO its command. $BUILD/vm/logs keeps what the guests'
# consoles and QEMU said.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/report.sh
. "$here/../report.sh"
# shellcheck source=test/vm/lib.sh
. "$here/lib.sh"
# shellcheck source=test/vm/job.sh
. "$here/job.sh"
# shellcheck source=test/vm/checks.sh
. "$here/checks.sh"

# Machine, size of BAR2, way; whether it is part of CI's run; ranks in guest a, guest b and
# on the host, a number each per mix. QEMU has an IOMMU, which vfio needs, for q35 only.
matrix='
q35 64M uio   ci  1+1 2+2 2+2+2
pc  2M  uio   ci  2+2+2
q35 1G  uio   ci  2+2
q35 2M  vfio  ci  1+1
q35 1G  vfio  ci  2+2+2
pc  64M plain ci  1+1 2+2+2
q35 1G  plain all 2+2
q35 2M  uio   all 1+1 2+2 2+2+2
pc  64M uio   all 1+1 2+2 2+2+2
pc  1G  uio   all 1+1 2+2 2+2+2
q35 64M vfio  all 1+1 2+2 2+2+2
q35 2M  plain all 1+1 2+2 2+2+2
q35 64M plain all 1+1 2+2 2+2+2
pc  2M  plain all 1+1 2+2 2+2+2
pc  1G  plain all 1+1 2+2 2+2+2
'
vectors=4

options_of() { # MACHINE SIZE WAY
    local device=doorbell
    [ "$3" != plain ] || device=plain
    echo "machine=$1" "size=$2" "device=$device" "vectors=$vectors"
    [ "$3" != vfio ] || echo iommu=yes
    # The largest region of a q35 lies above 4 GiB, the others below.
    [ "$1 $2" != 'q35 1G' ] || echo high=yes
}

# One mix of ranks. Each case of the suite counts here.
conformance() { # NAME SIZE MIX
    local job=$1-${3//+/.} cases=() log place code word case
    # CI runs all cases once per way, in its largest mix: a guest without KVM is slow.
    [ "$3" = 2+2+2 ] || [ "$all" = yes ] ||
        cases=(library/r library/p team/w collective/b window/alloc window/load window/many
            transfer/all transfer/sizes_alloc atomic/o signal lock/e lock/s thread/w
            adopt/content adopt/child adopt/no_room block/mapped)
    # What needs more than 2 MiB has no place there.
    [ "$2" != 2M ] || cases=(library team collective window/alloc window/load transfer/all
        strided bounds atomic/o signal lock thread)
    job_server=$1 job_seconds=240
    job_start "$job" "$3" conformance "${cases[@]}"
    for place in a b host; do
        [ -n "${job_pids[$job.$place]:-}" ] || continue
        code=0 log=$rig/$job.$place
        job_wait "$job" "$place" || code=$?
        while read -r word case; do
            case $word in
            ok) pass "$1 $3 $case" ;;
            not) fail "$1 $3 ${case#ok }" ;;
            esac
        done < <(grep -aE '^(not )?ok ' "$log" || true)
        [ "$code" -eq 0 ] || {
            fail "$1 $3 ends well on $place" "exit code $code"
            grep -avE '^ok ' "$log" | tail -n 60 | sed 's/^/    /'
        }
    done
    grep -aqE '^[1-9][0-9]* passed, 0 failed, ' "$rig/$job".* ||
        fail "$1 $3 ends well" "no counts"
    cp "$rig/$job".* "$vm_build/vm/logs/$1"
}

boot() { # NAME OPTION...
    local guest
    for guest in a b; do
        guest_boot "$guest" "server=$1" "${@:2}"
    done
    for guest in a b; do
        guest_wait "$guest"
    done
}

no_complaints() { # GUEST
    ! guest_complaints "$1"
}

end() { # NAME
    local guest
    for guest in a b; do
        if guest_off "$guest"; then
            pass "$1 guest $guest ends"
        else
            fail "$1 guest $guest ends"
        fi
        check "$1 guest $guest complains of nothing" no_complaints "$guest"
    done
    if server_stop "$1"; then
        pass "$1 server ends"
    else
        fail "$1 server ends"
    fi
}

# A rig that sees no failure would let every test pass.
rig() {
    guest_boot a device=none
    if guest_wait a; then
        rig_checks
    else
        fail "rig: a guest boots"
    fi
    guest_kill a
}

save_logs() { # NAME
    local guest
    for guest in a b; do
        cp "$rig/$guest/console" "$vm_build/vm/logs/$1/$guest.console" || true
        cp "$rig/$guest/qemu.log" "$vm_build/vm/logs/$1/$guest.qemu" || true
    done
}

configuration() { # MACHINE SIZE WAY MIX...
    local name=$1-$2-$3 options mix begin=$SECONDS
    mapfile -t options < <(options_of "$@" | tr ' ' '\n')
    mkdir -p "$vm_build/vm/logs/$name"
    if ! server_start "$name" "$2" --vectors "$vectors" || ! boot "$name" "${options[@]}"
    then
        fail "$name boots"
        save_logs "$name"
        guest_kill a
        guest_kill b
        return 0
    fi
    pass "$name boots"
    printf '# %s: booted in %d s\n' "$name" $((SECONDS - begin))
    "checks_$3" "$name" "$1" "$2"
    for mix in "${@:4}"; do
        conformance "$name" "$2" "$mix"
    done
    end "$name"
    save_logs "$name"
    printf '# %s: %d s\n' "$name" $((SECONDS - begin))
}

all=no pattern='*'
for argument in "$@"; do
    case $argument in
    --all) all=yes ;;
    -*)
        sed -n '3,/^set/p' "$0" | sed -n 's/^# \{0,1\}//p' >&2
        exit 2
        ;;
    *) pattern=$argument ;;
    esac
done

check image "$here/image.sh"
[ "$failed" -eq 0 ] || finish
rm -rf "$vm_build/vm/logs"
rig_begin
echo "# $(uname -m), accelerator $VM_ACCEL"
# shellcheck disable=SC2053 # a pattern
[[ rig != $pattern ]] || rig
while read -r -u 3 machine size way part mixes; do
    # shellcheck disable=SC2053,SC2086 # a pattern; words
    if [[ -n $machine && $machine-$size-$way == $pattern ]] &&
        [[ $part = ci || $all = yes ]]; then
        configuration "$machine" "$size" "$way" $mixes
    fi
done 3<<<"$matrix"
[ $((passed + failed)) -gt 1 ] || fail configurations "none matches $pattern"
finish
