# Whatever the instruction set packs and needs as scratch, the numbers fit each other.
cornu summary question --memory --batch 3 --json >all
tail -n 1 all
sed 's/[",:]//g' all | awk '
    $1 ~ /^(batch|weight_bytes|input_bytes|output_bytes)$/ { print $1, $2; sum += $1 == "batch" ? 0 : $2 }
    $1 == "workspace_bytes" { workspace = $2; sum += $2 }
    $1 == "least_workspace_bytes" { least = $2 }
    $1 == "packed_bytes" { if (operations) packed += $2; else { all_packed = $2; sum += $2 } }
    $1 == "total_bytes" { total = $2 }
    $1 == "operations" { operations = 1 }
    $1 == "live_bytes" { live = $2; if (live > most) most = live }
    $1 == "greatest" && $2 == "true" { marked++; marked_bytes = live }
    function tell(what, holds) { print what ": " (holds ? "yes" : "no") }
    END {
        tell("they add up", sum == total)
        tell("what operations pack adds up", packed == all_packed && packed > 0)
        tell("no less workspace than the least", workspace >= least)
        tell("the least is what one operation needs", least == most && least > 0)
        tell("it is marked", marked == 1 && marked_bytes == most)
    }'
