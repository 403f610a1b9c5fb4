#!/bin/sh
# A training that is killed and resumed ends as one that was never cut: kill_resume.sh CORNU
#
# Kills a small training with SIGKILL at random moments, resumes it until it is done, and compares
# weights and optimizer with those of the uncut training, bit for bit. CORNU_TEST_KILLS tells how often
# (default 5), CORNU_TEST_SEED which moments (default 1).
set -u
unset CORNU_ISA CORNU_NUM_THREADS CORNU_VERBOSE NO_COLOR
export LC_ALL=C
cornu=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
kills=${CORNU_TEST_KILLS:-5}
seed=${CORNU_TEST_SEED:-1}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

# Two outputs, dropout, callbacks with a memory, augmentation, and saving within epochs.
training='question --input 10x10x3 --data shapes:40 --validation-split 0.2 --epochs 3 --batch-size 8
    --seed 7 --augment flip,shift=0.1 --reduce-lr 1 --early-stopping 9 --save-every 2 --progress none'

# final OUT: all that the training left, as a file that does not tell when it was written.
final() {
    "$cornu" convert "$1.keras" "$1.h5" >/dev/null
}

now() {
    date +%s%N
}

begin=$(now)
# shellcheck disable=SC2086 # several words
"$cornu" train $training -o whole.keras >log 2>&1 || {
    cat log
    exit 1
}
duration=$(($(now) - begin))
final whole || exit 1

# From before the first file is written to after the end.
moments=$(awk -v n="$kills" -v seed="$seed" -v ns="$duration" 'BEGIN {
    srand(seed)
    for (i = 0; i < n; i++) printf "%.4f\n", rand() * 1.05 * ns / 1e9
}')

# start_and_kill MOMENT
start_and_kill() {
    # shellcheck disable=SC2086 # several words
    "$cornu" train $training -o cut.keras --resume >log 2>&1 &
    process=$!
    sleep "$1"
    kill -9 "$process" 2>/dev/null
    wait "$process" 2>/dev/null
}

# finish: resumes without a word about the training if its settings are remembered.
finish() {
    if [ -e cut.keras ]; then
        "$cornu" train -o cut.keras --resume >log 2>&1
    else
        # shellcheck disable=SC2086 # several words
        "$cornu" train $training -o cut.keras --resume >log 2>&1
    fi
}

killed=0
failures=0
for moment in $moments; do
    rm -f cut.*
    start_and_kill "$moment"
    # every second one twice
    [ $((killed % 2)) -eq 0 ] || start_and_kill "$moment"
    killed=$((killed + 1))
    if ! finish; then
        echo "FAILED: seed $seed, killed after $moment s: it cannot be resumed"
        cat log
        failures=$((failures + 1))
    elif ! final cut || ! cmp whole.h5 cut.h5; then
        echo "FAILED: seed $seed, killed after $moment s: it does not end the same"
        failures=$((failures + 1))
    fi
done
echo "$killed trainings killed, $failures failures"
[ "$killed" -eq "$kills" ] && [ $failures -eq 0 ]
