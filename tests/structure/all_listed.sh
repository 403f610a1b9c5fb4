#!/bin/sh
# No file is forgotten: all_listed.sh ROOT
#
# Every .c file is named in the meson.build of its folder or of a folder above, every public header in
# include/, and every folder of command-line cases in tests/.
set -eu
cd "$1"

find src include cli tests examples bench -name '*.c' -o -path 'include/*.h' \
    -o -path 'tests/cli/*' -type d | sort | {
    bad=0
    count=0
    while read -r file; do
        count=$((count + 1))
        folder=$(dirname "$file")
        name=$(basename "$file")
        until [ "$folder" = . ] || { [ -f "$folder/meson.build" ] &&
            grep -qE "['/]$name'" "$folder/meson.build"; }; do
            name=$(basename "$folder")/$name
            folder=$(dirname "$folder")
        done
        if [ "$folder" = . ]; then
            echo "$file: no meson.build names it"
            bad=1
        fi
    done
    echo "$count files"
    [ $count -gt 0 ] && [ $bad -eq 0 ]
}
