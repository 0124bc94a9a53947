# The tables at the end of a soak, from lines of "STEP name=value...": what was tried, and whether that reaches the figures that a
# soak of 100 minutes has to reach. Fails if one of these does not.

function figure(name,  i) {
    for (i = 2; i <= NF; i++) if (index($i, name "=") == 1) return substr($i, length(name) + 2)
    return ""
}

# In a shorter one the figures are only told.
function judge(what, is_reached, seen, wanted) {
    printf "%-52s %9s   %-12s %s\n", what, seen, wanted, is_reached ? "reached" : minutes < 100 ? "-" : "NOT REACHED"
    if (!is_reached && minutes >= 100) missed = 1
}

function least(what, seen, wanted) { judge(what, seen >= wanted, seen, "at least " wanted) }

function most(what, seen, wanted) { judge(what, seen > 0 && seen <= wanted, seen, "at most " wanted) }

BEGIN { printf "%-14s %-40s %9s %9s %9s %11s %9s %9s\n", "step", "what", "n", "faults", "acks", "violations", "3/n", "ready" }

{ line[NR] = $0 }

figure("what") == "FAILED" { bad[$1] = 1; failures++ }

END {
    for (row = 1; row <= NR; row++) {
        $0 = line[row]
        what = figure("what")
        n = figure("runs")
        ready = figure("ready_ms")
        # Of a canary n is how long it lived; a loop over every place is no sample, nor is what a fuzzer makes of its own finds; and
        # some are only timed.
        sample = !bad[$1] && n > 0 && $1 !~ /^(canaries.*|every-.*|fuzz)$/ && what !~ /^(ready|bits|last-frame)-/
        printf "%-14s %-40s %9s %9s %9s %11s %9s %9s\n", $1, what, n, figure("faults"), figure("acks"),
            bad[$1] ? "see above" : "0", sample ? sprintf("%.5f", 3 / n) : "-", ready == "" ? "" : ready " ms"
        if (what == "simulation") seeds = n
        if ($1 == "every-place") places += n
        if ($1 ~ /^canaries/ && what != "FAILED") canaries++
        if ($1 == "kill-9") kills += n
        if ($1 ~ /^(commits|outage)$/ && figure("tier") == "T3") postgres += figure("faults")
        if ($1 == "commits") branch[what] = figure("faults")
        if ($1 ~ /^(fuzz|schemathesis)$/ || what ~ /^(hostile-bytes|bodies|headers)$/) inputs += n
        if (what ~ /^ready-empty/ && ready + 0 > empty + 0) empty = ready
        if (what ~ /^ready-backlog/) backlog = ready
    }
    print ""
    least("seeds of the simulation", seeds + 0, 100000)
    least("places of the loops over the simulated disk and store", places + 0, 300)
    least("servers killed by kill -9", kills + 0, 500)
    least("faults at Postgres", postgres + 0, 200)
    least("COMMITs lost before Postgres", branch["commit-lost"] + 0, 50)
    least("answers to COMMIT lost", branch["answer-lost"] + 0, 50)
    least("COMMITs that came late", branch["commit-late"] + 0, 50)
    least("servers killed in doubt", branch["killed-in-doubt"] + 0, 50)
    least("inputs of fuzzers and of schemathesis", inputs + 0, 100000)
    least("canaries found", canaries + 0, 24)
    most("ms from kill -9 to ready with nothing to store", empty + 0, 1000)
    most("ms from kill -9 to ready with 100,000 records to store", backlog + 0, 5000)
    judge("steps with a violation", failures + 0 == 0, failures + 0, "none")
    exit missed
}
