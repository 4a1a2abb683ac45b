#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Unpack the arm64 libraries that Tombolo is built on into a directory, for the cross
# build. Nothing is installed, so that this needs no root and changes no system: apt
# gets lists and a status of its own.
#   test/sysroot.sh DIRECTORY PACKAGE...
set -euo pipefail
root=$1
shift
work=$root.apt

[ ! -e "$root/complete" ] || exit 0
rm -rf "$root" "$work"
mkdir -p "$root" "$work/lists/partial" "$work/cache/archives/partial" "$work/packages"
: >"$work/status"
options=(-q -o APT::Architecture=arm64 -o APT::Architectures=arm64
    -o Dir::State::lists="$work/lists" -o Dir::State::status="$work/status"
    -o Dir::Cache="$work/cache" -o Debug::NoLocking=1 -o APT::Sandbox::User=)
apt-get "${options[@]}" update
(cd "$work/packages" && apt-get "${options[@]}" download "$@")
for package in "$work"/packages/*.deb; do
    dpkg -x "$package" "$root"
done
rm -rf "$work"
touch "$root/complete"
