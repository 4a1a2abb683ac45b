#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#   test/mixed.sh PROGRAM ARGUMENT...
# Run a rank's program such that only ranks below $MIXED share the region: the others have
# TCP alone, to everybody.
set -euo pipefail
export TMB_PROVIDER=ivshmem,tcp
[ "$TMB_RANK" -lt "$MIXED" ] || TMB_PROVIDER=tcp
exec "$@"
