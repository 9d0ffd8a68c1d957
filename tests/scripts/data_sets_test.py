#!/usr/bin/python3
"""The data sets that scripts make: the same bytes twice, what is held out is nowhere in training, its parts are."""
import filecmp
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
TONE = re.compile(r"(?:light|medium-light|medium|medium-dark|dark) skin tone")


def make(script, *arguments):
    subprocess.run([os.path.join(ROOT, "scripts", script), *arguments], check=True, stdout=subprocess.DEVNULL)


def read_lines(path):
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def pictures_of(sample):
    return [p["image"] for m in sample["messages"] for p in m["content"] if p["type"] == "image"]


def answers_of(sample):
    return [m["content"][0]["text"] for m in sample["messages"] if m["role"] == "assistant"]


def files_of(folder):
    return sorted(os.path.relpath(os.path.join(path, name), folder)
                  for path, _, names in os.walk(folder) for name in names)


class EmojiData(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folders = [tempfile.TemporaryDirectory() for _ in range(2)]
        for folder in cls.folders:
            make("prepare_emoji.py", "--out", folder.name, "--size", "32", "--sheets", "50")
        cls.folder = cls.folders[0].name
        names = ("train", "train_sheets", "heldout", "heldout_sheets")
        cls.samples = {name: read_lines(os.path.join(cls.folder, f"{name}.jsonl")) for name in names}

    @classmethod
    def tearDownClass(cls):
        for folder in cls.folders:
            folder.cleanup()

    def test_two_runs_write_the_same_bytes(self):
        first, second = (f.name for f in self.folders)
        self.assertEqual(files_of(first), files_of(second))
        _, different, failed = filecmp.cmpfiles(first, second, files_of(first), shallow=False)
        self.assertEqual((different, failed), ([], []))

    def test_what_is_held_out_is_nowhere_in_training(self):
        held_out = {p for s in self.samples["heldout"] for p in pictures_of(s)}
        names = {a for s in self.samples["heldout"] for a in answers_of(s)}
        self.assertEqual(len(held_out), 152)
        for s in self.samples["train"] + self.samples["train_sheets"]:
            self.assertTrue(held_out.isdisjoint(pictures_of(s)))
            self.assertTrue(names.isdisjoint(answers_of(s)))
        for s in self.samples["heldout_sheets"]:
            self.assertTrue(held_out.issuperset(pictures_of(s)))

    def test_the_base_and_the_tone_of_what_is_held_out_are_in_training(self):
        trained = [a for s in self.samples["train"] for a in answers_of(s)]
        bases = {TONE.sub("*", name) for name in trained if len(TONE.findall(name)) == 1}
        tones = {TONE.search(name)[0] for name in trained if len(TONE.findall(name)) == 1}
        for s in self.samples["heldout"]:
            name = answers_of(s)[0]
            self.assertIn(TONE.sub("*", name), bases)
            self.assertIn(TONE.search(name)[0], tones)

    def test_a_sheet_asks_for_the_picture_at_the_place_it_names(self):
        ordinals = "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth".split()
        name_of = {pictures_of(s)[0]: answers_of(s)[0] for s in self.samples["train"]}
        for s in self.samples["train_sheets"]:
            questions = [m["content"][-1]["text"] for m in s["messages"] if m["role"] == "user"]
            for question, answer in zip(questions, answers_of(s), strict=True):
                place = next(n for n, word in enumerate(ordinals) if f" {word} " in question)
                self.assertEqual(name_of[pictures_of(s)[place]], answer)

    def test_each_picture_is_a_square_file_of_the_size_asked_for(self):
        from PIL import Image
        for samples in self.samples.values():
            for picture in {p for s in samples for p in pictures_of(s)}:
                with Image.open(os.path.join(self.folder, picture)) as image:
                    self.assertEqual((image.size, image.mode), ((32, 32), "RGB"))


class TinyData(unittest.TestCase):
    def test_the_committed_files_are_what_the_script_writes(self):
        from PIL import Image
        committed = os.path.join(ROOT, "configs", "tiny")
        with tempfile.TemporaryDirectory() as folder:
            make("make_tiny_data.py", "--out", folder)
            for name in files_of(folder):
                if name.endswith(".png"):  # by pixels: another zlib may compress otherwise
                    with Image.open(os.path.join(folder, name)) as new, Image.open(os.path.join(committed, name)) as old:
                        self.assertEqual((new.mode, new.tobytes()), (old.mode, old.tobytes()), name)
                else:
                    self.assertTrue(filecmp.cmp(os.path.join(folder, name), os.path.join(committed, name), False), name)


if __name__ == "__main__":
    sys.exit(unittest.main())
