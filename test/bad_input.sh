#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# What a new user gets wrong: each gives its errno or exit code, one line that says what
# was wrong, and leaves nothing behind.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/report.sh
. "$here/report.sh"
build=$(realpath "${BUILD:-$here/../build}")
tombolo=$(realpath "${TOMBOLO:-$build/tombolo}")
program=$build/bad_input
for variable in ${!TMB_@}; do
    unset "$variable"
done

work=$(mktemp -d)
clean() {
    local pid
    while read -r pid; do
        kill "$pid" 2>/dev/null || true
    done <"$work/servers"
    rm -rf "$work"
}
: >"$work/servers" # their PIDs
: >"$work/begin"
trap clean EXIT
export XDG_RUNTIME_DIR=$work/run TMPDIR=$work/tmp
mkdir -m 700 "$XDG_RUNTIME_DIR" "$TMPDIR"
export BAD_INPUT_MARK=$$-$RANDOM

# ---- helpers ----

# Run with a time limit; the code in $code, output in files out and err.
try() { # COMMAND...
    code=0
    timeout -k 5 60 "$@" >"$work/out" 2>"$work/err" </dev/null || code=$?
}

is() { # WHAT FOUND EXPECTED
    [ "$2" = "$3" ] || { echo "$1: $2, not $3"; cat "$work/err"; false; }
}

says() { # LEVEL TEXT...: it is all that is said, in one line, with each of the texts
    local text
    is "lines said" "$(wc -l <"$work/err")" 1
    grep -q "$1" "$work/err" || { echo "no $1:"; cat "$work/err"; false; }
    for text in "${@:2}"; do
        grep -qF -- "$text" "$work/err" || { echo "not said: $text"; cat "$work/err"; false; }
    done
}

error() { # TEXT...
    says '^tombolo: .*error: ' "$@"
}

# Processes of the build that were started here, but for servers that serve several cases.
marked() {
    local process
    grep -lsa "BAD_INPUT_MARK=$BAD_INPUT_MARK" /proc/[0-9]*/environ | while read -r process; do
        case $(readlink "${process%/environ}/exe") in
        "$build"/*) echo "$process" ;;
        esac
    done
}

# In the background until the script ends; 15 minutes at most.
serve() { # COMMAND...
    env -u BAD_INPUT_MARK timeout 900 "$@" </dev/null >/dev/null 2>"$work/serve.err" &
    echo $! >>"$work/servers"
}

nothing_left() {
    is "left running" "$(marked)" ''
    is "left in the temporary directories" "$(find "$XDG_RUNTIME_DIR" "$TMPDIR" -mindepth 1)" ''
    is "left in /dev/shm" "$(find /dev/shm -name '*tombolo*' -newer "$work/begin")" ""
}

# `name` as a job of one gets the errno by tmb_init, and the line.
init_fails() { # SERVER ERRNO TEXT...
    TMB_SERVER=$1 try "$program" init
    is code "$code" 0
    is errno "$(cat "$work/out")" "$2"
    error "${@:3}"
    nothing_left
}

await() { # COMMAND...: until it succeeds; 10 s at most
    for _ in {1..500}; do
        ! "$@" || return 0
        sleep 0.02
    done
    echo "waited in vain for: $*"
    return 1
}

listens() { # SOCKET
    grep -qF -- " $1" /proc/net/unix
}

# A server that says what it is told to: the protocol's version, and the region's bytes.
cat >"$work/fake.py" <<'END'
import os, socket, struct, sys
path, protocol, size, start = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
memory = os.memfd_create("fake")
os.ftruncate(memory, size)
os.pwrite(memory, bytes.fromhex(start), 0)
listener = socket.socket(socket.AF_UNIX)
listener.bind(path)
listener.listen()
while True:
    client, _ = listener.accept()
    try:
        client.sendall(struct.pack("<qq", protocol, 0))
        socket.send_fds(client, [struct.pack("<q", -1)], [memory])
        client.recv(1)
    except OSError:
        pass
    client.close()
END

# Its path in $fake. It ends with the script.
fake() { # NAME PROTOCOL SIZE HEX
    fake=$work/$1
    serve python3 "$work/fake.py" "$fake" "${@:2}"
    await listens "$fake"
}

magic=544f4d424f4c4f00 # "TOMBOLO"

# ---- servers ----

no_server() {
    init_fails "$work/none" ENOENT "no server listens at $work/none"
    try "$tombolo" run -n 2 --server "$work/none" "$program" init
    is code "$code" 1
    says "server $work/none: No such file or directory"
    nothing_left
}

dead_server() {
    python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' \
        "$work/dead"
    init_fails "$work/dead" ECONNREFUSED "no server listens at $work/dead"
}

no_socket() {
    echo text >"$work/text"
    init_fails "$work/text" ECONNREFUSED "no server listens at $work/text"
}

# Who may not connect: another user; for who isn't root, that is who lacks the mode bits.
no_permission() {
    local as=()
    if [ "$(id -u)" -eq 0 ]; then
        as=(setpriv --reuid 65534 --regid 65534 --clear-groups)
    else
        chmod 000 "$real"
    fi
    TMB_SERVER=$real try "${as[@]}" "$program" init
    [ "$(id -u)" -eq 0 ] || chmod 600 "$real"
    is code "$code" 0
    is errno "$(cat "$work/out")" EACCES
    error "$real" "may not connect"
    nothing_left
}

other_layout() {
    fake layout 0 1048576 "${magic}0700000040100000"
    init_fails "$fake" EPROTO "layout version 7" "knows 2"
}

other_protocol() {
    fake protocol 1 1048576 "$magic"
    init_fails "$fake" EPROTO "$fake" "version 1"
}

garbage_region() {
    fake garbage 0 1048576 "$(printf 'a5%.0s' {1..4096})"
    init_fails "$fake" EPROTO "magic 0xa5a5a5a5a5a5a5a5"
}

damaged_region() {
    fake damaged 0 1048576 "${magic}0200000040100000$(printf 'ff%.0s' {1..80})"
    init_fails "$fake" EPROTO "header does not fit" 1048576
}

small_region() {
    fake small 0 4096 "$magic"
    init_fails "$fake" EPROTO "region" 4096
}

silent_server() {
    serve python3 -c '
import socket, sys, time
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
time.sleep(300)' "$work/silent"
    await listens "$work/silent"
    TMB_INIT_TIMEOUT=300ms init_fails "$work/silent" ETIMEDOUT "$work/silent" "said nothing"
}

# ---- plain memory ----

device_fails() { # DEVICE ERRNO TEXT...
    TMB_IVSHMEM_DEVICE=$1 try "$program" init
    is code "$code" 0
    is errno "$(cat "$work/out")" "$2"
    error "${@:3}"
    nothing_left
}

plain_no_file() {
    device_fails "plain:$work/none" ENOENT "$work/none" "truncate"
}

plain_no_region() {
    truncate -s 4096 "$work/plain"
    device_fails "plain:$work/plain" EINVAL "$work/plain" "too small"
    truncate -s 3M "$work/plain"
    device_fails "plain:$work/plain" EPROTO 3145728 "power of two"
    printf 'a5%.0s' {1..100} >"$work/plain"
    truncate -s 2M "$work/plain"
    device_fails "plain:$work/plain" EPROTO "$work/plain" "byte 0" "left alone"
    is "first byte" "$(head -c 1 "$work/plain")" a
    device_fails "plain:$work" EISDIR "$work"
}

# This machine is a host, or else a guest without the module.
no_device() {
    device_fails uio ENOENT "TMB_IVSHMEM_DEVICE=uio"
    device_fails ffff:ff:1f.7 ENOENT "TMB_IVSHMEM_DEVICE=ffff:ff:1f.7" "no such"
    device_fails plain:ffff:ff:1f.7 ENOENT "no such"
}

# A broker that says nonsense, or nothing, to whoever connects.
no_broker() {
    device_fails "vfio:$work/none" ENOENT "no broker listens" "tombolo broker"
    serve python3 -c '
import socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
while True:
    client, _ = listener.accept()
    client.recv(64)
    client.sendall(b"x" * 96)
    client.close()' "$work/broker"
    await listens "$work/broker"
    device_fails "vfio:$work/broker" EPROTO "$work/broker" "no broker of Tombolo"
    try "$tombolo" broker --device ffff:ff:1f.7 --socket "$work/never"
    is code "$code" 1
    error "no ivshmem device ffff:ff:1f.7"
    nothing_left
}

device_and_server() {
    TMB_SERVER=$real device_fails "plain:$work/plain" EINVAL "one region"
}

# Where a server can't listen.
taken_socket() {
    try "$tombolo" server --socket "$real"
    is code "$code" 1
    error "$real exists"
    try "$tombolo" server --socket "$work/none/socket"
    is code "$code" 1
    error "$work/none/socket" "No such file or directory"
    local long
    long=$work/$(printf 'x%.0s' {1..200})
    try "$tombolo" server --socket "$long"
    is code "$code" 1
    error "${long:0:100}" "longer than 107"
    nothing_left
}

# ---- sizes ----

server_size() { # SIZE TEXT
    try "$tombolo" server --socket "$work/never" --size "$1"
    is code "$code" 2
    grep -qF -- "$2" "$work/err" || { cat "$work/err"; false; }
    [ ! -e "$work/never" ]
    nothing_left
}

run_size() { # SIZE TEXT
    try "$tombolo" run -n 2 --region-size "$1" "$program" init
    is code "$code" 2
    grep -qF -- "$2" "$work/err" || { cat "$work/err"; false; }
    nothing_left
}

small_sizes() {
    server_size 4K "--size 4K"
    server_size 3M "--size 3M: must be a power of two"
    server_size 0 "--size 0"
    server_size many "--size many"
    run_size 4K "--region-size 4K"
    run_size 3M "--region-size 3M: must be a power of two"
}

# ---- commands ----

no_ranks() {
    try "$tombolo" run -n 0 "$program" init
    is code "$code" 2
    grep -qF -- "-n 0: must be a number from 1 to" "$work/err"
    nothing_left
}

no_program() {
    try "$tombolo" run -n 2 -- "$work/no-program"
    is code "$code" 127
    says "can't execute $work/no-program: No such file or directory"
    nothing_left
}

no_provider() {
    TMB_PROVIDER=nonsense try "$program" init
    is code "$code" 0
    is errno "$(cat "$work/out")" EINVAL
    error "TMB_PROVIDER=nonsense"
    nothing_left
    TMB_PROVIDER=nonsense try "$tombolo" run -n 2 "$program" init
    is code "$code" 2
    says "TMB_PROVIDER=nonsense: there is no provider"
    nothing_left
}

# A job of one rank alone has no better provider than it asks for.
wrong_tcp() {
    local setting
    for setting in TMB_TCP_INTERFACE=none0 TMB_TCP_PORTS=9-8 TMB_TCP_PORTS=1 \
        TMB_TCP_FABRIC=none TMB_TCP_CONGESTION=none; do
        try env TMB_PROVIDER=tcp TMB_TCP_INTERFACE=lo "$setting" "$program" init
        is code "$code" 0
        is errno "$(cat "$work/out")" EINVAL
        error "$setting"
        nothing_left
    done
    try env TMB_PROVIDER=tcp TMB_TCP_INTERFACE=lo TMB_TCP_PORTS=47001-47001 "$program" init
    is errno "$(cat "$work/out")" EADDRINUSE
    error "TMB_TCP_PORTS=47001-47001: none is free" "each rank takes two"
    nothing_left
}

# libfabric without TCP: by itself the job has no provider; with a region it needs none.
no_libfabric_tcp() {
    local filter
    for filter in ^tcp shm nonsense; do
        try env TMB_PROVIDER=tcp TMB_TCP_INTERFACE=lo FI_PROVIDER="$filter" "$program" init
        is code "$code" 0
        is errno "$(cat "$work/out")" ENODEV
        error "TMB_PROVIDER=tcp: no provider can be used here: tcp: libfabric" \
            "FI_PROVIDER=$filter; unset that"
        nothing_left
    done
    # shellcheck disable=SC2016 # the rank's shell expands it
    FI_PROVIDER=^tcp TMB_LOG=error try "$tombolo" run -n 2 -- env -u TMB_SERVER \
        "$program" init
    is errno "$(sort -u "$work/out")" ENODEV
    is "lines said" "$(grep 'TMB_PROVIDER=auto: no provider can be used here: ivshmem: no' \
        "$work/err" | grep -c '; tcp: libfabric .*FI_PROVIDER=^tcp; unset that$')" 2
    is "all lines" "$(wc -l <"$work/err")" 2
    FI_PROVIDER=^tcp try "$tombolo" run -n 2 -- "$program" init
    is errno "$(sort -u "$work/out")" 0
    is "lines said" "$(wc -l <"$work/err")" 0
    nothing_left
}

# Of libfabric's others what can't do it: by its own account, or when it is opened.
wrong_fabric() {
    local fabric
    for fabric in nonsense shm; do
        try env TMB_PROVIDER=tcp TMB_TCP_INTERFACE=lo TMB_TCP_FABRIC="$fabric" \
            "$program" init
        is errno "$(cat "$work/out")" EINVAL
        error "TMB_TCP_FABRIC=$fabric" "no such provider" fi_info
    done
    nothing_left
}

# Two ranks' ports, for three ranks: those that get none say so, and nobody waits.
few_ports() {
    local start=$SECONDS text="TMB_TCP_PORTS=47011-47014: none is free at 127.0.0.1; each"
    TMB_PROVIDER=tcp TMB_TCP_INTERFACE=lo TMB_TCP_PORTS=47011-47014 \
        try "$tombolo" run -n 3 "$program" init
    is code "$code" 0
    is errno "$(sort -u "$work/out")" EADDRINUSE
    [ "$(grep -cF "error: $text rank takes two" "$work/err")" -ge 1 ]
    is "other lines" "$(grep -cvF "$text" "$work/err")" 0
    [ $((SECONDS - start)) -lt 30 ]
    nothing_left
}

wrong_values() {
    local setting
    for setting in TMB_LOG=loud TMB_SPIN=2 TMB_OP_TIMEOUT=soon TMB_INIT_TIMEOUT=-1s \
        TMB_IVSHMEM_CMA=perhaps TMB_IVSHMEM_PRIVATE_SIZE=1Q; do
        try env "$setting" "$program" init
        is errno "$(cat "$work/out")" EINVAL
        error "$setting: must be"
    done
    nothing_left
}

# ---- calls ----

# Alone, and as rank 0 of two.
call_fails() { # MODE ERRNO TEXT...
    local launcher=() launchers=('' "$tombolo run -n 2")
    for launcher in "${launchers[@]}"; do
        # shellcheck disable=SC2086 # words, or none
        try $launcher "$program" "$1"
        is code "$code" 0
        is errno "$(cat "$work/out")" "$2"
        error "${@:3}"
        nothing_left
    done
}

ranks() {
    call_fails rank-negative EINVAL tmb_get window "rank -1"
    try "$program" rank-beyond
    is errno "$(cat "$work/out")" EINVAL
    error tmb_put "rank 1 " "1 ranks"
    try "$tombolo" run -n 2 "$program" rank-beyond
    is errno "$(cat "$work/out")" EINVAL
    error tmb_put "rank 2 " "2 ranks"
    call_fails team-rank-beyond EINVAL tmb_team_translate "is not in the team"
    nothing_left
}

offsets() {
    call_fails offset-wraps-put ERANGE tmb_put window "8 bytes at offset 18446744073709551612"
    call_fails offset-wraps-get ERANGE tmb_get window "8 bytes at offset 18446744073709551612"
    call_fails size-wraps ERANGE tmb_put window "18446744073709551584 bytes at offset 64"
    call_fails offset-beyond ERANGE tmb_put window "8 bytes at offset 4092" "4096 bytes"
}

# The same mistake in every call: each returns the errno, and says one line of that form.
every_call_fails() { # MODE ERRNO LEAST PATTERN
    local calls
    try "$tombolo" run -n 2 "$build/bad_calls" "$1"
    is code "$code" 0
    calls=$(wc -l <"$work/out")
    [ "$calls" -ge "$3" ] || { echo "only $calls calls"; cat "$work/out" "$work/err"; false; }
    is "calls that returned $2" "$(grep -c " $2\$" "$work/out")" "$calls"
    is "lines said" "$(wc -l <"$work/err")" "$calls"
    is "lines of that form" \
        "$(grep -cE "^tombolo: \[0\] error: tmb_[a-z_]+: $4\$" "$work/err")" "$calls"
    nothing_left
}

every_call() {
    every_call_fails rank EINVAL 24 \
        '((window|team) 0x[0-9a-f]+: )?rank -?[0-9]+ is not in (its|the) (team|job) of 2 ranks'
    every_call_fails offset ERANGE 15 "window 0x[0-9a-f]+: [0-9]+ bytes at offset [0-9]+ \
don't lie in rank 0's part of 64 bytes"
    every_call_fails freed EBADF 16 'window 0x[0-9a-f]+: no such window, or already freed'
}

# A part that fits nowhere: the sizes are said, and where a larger region comes from.
too_large() {
    try "$tombolo" run -n 2 --region-size 1M "$build/bad_calls" large
    is code "$code" 0
    is "the call" "$(cat "$work/out")" "tmb_win_alloc ENOMEM"
    error "region of 1024 KiB" "1099511627776 bytes" "--region-size"
    nothing_left
    TMB_IVSHMEM_PRIVATE_SIZE=2M try "$build/bad_calls" large
    is "the call" "$(cat "$work/out")" "tmb_win_alloc ENOMEM"
    error "region of 2048 KiB" "1099511627776 bytes" TMB_IVSHMEM_PRIVATE_SIZE
    nothing_left
}

free_twice() {
    try "$program" free-twice
    is code "$code" 0
    is errno "$(cat "$work/out")" EBADF
    error tmb_win_free window "already freed"
    nothing_left
    try "$tombolo" run -n 2 "$program" free-twice # both do: it is collective
    is code "$code" 0
    is errno "$(cat "$work/out")" EBADF
    is "lines said" "$(grep -c 'already freed' "$work/err")" 2
    nothing_left
}

finalize_with_windows() {
    try "$program" finalize-with-windows
    is code "$code" 0
    is errno "$(cat "$work/out")" 0
    says '^tombolo: .*warn[a-z]*: ' tmb_finalize window "4096 bytes" "was not freed"
    nothing_left
}

# What is left open on a server that lives on is freed with the job.
windows_left_on_server() {
    local round
    for round in {1..20}; do
        try env TMB_SERVER="$real" "$program" finalize-with-windows
        is "round $round: errno" "$(cat "$work/out")" 0
    done
    nothing_left
}

[ -x "$program" ] || { fail bad_input "there is no $program: build first"; finish; }
# Another user reaches the socket's directory: only the socket's mode stands against it.
chmod 755 "$work"
real=$work/real
serve "$tombolo" server --socket "$real" --size 1M
check real-server await listens "$real"

check no-server no_server
check dead-server dead_server
check no-socket no_socket
if [ "$(id -u)" -eq 0 ] && ! setpriv --reuid 65534 --regid 65534 --clear-groups \
    "$program" init >/dev/null 2>&1; then
    skip no-permission "another user can't run $program"
else
    check no-permission no_permission
fi
check other-layout other_layout
check other-protocol other_protocol
check garbage-region garbage_region
check damaged-region damaged_region
check small-region small_region
check silent-server silent_server
check plain-no-file plain_no_file
check plain-no-region plain_no_region
check no-device no_device
check no-broker no_broker
check device-and-server device_and_server
check taken-socket taken_socket
check small-sizes small_sizes
check no-ranks no_ranks
check no-program no_program
check no-provider no_provider
if grep -qx '  tcp' < <("$tombolo" info); then
    check "wrong settings of tcp" wrong_tcp
    check "no tcp in libfabric" no_libfabric_tcp
    check "wrong providers of libfabric" wrong_fabric
    check "few ports for tcp" few_ports
else
    skip "wrong settings of tcp" "the provider is not built (libfabric)"
fi
check wrong-values wrong_values
check ranks ranks
check offsets offsets
check every-call every_call
check too-large too_large
check free-twice free_twice
check finalize-with-windows finalize_with_windows
check windows-left-on-server windows_left_on_server
finish
