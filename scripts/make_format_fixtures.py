#!/usr/bin/env python3
"""Makes tests/goldens/data_formats: the same four conversations in every format with pictures, two data sets of
texts, and tar archives as Python's tarfile and GNU tar write them. Needs Pillow and GNU tar."""
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile

from PIL import Image

OUT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "..", "tests", "goldens", "data_formats")

# id, system, pictures, [(question, answer), ...]; <image> takes the next picture.
SAMPLES = [
    ("one", None, ["red.png"], [("<image>\nWhat colour is this?", "Red.")]),
    ("two", "Answer briefly.", ["red.png", "blue.jpg"],
     [("Compare <image> and <image>, please.", "Red, then blue."), ("Which is larger?", "The second, 9 × 7.")]),
    ("none", None, [], [("Say \"hi\"\nin German: \\o/", "Hallo! 😀")]),
    ("last", None, ["blue.jpg"], [("What is it?\n<image>", "A blue picture.")]),
]


def write(name, text):
    os.makedirs(os.path.dirname(os.path.join(OUT, name)), exist_ok=True)
    with open(os.path.join(OUT, name), "w", encoding="utf-8") as file:
        file.write(text)


def messages(system, turns):
    made = [{"role": "system", "content": system}] if system else []
    for question, answer in turns:
        made += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return made


def conversations(turns):
    return [turn for question, answer in turns
            for turn in ({"from": "human", "value": question}, {"from": "gpt", "value": answer})]


def as_llava(sample):
    name, system, pictures, turns = sample
    record = {"id": name}
    if pictures:
        record["image"] = pictures[0] if len(pictures) == 1 else pictures
    record["conversations"] = ([{"from": "system", "value": system}] if system else []) + conversations(turns)
    return record


def as_sharegpt(sample):
    name, system, pictures, turns = sample
    record = {"id": name, "conversations": conversations(turns), "images": pictures}
    return {**record, "system": system} if system else record


def as_renamed(sample):
    name, system, pictures, turns = sample
    return {"id": name, "dialog": [{"who": {"user": "Q", "assistant": "A", "system": "S"}[m["role"]], "says": m["content"]}
                                   for m in messages(system, turns)], "files": pictures}


def as_pairs(sample):
    name, system, pictures, turns = sample
    record = {"id": name, "images": pictures, "conversation": [{"human": q, "assistant": a} for q, a in turns]}
    return {**record, "system": system} if system else record


def add(archive, name, data, **more):
    member = tarfile.TarInfo(name)
    member.size = len(data)
    for key, value in more.items():
        setattr(member, key, value)
    archive.addfile(member, io.BytesIO(data))


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    os.makedirs(os.path.join(OUT, "pictures"))
    Image.new("RGB", (5, 4), (255, 0, 0)).save(os.path.join(OUT, "pictures", "red.png"))
    Image.new("RGB", (9, 7), (0, 0, 255)).save(os.path.join(OUT, "pictures", "blue.jpg"))
    pictures = {name: open(os.path.join(OUT, "pictures", name), "rb").read() for name in ["red.png", "blue.jpg"]}

    write("messages.jsonl", "".join(json.dumps({"id": n, "images": p, "messages": messages(s, t)}, ensure_ascii=False) + "\n"
                                    for n, s, p, t in SAMPLES))
    write("llava.json", json.dumps([as_llava(s) for s in SAMPLES], indent=2, ensure_ascii=False))
    write("llava_one_line.json", json.dumps([as_llava(s) for s in SAMPLES]))
    write("llava.jsonl", "".join(json.dumps(as_llava(s)) + "\n" for s in SAMPLES))
    write("sharegpt.json", json.dumps([as_sharegpt(s) for s in SAMPLES], indent=1))
    write("sharegpt_renamed.json", json.dumps([as_renamed(s) for s in SAMPLES]))
    write("sharegpt_pairs.json", json.dumps([as_pairs(s) for s in SAMPLES]))

    # Two shards of tarfile: one takes the pictures in their order, the other one has records that name them.
    os.makedirs(os.path.join(OUT, "shards"))
    for shard, samples, form in [("000", SAMPLES[:2], tarfile.GNU_FORMAT), ("001", SAMPLES[2:], tarfile.PAX_FORMAT)]:
        with tarfile.open(os.path.join(OUT, "shards", f"train-{shard}.tar"), "w", format=form) as archive:
            folder = tarfile.TarInfo("samples")
            folder.type = tarfile.DIRTYPE
            archive.addfile(folder)
            for name, system, names, turns in samples:
                record = {"id": name, "messages": messages(system, turns)}
                if shard == "001":
                    record["images"] = names
                for i, picture in enumerate(names):
                    member = picture if shard == "001" else f"img{i + 1}.{picture.split('.')[1]}"
                    add(archive, f"samples/{name}.{member}", pictures[picture], mtime=1.5 if shard == "001" else 1)
                add(archive, f"samples/{name}.json", json.dumps(record).encode())
                add(archive, f"samples/{name}.txt", b"passed over")

    # The same names through GNU tar: a long name, a link, a folder.
    work = os.path.join(OUT, "work")
    os.makedirs(os.path.join(work, "long" * 40))
    long_name = os.path.join("long" * 40, "a.json")
    with open(os.path.join(work, long_name), "w", encoding="utf-8") as file:
        json.dump({"text": "behind a long name"}, file)
    os.symlink("a.json", os.path.join(work, "long" * 40, "a.link"))
    for form in ["gnu", "pax", "ustar"]:
        folder = "long" * 40
        name = folder if form != "ustar" else "short"
        if form == "ustar":
            shutil.move(os.path.join(work, folder), os.path.join(work, name))
        subprocess.run(["tar", f"--format={form}", "--owner=0", "--group=0", "--mtime=2020-01-01", "--sort=name",
                        "-C", work, "-b", "1", "-cf", os.path.join(OUT, "shards", f"{form}.tar"), name], check=True)
    shutil.rmtree(work)

    write("text.jsonl", json.dumps({"text": "All of this is learned."}) + "\n" +
          json.dumps({"query": "2 + 2?", "response": "4", "history": [["1 + 1?", "2"]], "system": "Count."}) + "\n")
    write("alpaca.json", json.dumps([
        {"instruction": "Translate to French.", "input": "cat", "output": "chat"},
        {"instruction": "Name a colour.", "input": "", "output": "Green."}], indent=2))


if __name__ == "__main__":
    main()
