#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# The packages of packages.txt, by section.
#   test/packages.sh list SECTION...      name them
#   test/packages.sh missing SECTION...   name those that aren't installed
#   test/packages.sh install SECTION...   install those, with apt-get where the system
#                                         has it; elsewhere say what is needed
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

list() { # SECTION...
    local section
    for section in "$@"; do
        awk -v section="$section" '$1 == section { print $2; found = 1 }
            END { exit !found }' "$here/packages.txt" || {
            echo "packages.sh: packages.txt has no section $section" >&2
            return 2
        }
    done
}

missing() { # SECTION...
    local package
    list "$@" | while read -r package; do
        [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed* ]] ||
            echo "$package"
    done
}

install() { # SECTION...
    local as=() packages
    if ! command -v apt-get >/dev/null; then
        echo "This system has no apt-get. What is needed, by Debian's names:"
        list "$@" | paste -sd ' ' | fold -s -w 78
        return 0
    fi
    mapfile -t packages < <(missing "$@")
    [ ${#packages[@]} -gt 0 ] || return 0
    echo "Installing: ${packages[*]}"
    if [ "$(id -u)" -ne 0 ]; then
        as=(sudo)
        [ -t 0 ] || as+=(-n) # nobody could type a password
        "${as[@]}" true || {
            echo "Missing, and only root can install them:" >&2
            echo "    apt-get install ${packages[*]}" >&2
            return 1
        }
    fi
    "${as[@]}" apt-get -q update
    "${as[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y \
        --no-install-recommends install "${packages[@]}"
}

command=${1:-}
shift || true
case $command in
list | missing | install) "$command" "$@" ;;
*)
    sed -n '3,/^set/p' "$0" | sed -n 's/^# \{0,1\}//p' >&2
    exit 2
    ;;
esac
