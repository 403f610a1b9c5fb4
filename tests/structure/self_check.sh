#!/bin/sh
# The checks of this folder find what they look for: self_check.sh FOLDER
#
# Each is shown a small project without a fault, then one with each fault, and must tell them apart.
set -eu
checks=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bad=0
count=0

# project: a small project without a fault in $work/p.
project() {
    rm -rf "$work/p"
    mkdir -p "$work/p/src/base" "$work/p/src/kernels" "$work/p/src/ops" "$work/p/src/graph" \
        "$work/p/include/cornu" "$work/p/cli" "$work/p/tests/cli/usage" "$work/p/examples" \
        "$work/p/bench" "$work/p/script"
    cp "$checks/../../.clang-format" "$work/p"
    cd "$work/p"
    printf 'int cn_one(void);\n' >include/cornu/base.h
    printf '#include "cornu/base.h"\n' >include/cornu/ops.h
    printf '#include "cornu/ops.h"\n' >include/cornu/graph.h
    printf '#include "cornu/ops.h"\n#include "base/base.h"\n' >src/kernels/kernels.h
    printf '#include "cornu/base.h"\n' >src/base/base.h
    printf '#include "kernels/kernels.h"\n\nint cn_one(void)\n{\n    return 1;\n}\n' >src/ops/one.c
    printf '#include "cornu/graph.h"\n#include "cli.h"\n' >cli/main.c
    printf '\n' >cli/cli.h
    printf "files('ops/one.c')\n" >src/meson.build
    printf "files('main.c')\n" >cli/meson.build
    printf "files('cornu/base.h', 'cornu/ops.h', 'cornu/graph.h')\n" >include/meson.build
    printf "['cli/usage']\n" >tests/meson.build
    printf '# One\n\n```c\nint main(void)\n{\n    return 0;\n}\n```\n' >README.md
}

# accepts / refuses CHECK ARGUMENTS...: the check passes / fails and says something that holds $want.
accepts() {
    count=$((count + 1))
    if ! sh "$checks/$1.sh" "$2" ${3+"$3"} >"$work/log" 2>&1; then
        echo "FAILED: $1 refuses what is right:"
        cat "$work/log"
        bad=1
    fi
}
refuses() {
    count=$((count + 1))
    if sh "$checks/$1.sh" "$2" ${3+"$3"} >"$work/log" 2>&1; then
        echo "FAILED: $1 does not see: $want"
        bad=1
    elif ! grep -qF -- "$want" "$work/log"; then
        echo "FAILED: $1 does not say: $want; but:"
        cat "$work/log"
        bad=1
    fi
}

# fault CHECK WANT FILE TEXT: puts TEXT (as printf takes it) at the end of FILE; CHECK must refuse.
fault() {
    project
    want=$2
    # shellcheck disable=SC2059 # the text is a format
    printf "$4" >>"$3"
    refuses "$1" "$work/p"
}

for check in includes_only_go_down headers_stand_alone formatting text all_listed; do
    project
    accepts $check "$work/p"
done

fault includes_only_go_down 'src/ops/one.c:7: includes "graph/graph.h"' src/ops/one.c \
    '#include "graph/graph.h"\n'
fault includes_only_go_down 'src/base/base.h:2: includes "cornu/ops.h"' src/base/base.h \
    '#include <cornu/ops.h>\n'
fault includes_only_go_down 'include/cornu/ops.h:2: includes "cornu/graph.h"' include/cornu/ops.h \
    '#include "cornu/graph.h"\n'
fault includes_only_go_down 'include/cornu/ops.h:2: includes "base/base.h"' include/cornu/ops.h \
    '#include "base/base.h"\n'
fault includes_only_go_down 'cli/main.c:3: includes "ops/split.h"' cli/main.c \
    '  #  include "ops/split.h"\n'
fault includes_only_go_down 'src/ops/one.c:7: includes "../one.h"' src/ops/one.c \
    '#include "../one.h"\n'
fault includes_only_go_down 'include/cornu/new.h: has no floor' include/cornu/new.h 'int cn_x;\n'
mkdir -p "$work/p/src/attic"
want='src/attic/a.c: there is no floor attic'
printf 'int cn_x;\n' >"$work/p/src/attic/a.c"
refuses includes_only_go_down "$work/p"

fault headers_stand_alone 'FAILED: cornu/graph.h alone' include/cornu/graph.h 'size_t cn_size(void);\n'
fault headers_stand_alone 'FAILED: cornu/ops.h alone' include/cornu/ops.h 'int cn_two(int class);\n'
fault formatting 'src/ops/one.c:7' src/ops/one.c 'int  cn_two;\n'
fault text './src/ops/one.c:7: a tab' src/ops/one.c '\tint cn_two;\n'
fault text './src/ops/one.c:7: space at the end' src/ops/one.c 'int cn_two; \n'
fault text './README.md:9: space at the end' README.md 'Two. \n'
fault text './src/ops/one.c: no newline' src/ops/one.c 'int cn_two;'
fault text './src/ops/one.c:7: code switched off' src/ops/one.c '#if 0\n#endif\n'
fault text './script/run:1: something left to do' script/run '# TODO: all\n'
fault all_listed 'src/base/two.c: no meson.build' src/base/two.c 'int cn_two;\n'
fault all_listed 'include/cornu/new.h: no meson.build' include/cornu/new.h 'int cn_two;\n'
project
want='tests/cli/new: no meson.build'
mkdir tests/cli/new
refuses all_listed "$work/p"

# ---- a library that exports too much, and one that exports nothing ----

# library TEXT: makes $work/lib.so and $work/lib.a of it.
library() {
    printf '%s\n' "$1" >"$work/lib.c"
    cc -fPIC -c "$work/lib.c" -o "$work/lib.o"
    cc -shared "$work/lib.o" -o "$work/lib.so"
    rm -f "$work/lib.a"
    ar rc "$work/lib.a" "$work/lib.o"
}
library 'int cn_one; static int two; __attribute__((visibility("hidden"))) int cn__three;
         int *cn_get(void) { return &two; }'
accepts exported_symbols "$work/lib.so" "$work/lib.a"
library 'int cn_one, cn__two;'
want='lib.so: cn__two should not be visible'
refuses exported_symbols "$work/lib.so"
library 'int cn_one, cnx;'
want='lib.so: cnx should not be visible'
refuses exported_symbols "$work/lib.so"
library 'int cn_one; __attribute__((visibility("hidden"))) int two;'
want='lib.a: two should not be visible'
refuses exported_symbols "$work/lib.so" "$work/lib.a"
library 'static int one;'
want='lib.so: 0 names'
refuses exported_symbols "$work/lib.so"

# ---- a readme whose programs do not compile, fail, or are not there ----

library 'int cn_one(void) { return 1; }'
project
accepts readme README.md "$work/lib.so"
printf '```c\nint main(void) { return cn_two(); }\n```\n' >>README.md
want=cn_two
refuses readme README.md "$work/lib.so"
project
printf '```c\n#include <stdio.h>\nint main(void) { return !puts("the second"); }\n```\n' >>README.md
accepts readme README.md "$work/lib.so"
printf '```c\n#include <stdio.h>\nint main(void) { return puts("the third") > 0; }\n```\n' >>README.md
want='the third'
refuses readme README.md "$work/lib.so"
printf 'No programs.\n' >README.md
want='0 programs'
refuses readme README.md "$work/lib.so"

# ---- the counter of results ----

counted() {
    count=$((count + 1))
    got=$(printf '%s\n' "$2" | awk -f "$checks/../../script/count-results.awk")
    if [ "$got" != "$1" ]; then
        echo "FAILED: count-results.awk says '$got', not '$1', of $2"
        bad=1
    fi
}
counted '2 0' '{"name": "a", "stdout": "1..2\nok 1 - ok 7\nseed 3\nok 2 - b\n", "result": "OK", "x": 1}'
counted '1 1' '{"name": "a", "stdout": "1..2\nok 1 - a\nnot ok 2 - b\n", "result": "FAIL", "x": 1}'
counted '1 1' '{"name": "a", "stdout": "1..2\nok 1 - a\n", "result": "ERROR", "x": 1}'
counted '1 0' '{"name": "a", "result": "OK", "x": 1}'
counted '0 1' '{"name": "a", "result": "SKIP", "x": 1}'
counted '0 1' '{"name": "a", "stdout": "1..2\n", "result": "TIMEOUT", "x": 1}'
counted '5 2' '{"name": "a", "stdout": "x\n7 cases, 2 failures\n", "result": "FAIL", "x": 1}'
counted '0 0' ''

echo "$count checks"
[ $bad -eq 0 ]
