#!/usr/bin/python3
"""Audits a tiny model of every family in every layout, and prints a table.

  scripts/audit_families.py [--binary build/host/longsight] [--ranks 1,2,3,4] [--only qwen2-vl,mistral]

Three forms of each: everything trained; the vision tower frozen; adapters on every linear layer (an audit gives both of their
factors random values, so that both have a gradient). Each figure is the worst relative error of any parameter's gradient in float64,
over all layouts of that many ranks, against one rank. Exit code 0: all within 1e-9, 70: not. About three minutes on two cores.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

with open("tests/families.json", encoding="utf-8") as listed:
    LISTED = json.load(listed)
GOLDENS = {case["name"]: case for case in LISTED["goldens"]}
# Language models alone, with the vocabulary of a tokenizer.
TEXTS = {model["name"]: model["config"] for model in LISTED["models"]
         if "vision_config" not in model["config"] and model["name"] not in GOLDENS}
FORMS = ["whole", "vision frozen", "adapters"]
BOUND = 1e-9


def stop(message, code):
    print(f"audit_families: {message}", file=sys.stderr)
    sys.exit(code)


def run(arguments, ranks):
    environment = dict(os.environ, OMP_NUM_THREADS="1", OMPI_MCA_hwloc_base_binding_policy="none", OMPI_MCA_mpi_yield_when_idle="1")
    with_mpi = ["bash", "-c", 'source scripts/mpi_environment.sh && exec "$@"', "mpirun"]
    command = (with_mpi + ["mpirun", "-n", str(ranks)] if ranks > 1 else []) + arguments
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode not in (0, 70):
        stop(f"exit code {done.returncode} from {' '.join(command)}\n{done.stderr.strip()}", 70)
    return done


class Case:
    """A family's model and data; its YAML, and what it needs beside that, are written into the folder."""

    def __init__(self, name, folder):
        self.name, self.folder = name, folder
        self.has_tower = name not in TEXTS and os.path.exists(f"tests/goldens/{name}/model/preprocessor_config.json")
        if name in TEXTS:
            with open("configs/models/tiny.json", encoding="utf-8") as file:
                vocabulary = json.load(file)["text_config"]["vocab_size"]
            config = os.path.join(folder, "model.json")
            with open(config, "w", encoding="utf-8") as file:
                json.dump({**TEXTS[name], "vocab_size": vocabulary, "max_position_embeddings": 2048}, file)
            lines = os.path.join(folder, "text.jsonl")
            with open(lines, "w", encoding="utf-8") as file:
                for words in (3, 17, 1, 40, 9):
                    file.write(json.dumps({"text": "a small number of words " * words}) + "\n")
            self.model = f"config: {config}, tokenizer: configs/tiny/tokenizer"
            self.data = f"text: {lines}"
        else:
            self.model = f"from: tests/goldens/{name}/model"
            samples = GOLDENS[name].get("samples")  # without: ready batches
            self.data = f"messages: {samples}" if samples else f"tensors: [tests/goldens/{name}/batch.safetensors]"

    def forms(self):
        return [form for form in FORMS if form != "vision frozen" or self.has_tower]

    def config(self, form):
        model = self.model + {"whole": "", "vision frozen": ", train: {vision: false}",
                              "adapters": ", lora: {rank: 2, targets: ['*']}"}[form]
        path = os.path.join(self.folder, "audit.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"model: {{{model}}}\ndata: {{train: [{{{self.data}}}]}}\n"
                       f"train: {{tokens_per_step: 1024, steps: 1}}\n")
        return path


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default="build/host/longsight")
    parser.add_argument("--ranks", default="1,2,3,4")
    parser.add_argument("--only", default="", help="cases, separated by commas")
    options = parser.parse_args()
    if not os.path.exists(options.binary):
        stop(f"no {options.binary}; build it (scripts/test.sh), or name it with --binary", 66)
    known = [*GOLDENS, *TEXTS]
    names = [name for name in known if not options.only or name in options.only.split(",")]
    if not names:
        stop(f"--only {options.only}: none of {', '.join(known)}", 64)
    ranks = [int(n) for n in options.ranks.split(",")]

    print("| model | form | parameters | " + " | ".join(f"{n} ranks" if n > 1 else "1 rank" for n in ranks) + " |")
    print("|---" * (3 + len(ranks)) + "|", flush=True)
    bad = []
    layouts = {}
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            case = Case(name, folder)
            for form in case.forms():
                config, cells = case.config(form), []
                for n in ranks:
                    done = run([options.binary, "audit", config, "--layouts", "all", "--json"], n)
                    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
                    if not lines:
                        stop(f"audit of {name}, {form}, on {n} ranks: {done.stderr.strip()}", 70)
                    result = json.loads(lines[-1])
                    worst = max(result["worst_relative_error"], result["loss_relative_error"])
                    layouts[n] = result["layouts"]
                    cells.append(f"{worst:.0e}")
                    if done.returncode != 0 or not worst <= BOUND:
                        bad.append(f"{name}, {form}, {n} ranks: {worst}")
                print(f"| {name} | {form} | {result['parameters']} | " + " | ".join(cells) + " |", flush=True)
    print("\nlayouts: " + ", ".join(f"{count} on {n}" for n, count in layouts.items()))
    for problem in bad:
        print(f"audit_families: {problem}", file=sys.stderr)
    sys.exit(70 if bad else 0)


if __name__ == "__main__":
    main()
