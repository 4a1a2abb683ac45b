#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# What mpiexec takes for ssh (hydra in lib.sh): launcher.sh -x HOST COMMAND...
set -euo pipefail
[ "$1" != -x ] || shift
user=()
[ "$(readlink "/proc/$(<"$NET_WORK/$1")/ns/user")" = "$(readlink /proc/self/ns/user)" ] ||
    user=(--user --preserve-credentials)
# A shell takes the words apart, as a remote one would.
exec nsenter "--target=$(<"$NET_WORK/$1")" --net --pid --mount "${user[@]}" -- \
    bash -c "${*:2}"
