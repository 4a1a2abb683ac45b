#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Prints, for each function that the given pages have in their NAME section and that is
# not a page itself: its name, and the page that it is in. TYPE in a name stands for the
# types that it is there for.
set -eu
for page in "$@"; do
    awk '/^\.SH/ { inside = $2 == "NAME"; next }
         inside && /^\\-/ { exit }
         inside { gsub(/,/, " "); print }' "$page" | tr -s ' ' '\n' |
        while read -r name; do
            case $name in
            *_and_TYPE | *_or_TYPE | *_xor_TYPE) types='i32 u32 i64 u64' ;;
            *_TYPE) types='i32 u32 i64 u64 f32 f64' ;;
            *) types= ;;
            esac
            for function in ${types:-"$name"}; do
                [ -z "$types" ] || function=${name%TYPE}$function
                [ "$function.3" = "${page##*/}" ] || echo "$function ${page##*/}"
            done
        done
done
