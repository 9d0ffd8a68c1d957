#!/usr/bin/python3
"""Plans of published models on nodes of GPUs, as the table of docs/plans.md.

usage: scripts/plan_table.py [--binary build/host/longsight]

Each line is one command; --commands prints them instead. Nothing is trained and no GPU is needed: lengths are given, and
the rates are those of data sheets (configs/hardware). Takes some minutes.
"""
import argparse
import json
import subprocess
import sys

MODELS = ["qwen2.5-vl-7b", "internvl3-8b", "llava-1.5-7b"]
GPUS = [8, 64, 512, 4096]
TOKENS, IMAGES = 131072, 64
LORA = 'model.lora={rank: 16, targets: ["*.q_proj", "*.k_proj", "*.v_proj", "*.o_proj"]}'
# What is trained, and on what.
KINDS = [("whole", "h100", []), ("whole", "b200", []), ("LoRA", "h100", [LORA]), ("LoRA", "h200", [LORA])]
GIB = 2**30


def command(binary, model, hardware, gpus, overrides):
    # A sample for each node: the work grows with the GPUs.
    return [binary, "plan", f"configs/models/{model}.json", "--hardware", f"configs/hardware/{hardware}.yaml", "--ranks",
            str(gpus), "--tokens", str(TOKENS), "--images", str(IMAGES), "--samples", str(gpus // 8), *overrides, "--json"]


def strategy(plan, kind):
    names = {block["strategy"] for block in plan["blocks"] if block["kind"] == kind}
    return "/".join(sorted(names))


def limit(plan):
    if plan["refusal"]:
        stays = sum(plan["memory"][part] for part in ["parameters", "gradients", "optimizer"])
        if stays >= plan["memory_budget"]:
            return f"**does not fit**: parameters, gradients and moments alone take {stays / GIB:.0f} GiB"
        return "**does not fit**"
    seconds, exchanges = plan["predicted_seconds"], plan["link_seconds"] + plan["network_seconds"]
    part = max(plan["seconds"], key=plan["seconds"].get)
    if exchanges > 0.5 * seconds:
        which = "network" if plan["network_seconds"] > plan["link_seconds"] else "links in the node"
        return f"{which}: {100 * exchanges / seconds:.0f} % of the time"
    return f"computing, {part} {100 * plan['seconds'][part] / seconds:.0f} %; exchanges {100 * exchanges / seconds:.0f} %"


def row(model, what, hardware, gpus, plan):
    mesh, memory = plan["mesh"], plan["memory"]["total"] / GIB
    split = " in a zigzag" if plan["split"]["language"] == "zigzag" else ""
    layout = (f"data {mesh['data']} × sequence {mesh['sequence']}; {strategy(plan, 'vision_attention')}, "
              f"{strategy(plan, 'language_attention')}{split}; recompute {plan['blocks'][1]['recompute']}; zero {plan['zero']['stage']}")
    fits = not plan["refusal"]
    speed = f"{plan['predicted_tokens_per_second'] / 1000:,.0f}" if fits else "-"
    used = f"{memory:.0f} of {plan['memory_budget'] / GIB:.0f}"
    return f"| {model} | {what} | {hardware} | {gpus:,} | {layout if fits else '-'} | {used} | {speed} | {limit(plan)} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default="build/host/longsight")
    parser.add_argument("--commands", action="store_true", help="print the commands, and run nothing")
    a = parser.parse_args()
    if not a.commands:
        print("| model | trained | node of 8 | GPUs | layout | GiB a GPU | 1,000 tokens/s | what limits |\n"
              "|---|---|---|---|---|---|---|---|")
    for model in MODELS:
        for what, hardware, overrides in KINDS:
            for gpus in GPUS:
                words = command(a.binary, model, hardware, gpus, overrides)
                if a.commands:
                    print(" ".join(f"'{word}'" if " " in word else word for word in words))
                    continue
                # 64: it does not fit; the plan is printed all the same.
                result = subprocess.run(words, capture_output=True, text=True)
                if result.returncode not in (0, 64) or not result.stdout:
                    sys.exit(f"plan_table: {' '.join(words)}: {result.returncode}\n{result.stderr}")
                print(row(model, what, hardware.upper(), gpus, json.loads(result.stdout)), flush=True)


if __name__ == "__main__":
    main()
