#!/bin/sh
# Every public header compiles alone, as C and as C++: headers_stand_alone.sh ROOT
set -eu
include=$1/include
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bad=0
count=0

# compile COMPILER STANDARD LANGUAGE HEADER
compile() {
    count=$((count + 1))
    printf '#include <cornu/%s>\n' "$4" >"$work/alone.c"
    if ! "$1" "-std=$2" -x "$3" -Wall -Wextra -Wpedantic -Werror -I"$include" -fsyntax-only \
        "$work/alone.c"; then
        echo "FAILED: cornu/$4 alone, $1 -std=$2"
        bad=1
    fi
}

for path in "$include"/cornu/*.h; do
    header=$(basename "$path")
    for pair in gcc:g++ clang:clang++; do
        c=${pair%:*}
        cxx=${pair#*:}
        if command -v "$c" >/dev/null; then
            compile "$c" c11 c "$header"
            compile "$c" c17 c "$header"
        fi
        if command -v "$cxx" >/dev/null; then
            compile "$cxx" c++17 c++ "$header"
        fi
    done
done
echo "$count compilations"
[ $count -gt 0 ] && [ $bad -eq 0 ]
