#!/usr/bin/env python3
"""Loss, logits and gradients of random small models of every family against Hugging Face transformers, both in float64.

  .venv/bin/python scripts/check_families.py [--binary build/host/longsight] [--only NAME] [--ranks N]

Makes each model of tests/families.json with transformers, with epsilons that no class has by default, writes it as transformers
does, and compares `longsight gradients` with the model, eager. Exit code 0: all within bounds, 70: one is not. Needs .venv
(scripts/setup.sh --with-peers).
"""
import argparse
import os
import subprocess
import sys
import tempfile

import family_models as fm
from safetensors.torch import load_file, save_file

LOSS, LOGITS, GRADIENT = 1e-12, 1e-11, 1e-10  # a hundred times and more what is measured


def longsight(arguments, folder):
    command = [arguments.binary, "gradients", "--model", folder + "/model", "--batch", folder + "/batch.safetensors",
               "--out", folder + "/out.safetensors", "--logits"]
    if arguments.ranks > 1:
        command = ["mpirun", "-n", str(arguments.ranks), *command, f"parallel.sequence={arguments.ranks}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return load_file(folder + "/out.safetensors") if done.returncode == 0 else done.stderr.strip()[-300:]


def worst_gradient(ours, theirs, names):
    """The largest relative L2 difference of a parameter, and which; those without gradient must have none here."""
    worst, where = 0.0, ""
    largest = max(float(g.norm()) for g in theirs.values() if g is not None)
    for key, grad in theirs.items():
        if key not in names:
            continue  # the head of a model that ties it
        mine = ours.get("grad." + names[key])
        if grad is None or float(grad.norm()) == 0:
            if mine is not None and float(mine.norm()) > 1e-12 * largest:
                return float("inf"), key + " has a gradient here only"
        elif mine is None:
            return float("inf"), key + " has no gradient here"
        else:
            error = float((mine - grad).norm() / max(float(grad.norm()), 1e-4 * largest))
            if error > worst:
                worst, where = error, key
    return worst, where


def check(name, config, arguments):
    config = fm.transformers_config(fm.with_epsilons(config))
    model, batch = fm.build(config, seed=0), fm.batch_of(config, seed=1)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder + "/model")
        save_file({k: v.contiguous() for k, v in batch.items()}, folder + "/batch.safetensors")
        names = fm.file_names(model, load_file(folder + "/model/model.safetensors"))
        ours = longsight(arguments, folder)
    if isinstance(ours, str):
        print(f"{name:28} FAILED: {ours}")
        return False
    loss, logits, gradients = fm.run(model.double(), batch)
    valid = batch["attention_mask"].bool()
    loss_error = abs(float(ours["loss"]) - float(loss))
    logits_error = float((ours["logits"][valid] - logits[valid]).abs().max())
    gradient_error, where = worst_gradient(ours, gradients, names)
    good = loss_error <= LOSS and logits_error <= LOGITS and gradient_error <= GRADIENT
    print(f"{name:28} loss {loss_error:.1e}  logits {logits_error:.1e}  gradient {gradient_error:.1e} ({where})  "
          f"{'ok' if good else 'TOO FAR'}", flush=True)
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=os.path.join("build", "host", "longsight"))
    parser.add_argument("--only", default="")
    parser.add_argument("--ranks", type=int, default=1)
    arguments = parser.parse_args()
    good = True
    for model in fm.families("models"):
        # What is code of its own (InternVLChatModel) is compared as a golden, made in the other form.
        if arguments.only in model["name"] and fm.has_class(model["config"]):
            good &= check(model["name"], model["config"], arguments)
    sys.exit(0 if good else 70)


if __name__ == "__main__":
    main()
