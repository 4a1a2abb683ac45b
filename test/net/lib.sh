# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# Sourced by what needs several hosts on one machine. A host is a network namespace with a
# link to a bridge, and a PID namespace: so the library sees another host, and all of its
# processes end at once. BUILD is the build directory.
#   net_begin COUNT                  hosts 1 to COUNT, at 10.78.0.1 and so on, and a private
#                                    directory, $work; all ends when the script does. False
#                                    where that isn't permitted: $net_why says why
#   "${net_in[@]}" COMMAND...        in the bridge's namespace, at 10.78.0.254
#   host_run HOST COMMAND...         on a host
#   host_clear HOST                  all its processes end
#   host_end HOST                    as if its machine lost power: nobody hears of it
#   link_set HOST down|up            its link to the bridge
#   link_impair HOST NETEM...        its delay and loss; false where the kernel has no netem
#   server_start HOST                `tombolo server` there, which ranks there find
#   job_start HOSTS PROGRAM...       a rank of PROGRAM on each host of a list such as 1,1,2,
#                                    which meet by TMB_RENDEZVOUS; net_environment is theirs
#   job_says RANK TEXT [SECONDS]     until that rank has printed a line like that
#   job_ended RANK                   its exit code in $code; 137: killed, 124: it hung
#   job_ends CODE...                 all, with these; 0, if none is given
#   job_output                       what all have printed
#   hydra SECONDS RANKS-PER-HOST ARGUMENT...  MPICH's mpiexec, with ranks on all hosts
# A rank prints to $work/rank.N.
net_here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
net_build=$(realpath "${BUILD:-$net_here/../../build}")
net_tombolo=$(realpath "${TOMBOLO:-$net_build/tombolo}")
net_guard=(setpriv --pdeathsig KILL) # nothing outlives a script that was killed
net_in=() net_user=() net_why='' net_environment=() net_hosts=0
declare -A net_pids=()               # of what holds a namespace, by name
job_pids=() job_seconds=120

net_clean() {
    local name
    for name in "${!net_pids[@]}"; do
        net_end "$name"
    done
    rm -rf "$work"
}

net_begin() { # COUNT
    local host
    for host in "${!TMB_@}"; do
        unset "$host"
    done
    work=$(mktemp -d)
    trap net_clean EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
    net_make "$1" >"$work/net.log" 2>&1 && return
    # shellcheck disable=SC2034 # for who calls
    net_why="no network namespaces here: $(tail -n 1 "$work/net.log")"
    return 1
}

net_make() { # COUNT
    local host root=()
    [ "$(id -u)" -eq 0 ] || root=(--map-root-user)
    net_hold bridge unshare --net "${root[@]}" || return
    [ "$(id -u)" -eq 0 ] || net_user=(--user --preserve-credentials)
    net_in=(nsenter "--target=${net_pids[bridge]}" --net "${net_user[@]}" --)
    "${net_in[@]}" ip link add br0 type bridge &&
        "${net_in[@]}" ip address add 10.78.0.254/24 dev br0 &&
        "${net_in[@]}" ip link set br0 up &&
        "${net_in[@]}" ip link set lo up || return
    for ((host = 1; host <= $1; host++)); do
        host_make "$host" || return
    done
    net_hosts=$1
}

# Hold a namespace by a process that is made in it.
net_hold() { # NAME UNSHARE...
    "${net_guard[@]}" "${@:2}" sleep infinity </dev/null &
    net_pids[$1]=$!
    net_await 10 net_is_apart "$1"
}

net_is_apart() { # NAME
    [ "$(readlink /proc/self/ns/net)" != "$(readlink "/proc/${net_pids[$1]}/ns/net")" ]
}

net_end() { # NAME
    kill -KILL "${net_pids[$1]}" 2>/dev/null || true
    wait "${net_pids[$1]}" 2>/dev/null || true
    unset "net_pids[$1]"
}

net_await() { # SECONDS COMMAND...
    local end=$((SECONDS + $1 + 1))
    while ((SECONDS < end)); do
        ! "${@:2}" || return 0
        sleep 0.02
    done
    return 1
}

host_make() { # HOST
    local enter=()
    [ ${#net_user[@]} -eq 0 ] ||
        enter=(nsenter "--target=${net_pids[bridge]}" "${net_user[@]}" --)
    net_hold "$1" "${enter[@]}" unshare --net --pid --mount-proc --fork --kill-child || return
    net_await 10 host_first "$1" >/dev/null &&
        "${net_in[@]}" ip link add "link$1" type veth peer name eth0 netns \
            "${net_pids[$1]}" &&
        "${net_in[@]}" ip link set "link$1" master br0 up &&
        host_run "$1" ip link set lo up &&
        host_run "$1" ip address add "10.78.0.$1/24" dev eth0 &&
        host_run "$1" ip link set eth0 up
}

# The first process of its PID namespace.
host_first() { # HOST
    pgrep -P "${net_pids[$1]}"
}

host_run() { # HOST COMMAND...
    "${net_guard[@]}" nsenter "--target=$(host_first "$1")" --net --pid --mount \
        "${net_user[@]}" -- "${@:2}"
}

server_start() { # HOST
    host_run "$1" "$net_tombolo" server --socket "$work/server.$1" --size 256M \
        >"$work/server.$1.log" 2>&1 </dev/null &
    net_await 10 test -S "$work/server.$1" || {
        cat "$work/server.$1.log"
        return 1
    }
}

# But for the first one, which ignores it, and by which a host is known.
host_clear() { # HOST
    # shellcheck disable=SC2016 # for that shell
    host_run "$1" bash -c '[ "$(</proc/1/comm)" = sleep ] && kill -KILL -1' 2>/dev/null ||
        true
}

host_end() { # HOST
    link_set "$1" down
    net_end "$1"
}

link_set() { # HOST down|up
    "${net_in[@]}" ip link set "link$1" "$2"
}

link_impair() { # HOST NETEM...
    host_run "$1" tc qdisc replace dev eth0 root netem "${@:2}"
}

job_start() { # HOSTS PROGRAM...
    local hosts rank
    IFS=, read -r -a hosts <<<"$1"
    job_pids=()
    rm -f "$work"/rank.? # or what a former job said would be taken for this one's
    for rank in "${!hosts[@]}"; do
        host_run "${hosts[rank]}" env TMB_RENDEZVOUS="10.78.0.${hosts[0]}:7100" \
            TMB_SECRET=a-secret-of-some-length TMB_RANK="$rank" TMB_SIZE=${#hosts[@]} \
            TMB_SERVER="$work/server.${hosts[rank]}" "${net_environment[@]}" \
            timeout -k 5 "$job_seconds" "${@:2}" >"$work/rank.$rank" 2>&1 </dev/null &
        job_pids[rank]=$!
    done
}

job_says() { # RANK TEXT [SECONDS]
    net_await "${3:-60}" grep -aq "$2" "$work/rank.$1" || {
        echo "rank $1 didn't say '$2'"
        job_output
        return 1
    }
}

job_ended() { # RANK
    code=0
    wait "${job_pids[$1]}" || code=$?
}

job_ends() { # CODE...
    local rank bad=0 wanted
    for rank in "${!job_pids[@]}"; do
        wanted=${*:rank+1:1}
        job_ended "$rank" 2>/dev/null # the shell tells who was killed
        [ "$code" -eq "${wanted:-0}" ] || bad=1
    done
    [ "$bad" -eq 0 ] || job_output
    return $bad
}

job_output() {
    local rank
    for rank in "${!job_pids[@]}"; do
        sed "s/^/rank $rank: /" "$work/rank.$rank"
    done
}

# It runs beside the hosts, and reaches them through us instead of ssh.
hydra() { # SECONDS RANKS-PER-HOST ARGUMENT...
    local host list=''
    for ((host = 1; host <= net_hosts; host++)); do
        list+=${list:+,}host$host
        host_first "$host" >"$work/host$host"
    done
    NET_WORK=$work timeout -k 5 "$1" "${net_in[@]}" mpiexec.hydra -launcher ssh \
        -launcher-exec "$net_here/launcher.sh" -localhost 10.78.0.254 -wdir "$work" \
        -hosts "$list" -ppn "$2" -n $(($2 * net_hosts)) "${@:3}"
}
