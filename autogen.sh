#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Make ./configure from configure.ac.
set -e
cd "$(dirname "$0")"
mkdir -p .autotools
exec autoreconf --install --force --warnings=all
