#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# QEMU's own ivshmem-doorbell connects to `tombolo server`, and finds the region. No guest
# runs: the machines are made, and stopped before their first instruction.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/report.sh
. "$here/report.sh"
tombolo=$(realpath "${TOMBOLO:-$here/../build/tombolo}")
qemu=$(command -v qemu-system-x86_64) || {
    skip server-qemu "there is no qemu-system-x86_64 here"
    finish
}
for variable in ${!TMB_@}; do
    unset "$variable"
done

work=$(mktemp -d)
socket=$work/server
started=() # PIDs
clean() {
    [ ${#started[@]} -eq 0 ] || kill -KILL "${started[@]}" 2>/dev/null || true
    rm -rf "$work"
}
trap clean EXIT

await() { # COMMAND...: until it succeeds; 20 s at most
    for _ in {1..400}; do
        ! "$@" || return 0
        sleep 0.05
    done
    echo "waited in vain for: $*"
    return 1
}

start() { # NAME COMMAND...
    "${@:2}" </dev/null >"$work/$1.log" 2>&1 &
    started+=($!)
    printf '%s\n' $! >"$work/$1.pid"
}

machine() { # NAME VECTORS
    start "$1" "$qemu" -S -machine q35,accel=tcg -m 64 -display none -nodefaults \
        -no-user-config -chardev "socket,path=$socket,id=c" \
        -device "ivshmem-doorbell,vectors=$2,chardev=c,id=tombolo" \
        -qmp "unix:$work/$1.qmp,server=on,wait=off"
}

# What QEMU says of a machine: one value per line.
cat >"$work/ask.py" <<'END'
import json, socket, sys
qmp = socket.socket(socket.AF_UNIX)
qmp.settimeout(20)
qmp.connect(sys.argv[1])
lines = qmp.makefile("rw")
def ask(command, **arguments):
    lines.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
    lines.flush()
    while True:
        answer = json.loads(lines.readline())
        if "error" in answer:
            sys.exit(f"{command}: {answer['error']['desc']}")
        if "return" in answer:
            return answer["return"]
lines.readline()
ask("qmp_capabilities")
path = "/machine/peripheral/tombolo"
names = {entry["name"] for entry in ask("qom-list", path=path)}
assert {"realized", "vectors", "chardev"} <= names, names
print("realized", ask("qom-get", path=path, property="realized"))
print("vectors", ask("qom-get", path=path, property="vectors"))
for bus in ask("query-pci"):
    for device in bus["devices"]:
        if device["qdev_id"] == "tombolo":
            print("id {vendor:04x}:{device:04x}".format(**device["id"]))
            for region in device["regions"]:
                print("bar", region["bar"], region["type"], region["size"])
print("status", ask("query-status")["status"])
if sys.argv[2:] == ["quit"]:
    ask("quit")
END

ask() { # NAME [quit]
    await test -S "$work/$1.qmp"
    timeout 30 python3 "$work/ask.py" "$work/$1.qmp" "${@:2}"
}

device_is_there() { # NAME VECTORS BYTES
    local answer line
    answer=$(ask "$1") || { cat "$work/$1.log"; false; }
    echo "$answer"
    for line in "realized True" "vectors $2" "id 1af4:1110" "bar 2 memory $3"; do
        grep -qx -- "$line" <<<"$answer" || { echo "missing: $line"; false; }
    done
    [ ! -s "$work/$1.log" ] || { cat "$work/$1.log"; false; }
}

ended() { # NAME
    [ ! -e "/proc/$(cat "$work/$1.pid")" ] ||
        [ "$(awk '{ print $3 }' "/proc/$(cat "$work/$1.pid")/stat")" = Z ]
}

runs() { # NAME
    ! ended "$1"
}

quits() { # NAME
    ask "$1" quit
    await ended "$1"
}

# The states of the server's slots, and who is in them, read as a client reads them.
cat >"$work/slots.py" <<'END'
import mmap, socket, struct, sys
server = socket.socket(socket.AF_UNIX)
server.settimeout(20)
server.connect(sys.argv[1])
fds = []
while not fds:
    data, fds, _, _ = socket.recv_fds(server, 8, 1)
region = mmap.mmap(fds[0], 0)
slots, = struct.unpack_from("<Q", region, 40)
count, = struct.unpack_from("<I", region, 72)
live = [s for s in (struct.unpack_from("<IIIIiIq", region, slots + i * 256)
                    for i in range(count)) if s[0] & 255 == 2]
print(*sorted(str(s[6]) for s in live), sep="\n")
END

has_slot() { # NAME
    grep -qx "$(cat "$work/$1.pid")" < <(timeout 30 python3 "$work/slots.py" "$socket")
}

has_no_slot() { # NAME
    ! has_slot "$1"
}

server_lives() {
    runs server
    [ ! -s "$work/server.log" ] || { cat "$work/server.log"; false; }
}

# A rank can use the region while machines are connected.
ranks_beside() {
    timeout 60 "$tombolo" run -n 2 --server "$socket" -- true
}

server_ends() {
    kill -TERM "$(cat "$work/server.pid")"
    await ended server
    [ ! -e "$socket" ]
}

start server "$tombolo" server --socket "$socket" --size 64M --vectors 8
check server-listens await test -S "$socket"
machine first 8
check first-machine device_is_there first 8 67108864
machine second 8
check second-machine device_is_there second 8 67108864
check first-machine-still device_is_there first 8 67108864
check slots await has_slot first
check second-slot await has_slot second
check ranks-beside ranks_beside
kill -KILL "$(cat "$work/second.pid")"
wait "$(cat "$work/second.pid")" 2>/dev/null || true
check killed-machine-frees-its-slot await has_no_slot second
check first-machine-goes-on device_is_there first 8 67108864
machine third 8
check third-machine device_is_there third 8 67108864
check third-quits quits third
check first-quits quits first
check slots-are-free await has_no_slot first
check server-lives server_lives
check server-ends server_ends
finish
