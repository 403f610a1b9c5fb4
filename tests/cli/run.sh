#!/bin/sh
# Runs command-line cases: run.sh CORNU FOLDER
#
# A case is FOLDER/NAME.cmd, shell lines run in an empty folder with `cornu` found first and $cases
# naming FOLDER. What it prints must be NAME.out and NAME.err (nothing where a file is missing) and
# its exit code NAME.rc (0 where it is missing). UPDATE=1 writes what was seen instead of comparing.
set -u
unset CORNU_ISA CORNU_NUM_THREADS CORNU_VERBOSE NO_COLOR
export LC_ALL=C
binary=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
cases=$(cd "$2" && pwd)
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
mkdir "$work/bin" && ln -s "$binary" "$work/bin/cornu" || exit 1
PATH=$work/bin:$PATH
export cases PATH

update() {
    if [ -s "$1" ]; then cp "$1" "$2"; else rm -f "$2"; fi
}

check() {
    expected=$2
    [ -e "$expected" ] || expected=/dev/null
    diff -u "$expected" "$1"
}

failures=0
count=0
for command in "$cases"/*.cmd; do
    case=${command%.cmd}
    rm -rf "$work/run" && mkdir "$work/run" || exit 1
    (cd "$work/run" && sh "$command") >"$work/out" 2>"$work/err" </dev/null
    code=$?
    : >"$work/rc"
    [ $code -eq 0 ] || echo $code >"$work/rc"
    count=$((count + 1))
    for part in out err rc; do
        if [ -n "${UPDATE:-}" ]; then
            update "$work/$part" "$case.$part"
        elif ! check "$work/$part" "$case.$part"; then
            echo "FAILED: $(basename "$case").$part"
            failures=$((failures + 1))
        fi
    done
done
echo "$count cases, $failures failures"
[ $count -gt 0 ] && [ $failures -eq 0 ]
