#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Install what is missing, build every variant, run every suite, and sum up in a last
# line `N passed, N failed, N skipped`. Logs stay in build/test-logs.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
logs=build/test-logs

# name, variant, seconds it may take, command (in test/)
suites='
packages             -         900  packages.sh install build test
style                -         180  style.sh
gcc-build            gcc       600  build
gcc-unit             gcc       300  unit.sh
gcc-conformance      gcc      1500  conformance.sh
gcc-cli              gcc       300  cli.sh
gcc-bad_input        gcc       300  bad_input.sh
gcc-job              gcc       300  job.sh
gcc-bootstrap        gcc       300  bootstrap.sh
gcc-slurm            gcc       600  slurm.sh
gcc-fault            gcc       600  fault.sh
gcc-net              gcc       600  net/conformance.sh
gcc-net-faults       gcc       600  net/faults.sh
gcc-net-scale        gcc       600  net/scale.sh
gcc-examples         gcc       300  examples.sh
quickstart           -         600  quickstart.sh
gcc-perf             gcc       600  perf.sh
gcc-man              gcc       120  man.sh
gcc-server_qemu      gcc       300  server_qemu.sh
gcc-server_restart   gcc       300  server_restart.sh
gcc-install          gcc       900  install.sh
gcc-vm               gcc      1800  vm/run.sh
gcc-vm-across        gcc       900  vm/across.sh
gcc-vm-faults        gcc       900  vm/faults.sh
gcc-vm-mpich         gcc       600  vm/mpich.sh
gcc-vm-net           gcc       900  vm/net.sh
gcc-vm-bad_input     gcc       300  vm/bad_input.sh
gcc-vm-bench         gcc       300  vm/bench_test.sh
gcc-mpich            gcc      1200  mpich.sh
gcc-mpich-start      gcc       600  mpich_start.sh
gcc-mpich-bench      gcc       300  mpich/bench.sh --quick
gcc-kmod             gcc       300  kmod.sh
model                -         900  model.sh
clang-build          clang     600  build
clang-unit           clang     300  unit.sh
clang-conformance    clang     600  conformance.sh
asan-build           asan      600  build
asan-unit            asan      600  unit.sh
asan-conformance     asan      900  conformance.sh
asan-fault           asan      900  fault.sh
asan-mpich           asan      600  mpich.sh adapter tcp
asan-server_restart  asan      300  server_restart.sh
asan-cli             asan      600  cli.sh
asan-job             asan      600  job.sh
asan-bootstrap       asan      600  bootstrap.sh
asan-bad_input       asan      600  bad_input.sh
asan-examples        asan      600  examples.sh
tsan-build           tsan      600  build
tsan-unit            tsan      600  unit.sh
tsan-conformance     tsan      900  conformance.sh
tsan-job             tsan      900  job.sh
tsan-fault           tsan      900  fault.sh
tsan-examples        tsan      600  examples.sh
valgrind-build       valgrind  600  build
valgrind-unit        valgrind  900  unit.sh
valgrind-conformance valgrind  900  conformance.sh
valgrind-examples    valgrind  600  examples.sh
arm64-build          arm64     900  build
arm64-unit           arm64     600  unit.sh
arm64-conformance    arm64     900  conformance.sh
arm64-examples       arm64     600  examples.sh
fuzz-build           fuzz      600  build
fuzz                 fuzz      600  fuzz.sh
leftovers            -         60   leftovers.sh
'
quick='packages|gcc-build|gcc-unit|gcc-conformance|leftovers'

usage() {
    cat <<EOF
usage: test/run.sh [--quick | --only SUITE | --list]
  --quick       gcc's build, unit tests and conformance only
  --only SUITE  one suite, or those that a pattern matches ('asan-*'), and the builds
                they need
  --list        name the suites
EOF
}

wanted() { # NAME VARIANT
    local variant=$2 name=$1
    case $only in
    '') return 0 ;;
    quick) [[ $name =~ ^($quick)$ ]] ;;
    *)
        # shellcheck disable=SC2053 # a pattern
        [[ $name == $only ]] || { is_prerequisite "$name" && is_needed "$variant"; }
        ;;
    esac
}

is_prerequisite() { # NAME
    [[ $1 =~ ^(packages|.*-build)$ ]]
}

# Whether a suite of that variant is wanted; of any, for "-".
is_needed() { # VARIANT
    local name variant
    while read -r name variant _; do
        # shellcheck disable=SC2053 # a pattern
        [[ $name == $only && ($1 == - || $1 == "$variant") ]] && return 0
    done <<<"$suites"
    return 1
}

# A suite's counts are its last line. One that ends without, or badly with no failure
# counted, has failed itself.
counts() { # LOG STATUS
    local line p=0 f=0 s=0
    line=$(tail -n 1 "$1")
    if [[ $line =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed,\ ([0-9]+)\ skipped$ ]]; then
        p=${BASH_REMATCH[1]} f=${BASH_REMATCH[2]} s=${BASH_REMATCH[3]}
        [ "$(grep -c '^skip [^:]*: .' "$1")" -eq "$s" ] || f=$((f + 1))
    else
        f=1
    fi
    [ "$2" -eq 0 ] || [ "$f" -gt 0 ] || f=1
    echo "$p $f $s"
}

# What failed, with what was printed then, or else the log's end; and sanitizers' reports.
excerpt() { # LOG REPORTS
    if grep -A 1 '^not ok' "$1" | grep -q '^    '; then
        awk '/^not ok/ || (/^    / && show) { print; show = 1; next } { show = 0 }' "$1" |
            head -n 200
    else
        grep '^not ok' "$1" | head -n 50
        tail -n 40 "$1"
    fi
    [ ! -d "$2" ] || find "$2" -type f -exec head -n 60 {} + | head -n 300
}

run() { # NAME VARIANT SECONDS COMMAND...
    local name=$1 variant=$2 seconds=$3 log=$logs/$1.log status start=$SECONDS p f s
    shift 3
    case $variant,$1 in
    -,*) set -- "test/$1" "${@:2}" ;;
    *,build) set -- test/variant.sh "$variant" build ;;
    *) set -- test/variant.sh "$variant" "test/$1" "${@:2}" ;;
    esac
    [ ! -t 1 ] || printf '%-22s ...\r' "$name"
    timeout -k 10 "$seconds" "$@" >"$log" 2>&1 </dev/null
    status=$?
    [ "$name,$status" != packages,0 ] || echo '1 passed, 0 failed, 0 skipped' >>"$log"
    [ $status -ne 124 ] || echo "(stopped after $seconds s)" >>"$log"
    read -r p f s < <(counts "$log" $status)
    # A sanitizer's report is a failure even where the exit code was not looked at, but for
    # memory that no machine has, which tests ask for.
    if [ "$f" -eq 0 ] &&
        grep -qsvE 'AddressSanitizer failed to allocate 0x|^$' "build/test/$variant/reports/"*; then
        f=1
    fi
    printf '%-22s %4d s %5d passed %3d failed %3d skipped\n' "$name" \
        $((SECONDS - start)) "$p" "$f" "$s"
    [ "$f" -eq 0 ] || excerpt "$log" "build/test/$variant/reports" | sed 's/^/    | /'
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    [ "$f" -eq 0 ] || bad+=("$name")
    while read -r line; do
        skips+=("$name: ${line#skip }")
    done < <(grep '^skip ' "$log")
}

only=''
case ${1:-} in
'') ;;
--quick) only=quick ;;
--only) only=${2:?--only needs the name of a suite} ;;
--list)
    awk 'NF { print $1 }' <<<"$suites"
    exit
    ;;
--help | -h)
    usage
    exit
    ;;
*)
    usage >&2
    exit 2
    ;;
esac

passed=0 failed=0 skipped=0 bad=() skips=() matched=0
mkdir -p $logs
touch $logs/begin
# What tests leave in these is seen (leftovers.sh), and goes at the end.
private=$(mktemp -d "${TMPDIR:-/tmp}/tombolo-test.XXXXXX")
trap 'rm -rf "$private"' EXIT
export TMPDIR=$private/tmp XDG_RUNTIME_DIR=$private/run
mkdir -m 700 "$TMPDIR" "$XDG_RUNTIME_DIR"
while read -r -u 3 name variant seconds command; do
    if [ -n "$name" ] && wanted "$name" "$variant"; then
        # shellcheck disable=SC2086 # words of the command
        run "$name" "$variant" "$seconds" $command
        matched=$((matched + 1))
    fi
done 3<<<"$suites"

[ ${#skips[@]} -eq 0 ] || printf 'skipped %s\n' "${skips[@]}"
[ ${#bad[@]} -eq 0 ] || printf "failed %s.log\n" "${bad[@]/#/$logs/}"
if [ "$matched" -eq 0 ]; then
    echo "test/run.sh: no suite is called $only; see --list" >&2
    exit 2
fi
printf 'in %d min %d s\n' $((SECONDS / 60)) $((SECONDS % 60))
printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" -eq 0 ]
