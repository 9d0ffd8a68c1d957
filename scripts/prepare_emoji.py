#!/usr/bin/python3
"""Builds the emoji data set of the quickstart from two Debian packages; needs no network.

Pictures come from the bitmap strike (CBDT) of fonts-noto-color-emoji, names from unicode-data. Written to --out:

  png/<code points>.png    one square picture per emoji, on white
  train.jsonl              naming: one picture, "What is this?", its name
  train_sheets.jsonl       sheets: 4 to 12 pictures in one conversation, asked for by position, several turns
  heldout.jsonl            naming, on emoji that are nowhere in the two files above
  heldout_sheets.jsonl     sheets made of held-out emoji only

Held out is a tenth of the emoji with one skin tone ("woman astronaut: medium skin tone"). The same base with other
tones, and the same tone on other bases, stay in training: a right answer has to compose the two.

Two runs write the same bytes. Runs with Debian's python3, python3-fonttools and python3-pil (scripts/setup.sh).
"""
import argparse
import collections
import hashlib
import io
import json
import os
import random
import re
import sys

FONT = "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"
NAMES = "/usr/share/unicode/emoji/emoji-test.txt"

ORDINALS = ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh",
            "twelfth"]
TONE = re.compile(r"(?:light|medium-light|medium|medium-dark|dark) skin tone")
NAME_LINE = re.compile(r"^([0-9A-F ]+?) *; fully-qualified +# \S+ E[0-9.]+ (.+)$")
SEED = 20240501


class Emoji:
    def __init__(self, code_points, name):
        self.id = "-".join(f"{c:x}" for c in code_points)
        self.code_points = code_points
        self.name = name
        self.glyph = None
        self.pixels = None


def stop(message, code):
    print(f"prepare_emoji: {message}", file=sys.stderr)
    sys.exit(code)


def read_names(path):
    """The fully qualified emoji of emoji-test.txt, in its order."""
    emoji = []
    try:
        with open(path, encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if "; fully-qualified" not in line:
                    continue
                match = NAME_LINE.match(line.rstrip("\n"))
                if not match:
                    stop(f"{path}:{number}: not a line of emoji-test.txt: {line.strip()}", 65)
                emoji.append(Emoji([int(c, 16) for c in match[1].split()], match[2]))
    except OSError as error:
        stop(f"cannot read {path}: {error.strerror}; install the package unicode-data (scripts/setup.sh)", 66)
    if not emoji:
        stop(f"{path}: no fully qualified emoji in it; is it emoji-test.txt of Unicode?", 65)
    return emoji


def find_glyphs(font, emoji):
    """Gives each emoji its glyph name (None where the font has none): cmap for one code point, ligatures for more."""
    cmap = font.getBestCmap()
    ligatures = {}
    for lookup in font["GSUB"].table.LookupList.Lookup:
        for table in lookup.SubTable:
            for first, entries in getattr(table, "ligatures", {}).items():
                for entry in entries:
                    ligatures.setdefault((first, *entry.Component), entry.LigGlyph)
    for e in emoji:
        # The variation selector asks for the coloured form, which is the only one this font has.
        glyphs = tuple(cmap.get(c) for c in e.code_points if c != 0xFE0F)
        e.glyph = glyphs[0] if len(glyphs) == 1 else ligatures.get(glyphs)


def square(image, size):
    """The bitmap on white, centred in a square, at size x size."""
    from PIL import Image
    image = image.convert("RGBA")
    side = max(image.size)
    canvas = Image.new("RGBA", (side, side), (255, 255, 255, 255))
    canvas.alpha_composite(image, ((side - image.width) // 2, (side - image.height) // 2))
    canvas = canvas.convert("RGB")
    return canvas if size == side else canvas.resize((size, size), Image.LANCZOS)


def read_pictures(path, emoji):
    """Fills in glyphs and bitmaps. Returns the emoji to use, the ones without a picture, and the ones whose picture is
    that of another (Norway's flag is also Bouvet Island's): one picture gets one name, the shortest."""
    try:
        from fontTools.ttLib import TTFont, TTLibError
    except ImportError:
        stop("needs Debian's python3-fonttools: run scripts/setup.sh, and this script with /usr/bin/python3", 66)
    try:
        font = TTFont(path, lazy=True)
        strike = font["CBDT"].strikeData[0]
    except OSError as error:
        stop(f"cannot read {path}: {error.strerror}; install the package fonts-noto-color-emoji (scripts/setup.sh)", 66)
    except (TTLibError, KeyError) as error:
        stop(f"{path}: not a font with colour bitmaps (CBDT): {error}", 65)
    find_glyphs(font, emoji)
    missing = [e for e in emoji if e.glyph is None or e.glyph not in strike]
    without = {e.id for e in missing}
    drawn = [e for e in emoji if e.id not in without]
    named = {}
    for e in drawn:
        e.pixels = strike[e.glyph].imageData
        if e.pixels not in named or len(e.name) < len(named[e.pixels].name):
            named[e.pixels] = e
    found = [e for e in drawn if named[e.pixels] is e]
    twins = [(e, named[e.pixels]) for e in drawn if named[e.pixels] is not e]
    return found, missing, twins


def key(text):
    """Orders names in a way that has nothing to do with their meaning, the same on every machine."""
    return hashlib.sha256(text.encode()).digest()


def hold_out(emoji):
    """A tenth of the emoji with one tone, at most two of a base, so that training shows every base with other tones."""
    single = [e for e in emoji if len(TONE.findall(e.name)) == 1]
    base_of = {e.id: TONE.sub("*", e.name) for e in single}
    left = collections.Counter(base_of.values())
    taken = collections.Counter()
    held = set()
    for e in sorted(single, key=lambda e: key(e.name)):
        base = base_of[e.id]
        if len(held) < len(single) // 10 and taken[base] < 2 and left[base] > 2:
            held.add(e.id)
            taken[base] += 1
            left[base] -= 1
    tones = {TONE.search(e.name)[0] for e in single if e.id not in held}
    for e in single:
        if e.id in held and (left[base_of[e.id]] == 0 or TONE.search(e.name)[0] not in tones):
            stop(f"internal: {e.name} is held out, but training lacks its base or its tone", 70)
    return held, len(single)


def text(value):
    return {"type": "text", "text": value}


def image(e):
    return {"type": "image", "image": f"png/{e.id}.png"}


def naming(e):
    return {"id": e.id,
            "messages": [{"role": "user", "content": [image(e), text("What is this?")]},
                         {"role": "assistant", "content": [text(e.name)]}]}


def sheet(number, prefix, emoji, rng):
    """One conversation: all pictures in the first message, then 2 to 4 questions by position."""
    pictures = rng.sample(emoji, min(rng.randint(4, 12), len(emoji)))
    asked = rng.sample(range(len(pictures)), min(rng.randint(2, 4), len(pictures)))
    messages = []
    for turn, position in enumerate(asked):
        if turn == 0:
            content = [image(e) for e in pictures] + [text(f"What is the {ORDINALS[position]} picture?")]
        else:
            content = [text(f"And the {ORDINALS[position]} one?")]
        messages.append({"role": "user", "content": content})
        messages.append({"role": "assistant", "content": [text(pictures[position].name)]})
    return {"id": f"{prefix}-{number:05d}", "messages": messages}


def write_lines(path, lines):
    # Replaced as a whole, so that a reader never sees half a file.
    with open(path + ".tmp", "w", encoding="utf-8") as out:
        for line in lines:
            out.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")
    os.replace(path + ".tmp", path)


def write_pictures(folder, emoji, size):
    try:
        from PIL import Image
    except ImportError:
        stop("needs Debian's python3-pil: run scripts/setup.sh, and this script with /usr/bin/python3", 66)
    for e in emoji:
        picture = square(Image.open(io.BytesIO(e.pixels)), size)
        path = os.path.join(folder, f"{e.id}.png")
        picture.save(path + ".tmp", "PNG", compress_level=6)
        os.replace(path + ".tmp", path)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default="data/emoji", help="folder to write (default: %(default)s)")
    parser.add_argument("--size", type=int, default=136,
                        help="pixels per side (default: %(default)s, the strike's own width: nothing is resampled here, "
                             "training resizes to what the model wants)")
    parser.add_argument("--sheets", type=int, default=1000, metavar="N",
                        help="training sheets; a tenth as many held-out ones (default: %(default)s)")
    parser.add_argument("--font", default=FONT, help="default: %(default)s")
    parser.add_argument("--names", default=NAMES, help="default: %(default)s")
    a = parser.parse_args()
    if not 16 <= a.size <= 1024:
        parser.error(f"--size {a.size}: between 16 and 1024")
    if not 0 <= a.sheets <= 1000000:
        parser.error(f"--sheets {a.sheets}: between 0 and 1000000")
    return a


def main():
    a = arguments()
    listed = read_names(a.names)
    emoji, missing, twins = read_pictures(a.font, listed)
    held, single = hold_out(emoji)
    train = [e for e in emoji if e.id not in held]
    heldout = sorted((e for e in emoji if e.id in held), key=lambda e: key(e.name))

    rng = random.Random(SEED)
    train_sheets = [sheet(n, "sheet", train, rng) for n in range(a.sheets)]
    heldout_sheets = [sheet(n, "heldout-sheet", heldout, rng) for n in range(a.sheets // 10)]

    try:
        os.makedirs(os.path.join(a.out, "png"), exist_ok=True)
        write_pictures(os.path.join(a.out, "png"), emoji, a.size)
        for name, lines in [("train", map(naming, train)), ("heldout", map(naming, heldout)),
                            ("train_sheets", train_sheets), ("heldout_sheets", heldout_sheets)]:
            write_lines(os.path.join(a.out, f"{name}.jsonl"), lines)
    except OSError as error:
        stop(f"cannot write {error.filename or a.out}: {error.strerror}", 73)

    for e in missing:
        print(f"  no picture in the font, left out: {e.name}")
    if twins:
        print(f"  {len(twins)} names left out because their picture is that of another: "
              + ", ".join(f"{e.name} = {other.name}" for e, other in twins))
    print(f"{a.out}: {len(listed)} names, {len(emoji)} pictures of {a.size} x {a.size}; naming: {len(train)} train, "
          f"{len(heldout)} held out of {single} with one skin tone; sheets: {len(train_sheets)} train, "
          f"{len(heldout_sheets)} held out")


if __name__ == "__main__":
    main()
