"""The tables, and results.tsv."""

import math
from dataclasses import astuple, dataclass, fields

BAR = 40  # letters for the FMA peak
STEADY = 0.9  # a lower share of the greatest peak that as many threads reached: others used the machine


@dataclass
class Result:
    name: str
    pass_: str
    threads: int
    isa: str
    contender: str  # "cornu", or a peer and its layout
    median_ms: float
    best_ms: float
    gflops: float  # at the best time
    peak_gflops: float
    packed_bytes: int  # Cornu's alone
    scratch_bytes: int
    algorithm: str
    kind: str
    bytes: int

    @property
    def share(self):
        return self.gflops / self.peak_gflops

    @property
    def is_cornu(self):
        return self.contender == "cornu"


def best_peer(results):
    """By the median; None without any."""
    return min((r for r in results if not r.is_cornu), key=lambda r: r.median_ms, default=None)


def head():
    return (f"{'name':22} {'pass':7} {'thr':>3} {'who':27} {'median ms':>10} {'best ms':>10} {'GFLOP/s':>8} {'peak':>6} "
            f"{'ratio':>6} {'packed B':>10} {'scratch B':>10}  algorithm")


def rows(results):
    """A line for each contender. The ratio: its median over Cornu's, and for Cornu the best peer's."""
    cornu, peer = next(r for r in results if r.is_cornu), best_peer(results)
    for r in results:
        other = peer if r.is_cornu else r
        ratio = f"{other.median_ms / cornu.median_ms:.2f}" if other else "-"
        own = f"{r.packed_bytes:10} {r.scratch_bytes:10}  {r.algorithm}" if r.is_cornu and r.algorithm else ""
        yield (f"{r.name:22} {r.pass_:7} {r.threads:3} {r.contender:27} {r.median_ms:10.3f} {r.best_ms:10.3f} "
               f"{r.gflops:8.1f} {r.share:6.1%} {ratio:>6} {own}").rstrip()


def grouped(results):
    """The results of each row together."""
    groups = {}
    for r in results:
        groups.setdefault((r.name, r.pass_, r.threads, r.isa), []).append(r)
    return groups


def read_elsewhere(path):
    """{(name, pass): (share of the peak, peer)} from peers.tsv."""
    shares = {}
    for line in open(path, encoding="utf-8"):
        if not line.startswith("#") and line.strip():
            name, pass_, _, _, share, peer = line.rstrip("\n").split("\t")
            shares[name, pass_] = float(share), peer
    return shares


def summary(results, elsewhere):
    """A line for each row: shares of the peak, the ratio to the best peer, bars."""
    yield (f"{'name':22} {'pass':7} {'thr':>3} {'isa':7} {'Cornu':>6} {'peer':>6} {'ratio':>6} {'elsew.':>6}  "
           f"best peer (= Cornu, - best peer, | the FMA peak)")
    greatest = {}
    for r in results:
        greatest[r.threads, r.isa] = max(r.peak_gflops, greatest.get((r.threads, r.isa), 0))
    for (name, pass_, threads, isa), group in grouped(results).items():
        cornu, peer = next(r for r in group if r.is_cornu), best_peer(group)
        share, by = elsewhere.get((name, pass_), (None, ""))
        there = f"{share:6.0%}" if share is not None else f"{'':6}"
        of_peer = f"{peer.share:6.1%} {peer.median_ms / cornu.median_ms:6.2f}" if peer else f"{'-':>6} {'-':>6}"
        who = (peer.contender if peer else "") + (f" (elsewhere {by})" if by else "")
        if cornu.peak_gflops < STEADY * greatest[threads, isa]:
            who += f" UNSTEADY: a peak of {cornu.peak_gflops:.0f} of {greatest[threads, isa]:.0f} GFLOP/s"
        yield f"{name:22} {pass_:7} {threads:3} {isa:7} {cornu.share:6.1%} {of_peer} {there}  {who}"
        yield "    " + bar("=", cornu.share)
        if peer:
            yield "    " + bar("-", peer.share)


def means(results, elsewhere):
    """For each kind and pass: the shares over those of the best peer, measured here or elsewhere."""
    yield f"{'kind':8} {'pass':7} {'thr':>3} {'isa':7} {'mean':>6} {'least':>6}  (geometric mean; least: row)"
    ratios = {}
    for (name, pass_, threads, isa), group in grouped(results).items():
        cornu, peer = next(r for r in group if r.is_cornu), best_peer(group)
        share = max(peer.share if peer else 0, elsewhere.get((name, pass_), (0, ""))[0])
        if share > 0:
            ratios.setdefault((cornu.kind, pass_, threads, isa), []).append((cornu.share / share, name))
    for (kind, pass_, threads, isa), found in ratios.items():
        mean = math.exp(sum(math.log(ratio) for ratio, _ in found) / len(found))
        least, name = min(found)
        yield f"{kind:8} {pass_:7} {threads:3} {isa:7} {mean:6.2f} {least:6.2f}  {name}"


def bar(letter, share):
    length = min(round(share * BAR), 2 * BAR)
    text = letter * length
    return text[:BAR] + "|" + text[BAR:] if length > BAR else text.ljust(BAR) + "|"


def write_results(path, results):
    with open(path, "w", encoding="utf-8") as file:
        print("#", "\t".join(field.name.rstrip("_") for field in fields(Result)), "share_of_peak", sep="\t", file=file)
        for r in results:
            print(*astuple(r), f"{r.share:.4f}", sep="\t", file=file)
