#!/bin/sh
# What the library offers to the linker: exported_symbols.sh SHARED [STATIC]
#
# The shared library exports cn_ names and none of the internal cn__ ones; the static library's global
# names all begin with cn_.
set -eu

# offends PATTERN: fails if a name on the standard input matches, and prints it; or if there is none.
offends() {
    awk -v pattern="$1" -v file="$2" '
        NF > 1 { names++ }
        NF > 1 && $NF ~ pattern { printf "%s: %s should not be visible\n", file, $NF; bad = 1 }
        END { printf "%s: %d names\n", file, names; exit bad || names == 0 }'
}

nm -D --defined-only "$1" >/dev/null
nm -D --defined-only "$1" | offends '^(cn__|[^c]|c[^n]|cn[^_])' "$(basename "$1")"
if [ $# -gt 1 ]; then
    nm -g --defined-only "$2" 2>/dev/null | offends '^([^c]|c[^n]|cn[^_])' "$(basename "$2")"
fi
