"""Times Cornu beside its peers; script/bench installs them and runs this. README.md tells how to read
what it prints."""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import report
import tasks
from worker import Refused, Worker

HERE = Path(__file__).resolve().parent

# The greatest difference to Cornu's values, relative to the greatest value, that sums in another order
# and minimal filtering may make. A wrong pixel makes differences near 1.
BOUND = 1e-3

PAUSE = 0.02  # seconds between two turns, in which the other's threads stop spinning

# How each is kept to an instruction set; those that have no such setting are left out then.
ISA_SETTINGS = {
    "cornu": ("CORNU_ISA", {"avx512": "avx512", "avx2": "avx2", "sse2": "sse2"}),
    "onednn": ("DNNL_MAX_CPU_ISA", {"avx512": "AVX512_CORE", "avx2": "AVX2", "sse2": "SSE41"}),
}


def parse_arguments():
    parser = argparse.ArgumentParser(prog="script/bench", description="Times Cornu beside its peers.")
    names = lambda text: [word for word in text.split(",") if word]
    numbers = lambda text: [int(word) for word in names(text)]
    everything = sorted({1, len(os.sched_getaffinity(0))})
    parser.add_argument("--rows", type=names, help="names of operations or cases of networks (all)")
    parser.add_argument("--passes", type=names, default=list(tasks.PASSES), help="of operations: fwd,bwd_d,bwd_w")
    parser.add_argument("--operations", action="store_true", help="operations only")
    parser.add_argument("--networks", action="store_true", help="networks only")
    parser.add_argument("--peers", type=names, default=list(PEERS), help=",".join(PEERS) + ", or none")
    parser.add_argument("--threads", type=numbers, default=everything, help="(1 and one for each processor)")
    parser.add_argument("--isa", type=names, default=[""], help="avx512,avx2,sse2 (the processor's best)")
    parser.add_argument("--seconds", type=float, default=1, help="for each contender of each row (1)")
    parser.add_argument("--rounds", type=int, default=5, help="turns that the seconds are cut into (5)")
    parser.add_argument("--shapes", default=HERE / "shapes.tsv", help="rows (bench/shapes.tsv)")
    parser.add_argument("--build", default="build/release", type=Path, help="Meson's folder (build/release)")
    parser.add_argument("--made", default="build/bench", type=Path, help="results and npm's folder (build/bench)")
    settings = parser.parse_args()
    for given, known, what in ((settings.peers, [*PEERS, "none"], "peer"), (settings.passes, tasks.PASSES, "pass"),
                               (settings.isa, ["", *ISA_SETTINGS["cornu"][1]], "instruction set")):
        for word in given:
            if word not in known:
                parser.error(f"no such {what}: {word}; there are {', '.join(filter(None, known))}")
    if min(settings.threads, default=0) < 1 or settings.rounds < 1:
        parser.error("threads and rounds are at least 1")
    return settings


# ---- the programs ----

def python_command(settings, threads):
    return ["/usr/bin/python3", HERE / "peer_torch.py", threads]


def node_command(settings, threads):
    return ["node", HERE / "peer_onnxruntime.js", settings.made, threads]


PEERS = {
    "onednn": lambda settings, threads: [settings.build / "bench/peer_onednn"],
    "torch": python_command,
    "xnnpack": lambda settings, threads: [settings.build / "bench/peer_xnnpack"],
    "onnxruntime": node_command,
}


def start(name, command, threads, isa):
    environment = {"OMP_NUM_THREADS": str(threads)}
    if isa:
        if name not in ISA_SETTINGS:
            raise Refused("has no setting for the instruction set")
        variable, values = ISA_SETTINGS[name]
        environment[variable] = values[isa]
    if not (Path(command[0]).is_file() or shutil.which(str(command[0]))):
        raise Refused(f"{command[0]} is missing")
    return Worker(name, [str(word) for word in command], environment)


def start_all(settings, threads, isa):
    """Cornu and the peers that there are."""
    workers = [start("cornu", [settings.build / "bench/peer_cornu", threads], threads, isa)]
    for name in settings.peers:
        try:
            if name != "none":
                workers.append(start(name, PEERS[name](settings, threads), threads, isa))
        except Refused as refusal:
            note(f"{name} is left out: {refusal}")
    print(f"\n{threads} thread{'s' * (threads > 1)}: " + ", ".join(worker.greeting for worker in workers), flush=True)
    return workers


def note(text):
    print(f"  note: {text}", flush=True)


# ---- one row ----

def prepare(workers, task, folder):
    """The (worker, variant) pairs whose values are Cornu's."""
    contenders = []
    for worker in workers:
        try:
            for variant in worker.ask(*task.request.split(), folder).split(","):
                if agrees(workers[0], worker, variant, folder):
                    contenders.append((worker, variant))
        except Refused as refusal:
            if worker is workers[0]:
                raise
            note(f"{task.name} {task.pass_}: {worker.name}: {refusal}")
    return contenders


def agrees(cornu, worker, variant, folder):
    path = Path(folder, f"values-{worker.name}.bin")
    path.unlink(missing_ok=True)
    worker.ask("values", variant, path)
    if worker is cornu:
        return True
    difference = float(cornu.ask("compare", path))
    if difference <= BOUND:  # false for NaN
        return True
    raise Refused(f"{variant}: MISMATCH, the values differ from Cornu's by {difference:.3g} of the greatest")


def take_turns(contenders, settings):
    """{contender: times}, and the FMA peak of every round. All have a turn in every round, and begin it in turn."""
    times, peaks = {contender: [] for contender in contenders}, []
    cornu = contenders[0][0]
    for turn in range(settings.rounds):
        first = turn % len(contenders)
        peaks.append(float(cornu.ask("peak")))
        for contender in contenders[first:] + contenders[:first]:
            worker, variant = contender
            time.sleep(PAUSE)
            try:
                answer = worker.ask("time", variant, 1e3 * settings.seconds / settings.rounds)
                times[contender] += map(float, answer.split())
            except Refused as refusal:
                if worker is cornu:
                    raise
                note(f"{worker.name} {variant}: {refusal}")
                times[contender].append(float("inf"))
    return {c: t for c, t in times.items() if float("inf") not in t}, peaks


def measure(workers, task, threads, isa, settings, folder):
    contenders = prepare(workers, task, folder)
    flop = task.flop or float(workers[0].ask("work"))
    packed, scratch, algorithm = 0, 0, ""
    if task.pass_ in tasks.PASSES:
        packed, scratch, algorithm = workers[0].ask("plan").split(maxsplit=2)
    times, peaks = take_turns(contenders, settings)
    if min(peaks) < report.STEADY * max(peaks):
        note(f"{task.name} {task.pass_}: UNSTEADY, the FMA peak went from {min(peaks):.0f} to {max(peaks):.0f} GFLOP/s")
    for (worker, variant), taken in times.items():
        own = worker is workers[0]
        yield report.Result(task.name, task.pass_, threads, isa or "best", "cornu" if own else f"{worker.name} {variant}",
                            statistics.median(taken), min(taken), 1e-6 * flop / min(taken), max(peaks),
                            int(packed) if own else 0, int(scratch) if own else 0, algorithm if own else "",
                            task.kind, task.bytes)


# ---- all ----

def chosen_tasks(settings):
    found = []
    if not settings.networks or settings.operations:
        found += tasks.operations(settings.shapes, settings.passes)
    if not settings.operations or settings.networks:
        found += tasks.networks(HERE / "networks.txt")
    for name in set(settings.rows or []) - {task.name for task in found}:
        sys.exit(f"script/bench: no row is named '{name}'")
    return [task for task in found if not settings.rows or task.name in settings.rows]


def run(settings, threads, isa, chosen, folder, results):
    workers = start_all(settings, threads, isa)
    print(report.head())
    for task in chosen:
        try:
            group = list(measure(workers, task, threads, isa, settings, folder))
        except Refused as refusal:
            note(f"{task.name} {task.pass_} is left out: {refusal}")
            continue
        print(*report.rows(group), sep="\n", flush=True)
        results += group
        report.write_results(settings.made / "results.tsv", results)
    for worker in workers:
        worker.stop()


def main():
    settings = parse_arguments()
    chosen, results = chosen_tasks(settings), []
    settings.made.mkdir(parents=True, exist_ok=True)
    shared = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="cornu-bench-", dir=shared) as folder:
        for isa in settings.isa:
            for threads in settings.threads:
                run(settings, threads, isa, chosen, folder, results)
    if not results:
        sys.exit("script/bench: nothing was measured")
    print("\nShares of the FMA peak\n", *report.summary(results, report.read_elsewhere(HERE / "peers.tsv")), sep="\n")
    print("\nAgainst the best peer, here or elsewhere\n",
          *report.means(results, report.read_elsewhere(HERE / "peers.tsv")), sep="\n")
    print(f"\n{settings.made / 'results.tsv'} has all numbers.")
    for program, name, what in (("bench_chart", "chart.png", "a chart of the shares"),
                                ("bench_roofline", "roofline.png", "speed over work for each byte")):
        program, picture = settings.build / "bench" / program, settings.made / name
        if program.is_file() and subprocess.run([program, settings.made / "results.tsv", picture],
                                                check=False).returncode == 0:
            print(f"{picture} is {what}.")


main()
