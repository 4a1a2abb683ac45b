# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2154
# Sourced after lib.sh: jobs of ranks in guests a and b and on the host.
#   job_start NAME MIX COMMAND...   launchers with so many ranks in a, b and on the host,
#                                   in this order, such as 1+1+2, a 0 for none;
#                                   job_server's region for the host
#   job_says NAME PLACE TEXT SECONDS  until that launcher has printed a line like that
#   job_wait NAME PLACE             its exit code
#   job_forget NAME PLACE           don't wait for it any more
#   job_ends NAME PLACE...          all these end well
#   job_output NAME                 what all have printed
job_server=server
job_seconds=120
job_environment='' # for the ranks, in guests and on the host
declare -A job_pids=()

job_start() { # NAME MIX COMMAND...
    local places=(a b host) counts total=0 first=0 i command
    IFS=+ read -r -a counts <<<"$2"
    for i in "${counts[@]}"; do
        total=$((total + i))
    done
    for i in "${!counts[@]}"; do
        [ "${counts[i]}" -gt 0 ] || continue
        command="export ${job_environment:-_=}; exec tombolo run -n ${counts[i]} \
            --job $1 --np $total --first-rank $first -- ${*:3}"
        first=$((first + counts[i]))
        job_launch "${places[i]}" "$command" >"$rig/$1.${places[i]}" 2>&1 &
        job_pids[$1.${places[i]}]=$!
    done
}

job_launch() { # PLACE COMMAND
    case $1 in
    host)
        TMB_SERVER=$rig/$job_server.server PATH=$vm_build:$PATH \
            timeout -k 5 "$job_seconds" sh -c "$2"
        ;;
    *) guest_run "$1" "$job_seconds" "$2" ;;
    esac
}

job_says() { # NAME PLACE TEXT SECONDS
    vm_await "$4" grep -aq "$3" "$rig/$1.$2" || {
        echo "job $1 didn't say '$3' in $4 s on $2"
        job_output "$1"
        return 1
    }
}

job_wait() { # NAME PLACE
    local code=0
    wait "${job_pids[$1.$2]}" || code=$?
    unset "job_pids[$1.$2]"
    return $code
}

# Its machine has forgotten of it.
job_forget() { # NAME PLACE
    kill "${job_pids[$1.$2]}" 2>/dev/null || true
    job_wait "$1" "$2" || true
}

job_ends() { # NAME PLACE...
    local place failures=0
    for place in "${@:2}"; do
        job_wait "$1" "$place" || failures=$((failures + 1))
    done
    [ $failures -eq 0 ] || job_output "$1"
    return $((failures > 0))
}

job_output() { # NAME
    local file
    for file in "$rig/$1".*; do
        sed "s/^/${file##*.}: /" "$file"
    done
}
