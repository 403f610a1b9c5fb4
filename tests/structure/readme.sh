#!/bin/sh
# The C programs in a Markdown file compile and run: readme.sh FILE LIBRARY INCLUDE...
#
# A block between ```c and ``` is a whole program. They run one after the other in an empty folder.
set -eu
file=$1
library=$(cd "$(dirname "$2")" && pwd)/$(basename "$2")
shift 2
for folder; do
    set -- "$@" "-I$folder"
    shift
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

awk -v work="$work" '
    /^```c$/ { name = sprintf("%s/block%d.c", work, ++count); next }
    /^```/ { name = "" }
    name { print >name }' "$file"

cd "$work"
count=0
for program in block*.c; do
    [ -e "$program" ] || break
    "${CC:-cc}" -std=c17 -Wall -Wextra -Wpedantic -Werror "$@" "$program" -o "${program%.c}" \
        "$library" "-Wl,-rpath,$(dirname "$library")" -lm
    "./${program%.c}"
    count=$((count + 1))
done
echo "$count programs"
[ $count -gt 0 ]
