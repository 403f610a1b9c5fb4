#!/bin/sh
# What is installed can be used: install.sh BUILD
#
# Installs a finished build into an empty folder, then compiles, links and runs a program against it,
# once with what pkg-config says and once with the CMake package.
set -eu
unset LD_LIBRARY_PATH # Meson's, which names the build
build=$1
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT

DESTDIR=$stage/root meson install -C "$build" --no-rebuild --quiet
pc=$(find "$stage/root" -name cornu.pc)
libraries=$(dirname "$(dirname "$pc")")

cat >"$stage/program.c" <<'PROGRAM'
#include <cornu/cornu.h>
#include <stdio.h>
int main(void)
{
    return puts(cn_version()) < 0;
}
PROGRAM

PKG_CONFIG_PATH=$(dirname "$pc")
export PKG_CONFIG_PATH
flags=$(PKG_CONFIG_SYSROOT_DIR=$stage/root pkg-config --cflags --libs cornu)
expected=$(pkg-config --modversion cornu)
# shellcheck disable=SC2086 # several words
"${CC:-cc}" "$stage/program.c" -o "$stage/program" $flags
[ "$(LD_LIBRARY_PATH=$libraries "$stage/program")" = "$expected" ]

tool=$(find "$stage/root" -path '*/bin/cornu')
[ "$(LD_LIBRARY_PATH=$libraries "$tool" --version)" = "cornu $expected" ]

cat >"$stage/CMakeLists.txt" <<'CMAKE'
cmake_minimum_required(VERSION 3.13)
project(uses_cornu C)
find_package(cornu 0.1 REQUIRED)
add_executable(uses_cornu program.c)
target_link_libraries(uses_cornu PRIVATE cornu::cornu)
CMAKE
prefix=$(dirname "$(dirname "$tool")")
cmake -S "$stage" -B "$stage/build" -DCMAKE_PREFIX_PATH="$prefix" >"$stage/log" 2>&1 &&
    cmake --build "$stage/build" >>"$stage/log" 2>&1 || { cat "$stage/log"; exit 1; }
[ "$("$stage/build/uses_cornu")" = "$expected" ]
echo "cornu $expected by pkg-config and by CMake"
