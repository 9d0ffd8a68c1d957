"""Longsight against PyTorch + transformers: the same training step, attention alone, two ranks against one.

The two sides run in turn, so that a change of the machine's speed meets both; each run is a process of its own that
reports the median of its steps. Quoted are the median of all runs, and from the smallest to the largest in brackets;
ratios are taken run by run. GFLOP/s of both sides come from the seconds and one formula (matrix products of the model,
the causal half of attention, three times the forward; of attention alone 3.5 times). Usually started by scripts/bench_peers.sh.
"""
import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time

LONGSIGHT = "build/host/longsight"
TORCH = ".venv/bin/python"
MODELS = "scripts/peers"

# name: model, tokens, images
STEPS = {"small-2k": ("small", 2048, 8), "small-8k": ("small", 8192, 32), "medium-2k": ("medium", 2048, 8)}
ATTENTION = dict(tokens=8192, heads=6, width=64)
RANKS = {"ranks-2k": "small-2k", "ranks-8k": "small-8k"}
PARTS = ["small-2k", "small-8k", "attention", "ranks-2k", "ranks-8k", "medium-2k"]
DEFAULT_PARTS = PARTS[:5]


def stop(message, code=70):
    print(f"bench_peers: {message}", file=sys.stderr)
    sys.exit(code)


def last_json(command, output):
    for line in reversed(output.splitlines()):
        if line.startswith("{"):
            return json.loads(line)
    stop(f"no JSON line in the output of: {' '.join(command)}\n{output}")


def start(command, threads):
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads))
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
                            stdin=subprocess.DEVNULL)


def finish(command, process):
    output, errors = process.communicate()
    if process.returncode != 0:
        stop(f"exit code {process.returncode} from: {' '.join(command)}\n{errors or output}")
    result = last_json(command, output)
    if "seconds" not in result and "gflops" not in result:
        stop(f"neither 'seconds' nor 'gflops' in the result of: {' '.join(command)}: {result}")
    return result


def run(command, threads):
    print(f"  {' '.join(command)}", file=sys.stderr, flush=True)
    result = finish(command, start(command, threads))
    figures = {k: round(result[k], 3) for k in ("seconds", "gflops", "peak_rss_mib") if k in result}
    print(f"    {figures}", file=sys.stderr, flush=True)
    return result


def run_together(command, copies):
    print(f"  {copies} at the same time: {' '.join(command)}", file=sys.stderr, flush=True)
    processes = [start(command, 1) for _ in range(copies)]
    return [finish(command, p) for p in processes]


def spread(values, digits=2):
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"


def rate(flops, seconds):
    return [flops / s / 1e9 for s in seconds]


def step_command(model, tokens, images, threads, steps):
    return [LONGSIGHT, "bench", "step", "--model", f"{MODELS}/{model}", "--tokens", str(tokens), "--images", str(images),
            "--threads", str(threads), "--steps", str(steps), "--json"]


def compare(name, ours_command, torch_command, a):
    ours, torch = [], []
    for number in range(a.rounds):
        print(f"{name}: round {number + 1} of {a.rounds}", file=sys.stderr)
        # The order changes from round to round: neither side always runs on the machine as the other left it.
        pair = [(ours, ours_command), (torch, torch_command)]
        for results, command in pair if number % 2 == 0 else reversed(pair):
            results.append(run(command, a.threads))
    return ours, torch


def seconds_of(results):
    return [r["seconds"] for r in results]


def steps_table(parts, a, raw):
    rows = []
    for name in [p for p in parts if p in STEPS]:
        model, tokens, images = STEPS[name]
        torch_command = [TORCH, f"{MODELS}/hf_train_bench.py", "--model", f"{MODELS}/{model}", "--tokens", str(tokens),
                         "--images", str(images), "--threads", str(a.threads), "--steps", str(a.steps)]
        ours, torch = compare(name, step_command(model, tokens, images, a.threads, a.steps), torch_command, a)
        raw[name] = dict(longsight=ours, torch=torch)
        flops, mine, theirs = torch[0]["flops"], seconds_of(ours), seconds_of(torch)
        own_count = ours[0].get("gflops", 0) * ours[0]["seconds"] * 1e9
        if own_count and abs(own_count / flops - 1) > 0.02:
            print(f"bench_peers: note: longsight counts {own_count / 1e9:.1f} GFLOP a step, the formula here "
                  f"{flops / 1e9:.1f}; the table uses the latter", file=sys.stderr)
        faster = spread([t / m for m, t in zip(mine, theirs)])
        peak = [r["share_of_peak"] for r in ours if "share_of_peak" in r]
        share = f", {100 * statistics.median(peak):.0f} % of the GEMM peak" if peak else ""
        rows.append(f"| {model}, {tokens:,} tokens, {images} images | {spread([tokens / s for s in mine], 0)} "
                    f"| {spread([tokens / s for s in theirs], 0)} | {spread(rate(flops, mine), 0)}{share} "
                    f"| {spread(rate(flops, theirs), 0)} | {statistics.median(r['peak_rss_mib'] for r in ours):,.0f} "
                    f"| {statistics.median(r['peak_rss_mib'] for r in torch):,.0f} | **{faster}** |")
    if not rows:
        return []
    return ["", "### Training step", "",
            "| | Longsight tokens/s | PyTorch tokens/s | Longsight GFLOP/s | PyTorch GFLOP/s | Longsight MiB | PyTorch MiB "
            "| faster by |", "|---|---|---|---|---|---|---|---|", *rows]


def attention_table(a, raw):
    shape = ATTENTION
    ours_command = [LONGSIGHT, "bench", "attention", "--tokens", str(shape["tokens"]), "--heads", str(shape["heads"]),
                    "--kv-heads", str(shape["heads"]), "--width", str(shape["width"]), "--threads", str(a.threads), "--json"]
    torch_command = [TORCH, f"{MODELS}/torch_attention_bench.py", "--tokens", str(shape["tokens"]), "--heads",
                     str(shape["heads"]), "--width", str(shape["width"]), "--threads", str(a.threads)]
    ours, torch = compare("attention", ours_command, torch_command, a)
    raw["attention"] = dict(longsight=ours, torch=torch)
    mine, theirs = seconds_of(ours), seconds_of(torch)
    # Forward: half of two products of tokens x tokens x width a head; backward: five products for the forward's two.
    flops = 3.5 * 2 * shape["tokens"] ** 2 * shape["heads"] * shape["width"]
    peak = [r["share_of_peak"] for r in ours if "share_of_peak" in r]
    share = f", {100 * statistics.median(peak):.0f} % of the GEMM peak" if peak else ""
    return ["", "### Causal attention alone, forward and backward", "",
            "| | Longsight s | PyTorch s | Longsight GFLOP/s | PyTorch GFLOP/s | faster by |", "|---|---|---|---|---|---|",
            f"| {shape['tokens']:,} tokens, {shape['heads']} heads of {shape['width']} | {spread(mine)} | {spread(theirs)} "
            f"| {spread(rate(flops, mine), 0)}{share} | {spread(rate(flops, theirs), 0)} "
            f"| **{spread([t / m for m, t in zip(mine, theirs)])}** |"]


def ranks_table(parts, a, raw):
    gemm_command = [LONGSIGHT, "bench", "gemm", "--threads", "1", "--json"]
    rows = []
    for name in [RANKS[p] for p in parts if p in RANKS]:
        model, tokens, images = STEPS[name]
        one_command = step_command(model, tokens, images, 1, a.steps)
        two_command = ["mpirun", "-n", "2", "--bind-to", "none", *one_command]
        one, two, gemm_one, gemm_two = [], [], [], []
        for number in range(a.rounds):
            print(f"two ranks, {name}: round {number + 1} of {a.rounds}", file=sys.stderr)
            one.append(run(one_command, 1))
            two.append(run(two_command, 1))
            gemm_one.append(run(gemm_command, 1))
            gemm_two.append(run_together(gemm_command, 2))
        raw[f"ranks-{name}"] = dict(one=one, two=two, gemm_one=gemm_one, gemm_two=gemm_two)
        speedup = [o / t for o, t in zip(seconds_of(one), seconds_of(two))]
        machine = [sum(g["gflops"] for g in both) / single["gflops"] for both, single in zip(gemm_two, gemm_one)]
        rows.append(f"| {model}, {tokens:,} tokens, {images} images | {spread(seconds_of(one))} | {spread(seconds_of(two))} "
                    f"| {spread(speedup)} | {spread(machine)} "
                    f"| **{spread([s / m for s, m in zip(speedup, machine)])}** |")
    if not rows:
        return []
    return ["", "### Two ranks that share each sequence, one thread each, against one rank of one thread", "",
            "The machine's own limit is what two independent matrix-multiply processes reach against one.", "",
            "| | one rank, s a step | two ranks, s a step | speed-up | limit of the machine | speed-up / limit |",
            "|---|---|---|---|---|---|", *rows]


def machine_line():
    model = "unknown CPU"
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        lines = info.read().splitlines()
    for line in lines:
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    vector = next((v for v in ("avx512f", "avx2", "avx") if v in flags), "no AVX")
    versions = subprocess.run([TORCH, "-c", "import torch, transformers; print('torch', torch.__version__ + ',', "
                                            "'transformers', transformers.__version__)"],
                              capture_output=True, text=True, check=False).stdout.strip()
    return f"{model} ({vector}, {os.cpu_count()} cores), {platform.system()} {platform.machine()}; {versions}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2, help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each side (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=5, help="measured steps in a run (default: %(default)s)")
    parser.add_argument("--only", default=",".join(DEFAULT_PARTS), help="of " + ",".join(PARTS) + " (default: %(default)s)")
    parser.add_argument("--raw", default="build/bench_peers.json", help="all results (default: %(default)s)")
    a = parser.parse_args()
    parts = a.only.split(",")
    if unknown := [p for p in parts if p not in PARTS]:
        parser.error(f"--only {unknown[0]}: not one of {', '.join(PARTS)}")
    for path, remedy in [(LONGSIGHT, "cmake --preset host && cmake --build --preset host"),
                         (TORCH, "scripts/setup.sh --with-peers")]:
        if not os.path.exists(path):
            stop(f"no {path}: {remedy}", 66)

    raw = {"machine": machine_line(), "threads": a.threads, "rounds": a.rounds, "steps": a.steps}
    begun = time.time()
    lines = steps_table(parts, a, raw)
    if "attention" in parts:
        lines += attention_table(a, raw)
    lines += ranks_table(parts, a, raw)
    os.makedirs(os.path.dirname(a.raw) or ".", exist_ok=True)
    with open(a.raw, "w", encoding="utf-8") as out:
        json.dump(raw, out, indent=1)
    print(f"{raw['machine']}. f32, {a.threads} threads; median of {a.rounds} alternating runs of {a.steps} steps "
          f"(smallest-largest).")
    print("\n".join(lines))
    print(f"bench_peers: {time.time() - begun:.0f} s; all results in {a.raw}", file=sys.stderr)


if __name__ == "__main__":
    main()
