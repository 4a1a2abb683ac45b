#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Two guests to play with: they share a region, and a network with each other only.
#   test/vm/shell.sh [SIZE [OPTION=VALUE...]]    the region's size (64M), and what
#                                                guest_boot of lib.sh takes, for both
# BUILD is the build directory. All ends when you leave it.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/lib.sh
. "$here/lib.sh"
size=${1:-64M}
[[ $size =~ ^[0-9]+[MG]$ ]] || {
    sed -n '3,/^set/p' "$0" | sed -n 's/^# \{0,1\}//p' >&2
    exit 2
}

attach() { # GUEST
    echo "socat -,raw,echo=0,escape=0x1d unix-connect:$rig/$1/serial"
}

in_tmux() {
    local tmux=(tmux -L "tombolo-$$") # a server of its own
    unset TMUX
    "${tmux[@]}" new-session -d -n guests "$(attach a)"
    trap 'tmux -L "tombolo-$$" kill-server 2>/dev/null || true; vm_clean' EXIT
    "${tmux[@]}" split-window -h "$(attach b)"
    "${tmux[@]}" attach
}

by_hand() {
    cat <<EOF
Their consoles, which ctrl-] leaves:
    $(attach a)
    $(attach b)
EOF
    command -v socat >/dev/null || echo "(for which socat is to be installed)"
    echo "Enter ends them."
    read -r || true
}

"$here/image.sh"
rig_begin
echo "Starting two guests, by $VM_ACCEL ..."
net=(tap tap)
net_begin 2>/dev/null || net=(listen connect)
server_start server "$size" --vectors 8
guest_boot a shell=yes vectors=8 "size=$size" "net=${net[0]}" "${@:2}"
guest_boot b shell=yes vectors=8 "size=$size" "net=${net[1]}" "${@:2}"
guest_wait a
guest_wait b
cat <<EOF
In guest a (10.77.0.1) and b (10.77.0.2): modprobe tombolo_uio; tombolo info
On this host: TMB_SERVER=$rig/server.server
Their files, such as the kernel's messages: $rig/a and $rig/b
EOF
if [ -t 0 ] && command -v tmux >/dev/null && command -v socat >/dev/null; then
    in_tmux
else
    by_hand
fi
