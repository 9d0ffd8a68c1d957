#!/usr/bin/env python3
"""Defaults of the configuration classes of transformers, which the rows of model/families/ repeat.

  .venv/bin/python scripts/check_defaults.py            # compares tests/goldens/config_classes.json with the classes
  .venv/bin/python scripts/check_defaults.py --write    # writes it

Of every class that a model of tests/families.json consists of: the keys that it declares with their defaults, the base of its rotary
embedding, and what differs from the class where a part of a family is wholly absent. A unit test compares the rows with that file.
Exit code 0: equal, 70: not. Needs .venv (scripts/setup.sh --with-peers).
"""
import argparse
import dataclasses
import json
import os
import sys

import family_models as fm
import transformers

OUT = os.path.join(fm.ROOT, "tests", "goldens", "config_classes.json")
ELSEWHERE = {"rope_parameters", "text_config", "vision_config"}


def declared(cls):
    """What the class itself, and not the base of all, says of its keys."""
    keys = set()
    for ancestor in cls.__mro__:
        if ancestor is transformers.PretrainedConfig:
            break
        keys |= set(vars(ancestor).get("__annotations__", {}))
    found = {}
    for field in dataclasses.fields(cls):
        if field.name in keys - ELSEWHERE:
            factory = field.default_factory
            found[field.name] = factory() if factory is not dataclasses.MISSING else field.default
    return json.loads(json.dumps(found))


def absent(cls, part):
    """Of a part that is not there: what is not its class's default."""
    made = getattr(cls(), part, None)
    if made is None:
        return {}
    usual = type(made)().to_dict()
    return {key: value for key, value in made.to_dict().items() if key in declared(type(made)) and value != usual[key]}


def entry(cls):
    result = {"defaults": declared(cls)}
    if "num_hidden_layers" in result["defaults"] and "vocab_size" in result["defaults"]:
        result["rope_theta"] = getattr(cls, "default_theta", 10000.0)
    for part in ("vision_config", "text_config"):
        if part in (field.name for field in dataclasses.fields(cls)) and (differs := absent(cls, part)):
            result[f"absent {part}"] = differs
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    classes = {}
    for model in fm.families("models"):
        if fm.has_class(model["config"]):
            config = fm.transformers_config(model["config"])
            for part in (config, getattr(config, "text_config", None), getattr(config, "vision_config", None)):
                if part is not None:
                    classes[part.model_type] = entry(type(part))
    found = {"transformers": transformers.__version__, "classes": dict(sorted(classes.items()))}
    if options.write:
        with open(OUT, "w", encoding="utf-8") as file:
            json.dump(found, file, indent=1)
            file.write("\n")
        return
    with open(OUT, encoding="utf-8") as file:
        stored = json.load(file)
    bad = [name for name in sorted(set(found["classes"]) | set(stored["classes"]))
           if found["classes"].get(name) != stored["classes"].get(name)]
    for name in bad:
        print(f"PROBLEM {name}: {stored['classes'].get(name)} in {OUT}, {found['classes'].get(name)} in transformers")
    print(f"{len(found['classes'])} classes of transformers {found['transformers']}, {len(bad)} differ")
    sys.exit(70 if bad else 0)


if __name__ == "__main__":
    main()
