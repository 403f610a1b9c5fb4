#!/bin/sh
# Every C file is as clang-format leaves it: formatting.sh ROOT
set -eu
cd "$1"
if ! command -v clang-format >/dev/null; then
    echo "clang-format is missing (Debian package clang-format)"
    exit 1
fi
find src include cli tests examples bench -name '*.[ch]' | sort |
    xargs clang-format --dry-run -Werror --style=file
