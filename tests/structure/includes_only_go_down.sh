#!/bin/sh
# Includes only go down: includes_only_go_down.sh ROOT
#
# A file in src/FLOOR includes its own folder, the folders of lower floors, and the public headers of
# its own and lower floors. A public header includes public headers of lower floors. cli/ and examples/
# include public headers and their own folder.
set -eu
cd "$1"

find src include cli examples -name '*.[ch]' -o -name '*.def' | sort | xargs awk '
BEGIN {
    split("base 0 data 1 kernels 1 ops 2 graph 3 layers 4 models 5 formats 6 inspect 6", list, " ")
    for (i = 1; i in list; i += 2)
        folder[list[i]] = list[i + 1]
    # ops.h declares the shapes and lists that the kernels share with the operations.
    split("base 0 datasets 1 ops 1 graph 3 layers 4 models 4.5 training 5 formats 6 inspect 6 cornu 7", list, " ")
    for (i = 1; i in list; i += 2)
        header[list[i]] = list[i + 1]
}

function wrong(rule) {
    printf "%s:%d: includes \"%s\": %s\n", FILENAME, FNR, name, rule
    bad = 1
}

# The floor of a public header by its name, -1 if it has none.
function public_floor(text) {
    sub(/^cornu\//, "", text)
    sub(/\.h$/, "", text)
    return text in header ? header[text] : -1
}

function check_source(own,   other) {
    if (name !~ /\//)
        return
    if (name ~ /^cornu\//) {
        if (public_floor(name) > folder[own])
            wrong("that public header is above " own " (floor " folder[own] ")")
        return
    }
    other = name
    sub(/\/.*/, "", other)
    if (!(other in folder))
        wrong("there is no floor " other)
    else if (other != own && folder[other] >= folder[own])
        wrong(other " (floor " folder[other] ") is not below " own " (floor " folder[own] ")")
}

function check_header(own) {
    if (name !~ /^cornu\//)
        wrong("a public header includes public headers only, as cornu/NAME.h")
    else if (public_floor(name) >= public_floor(own))
        wrong("a public header includes lower public headers only")
}

FNR == 1 {
    files++
    n = split(FILENAME, path, "/")
    if (path[1] == "src" && n > 2 && !(path[2] in folder)) {
        printf "%s: there is no floor %s\n", FILENAME, path[2]
        bad = 1
    }
    if (path[1] == "include" && public_floor(path[n]) < 0) {
        printf "%s: has no floor; give it one in this test\n", FILENAME
        bad = 1
    }
}

/^[ \t]*#[ \t]*include[ \t]*("|<cornu\/)/ {
    name = $0
    sub(/^[^"<]*["<]/, "", name)
    sub(/[">].*/, "", name)
    includes++
    if (name ~ /\.\./)
        wrong("paths start at src/ or include/, not at ..")
    else if (name ~ /^cornu\// && public_floor(name) < 0)
        wrong("there is no such public header, or it has no floor in this test")
    else if (path[1] == "src" && path[2] in folder)
        check_source(path[2])
    else if (path[1] == "include")
        check_header(path[n])
    else if (name ~ /\// && name !~ /^cornu\//)
        wrong(path[1] "/ includes public headers and its own folder only")
}

END {
    printf "%d files, %d includes\n", files, includes
    exit bad || files == 0
}'
