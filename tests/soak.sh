#!/usr/bin/env bash
# The checks that get better with time: simulation, canaries, kill -9, faults at the database, hostile clients. Takes about so many
# minutes, prints the seed that all of it follows from, and at the end a table of what was tried. Exits 1 if anything was wrong.
set -uo pipefail
cd "$(dirname "$0")/.."

minutes=${1:?how many minutes}
seed=${SOAK_SEED:-$(date +%s)}
begun=$(date +%s)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# Cycles that fit: the crash tests take about a second and a half each, on two stores; the rest of the time is the simulation's.
cycles=$((minutes * 6 < 10 ? 10 : minutes * 6))
echo "soak: seed $seed, $minutes minutes (repeat it with SOAK_SEED=$seed)"

cargo test --release --locked --features canaries --no-run || exit 1

failed=0
# step NAME TEST FILTER VARIABLE=VALUE...
step() {
    local name=$1 test=$2 filter=$3
    shift 3
    echo "soak: $name, $(( ($(date +%s) - begun) / 60 )) min"
    if ! env "$@" cargo test --release --locked --features canaries --test "$test" "$filter" -- --nocapture \
        >"$folder/$name.log" 2>&1; then
        failed=1
        echo "$name" >>"$folder/failed"
        tail -n 60 "$folder/$name.log"
    fi
    grep -ah -o 'proof: .*' "$folder/$name.log" | sed "s/^proof: /$name /" >>"$folder/proofs"
}

step canaries canaries ''
step index-loops simulation every_operation PURSER_SIMULATION_STRIDE=1
step kill-9 crash every_acknowledged "PURSER_CRASH_CYCLES=$cycles" "PURSER_CRASH_SEED=$seed"
step kill-9-cards redemption crash:: "PURSER_REDEMPTION_CRASH_CYCLES=$((cycles / 4))" PURSER_REDEMPTION_CRASH_CARDS=2000
step database outage commits "PURSER_OUTAGE_CYCLES=$((cycles / 4))"
if [ -f tests/hostile.rs ]; then
    step hostile hostile '' "PURSER_HOSTILE_INPUTS=$((minutes * 1000))"
fi
left=$((minutes * 60 - ($(date +%s) - begun)))
step simulation simulation whatever "PURSER_SIMULATION_FIRST=$seed" "PURSER_SIMULATION_SECONDS=$((left < 60 ? 60 : left))"

echo
echo "seed $seed, $(( ($(date +%s) - begun) / 60 )) minutes"
awk -v wrong="$(cat "$folder/failed" 2>/dev/null | tr '\n' ' ')" '
    function figure(name,  i) { for (i = 2; i <= NF; i++) if (index($i, name "=") == 1) return substr($i, length(name) + 2); return "" }
    BEGIN { printf "%-14s %-40s %9s %9s %9s %11s %9s\n", "step", "what", "n", "faults", "acks", "violations", "3/n" }
    {
        n = figure("runs")
        bad = index(" " wrong, " " $1 " ") ? "see above" : "0"
        printf "%-14s %-40s %9s %9s %9s %11s %9s\n", $1, figure("what"), n, figure("faults"), figure("acks"), bad,
            (bad == "0" && n > 0 && figure("tier") != "canary") ? sprintf("%.5f", 3 / n) : "-"
    }' "$folder/proofs"
exit "$failed"
