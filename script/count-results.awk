# Counts test functions in a testlog.json of Meson, one test program per line: prints "PASSED FAILED".
# A program that speaks TAP counts with each of its functions, one that runs command-line cases with
# each case, another as one. A program that did not end well counts as a failure at least once.
{
    passed_here = gsub(/(\\n|"stdout": ")ok /, "&")
    failed_here = gsub(/(\\n|"stdout": ")not ok /, "&")
    if (match($0, /[0-9]+ cases, [0-9]+ failures/)) {
        split(substr($0, RSTART, RLENGTH), words, " ")
        failed_here = words[3] < words[1] ? words[3] : words[1]
        passed_here = words[1] - failed_here
    }
    well = /"result": "OK"/
    if (/"result": "/ && passed_here + failed_here == 0 && well)
        passed_here = 1
    if (/"result": "/ && failed_here == 0 && !well)
        failed_here = 1
    passed += passed_here
    failed += failed_here
}
END { print passed + 0, failed + 0 }
