#!/bin/sh
# Rules for text files: text.sh ROOT
#
# No tabs in C, no spaces at the end of a line, a newline at the end of the file, no code switched off
# with #if 0, nothing left to do without the number of an issue, as in TODO(#12).
set -eu
cd "$1"

find . -type d \( -name .git -o -name 'build*' -o -path ./tests/golden -o -path ./tests/cli \) -prune \
    -o -type f \( -name '*.[ch]' -o -name '*.def' -o -name '*.build' -o -name '*.in' -o -name '*.md' \
    -o -name '*.sh' -o -name '*.awk' -o -name '*.py' -o -name '*.tsv' -o -name '*.txt' \
    -o -path './script/*' -o -path './.ci/*' \) -print | sort | {
    bad=0
    count=0
    while read -r file; do
        count=$((count + 1))
        if [ -n "$(tail -c 1 "$file" | tr -d '\n')" ]; then
            echo "$file: no newline at its end"
            bad=1
        fi
        awk '
            function wrong(rule) { printf "%s:%d: %s\n", FILENAME, FNR, rule; bad = 1 }
            FILENAME ~ /\.[ch]$/ && /\t/ { wrong("a tab") }
            /[ \t\r]$/ { wrong("space at the end of the line") }
            FILENAME ~ /\.[ch]$/ && /^[ \t]*#[ \t]*if[ \t]+0/ { wrong("code switched off") }
            /(^|[^A-Za-z])(TODO|FIXME|XXX)([^A-Za-z]|$)/ && !/(TODO|FIXME|XXX)\(#[0-9]+\)/ &&
                FILENAME !~ /structure\// {
                wrong("something left to do, without the number of an issue")
            }
            END { exit bad }' "$file" || bad=1
    done
    echo "$count files"
    [ $count -gt 0 ] && [ $bad -eq 0 ]
}
