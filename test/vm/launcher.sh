#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# What mpiexec takes for ssh (guest_mpiexec in lib.sh): launcher.sh -x GUEST COMMAND...
set -euo pipefail
[ "$1" != -x ] || shift
exec python3 "$(dirname "$0")/guest.py" feed "$VM_RIG/$1" "$VM_SECONDS" "${*:2}"
