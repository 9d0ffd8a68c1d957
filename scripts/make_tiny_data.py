#!/usr/bin/python3
"""Draws the data of configs/tiny.yaml: a dozen coloured shapes, chat samples about them, a few held-out ones.

The result is committed (a few KB), so that configs/tiny.yaml runs straight after the build; run this again only to
change it. The samples are chosen to differ in kind, not to teach much: no image, one, several, repeated; one turn and
several; a system message; texts outside ASCII; pictures that are not square.
"""
import argparse
import json
import os
import sys

COLOURS = {"red": (208, 32, 32), "green": (24, 136, 56), "blue": (32, 64, 208), "yellow": (240, 200, 16),
           "black": (24, 24, 24), "purple": (136, 40, 168)}

# name: (colour, shape, width, height)
PICTURES = {
    "red_square": ("red", "square", 28, 28),
    "green_square": ("green", "square", 24, 24),
    "blue_circle": ("blue", "circle", 28, 28),
    "red_circle": ("red", "circle", 32, 24),
    "yellow_circle": ("yellow", "circle", 20, 20),
    "green_triangle": ("green", "triangle", 28, 28),
    "black_triangle": ("black", "triangle", 24, 32),
    "purple_cross": ("purple", "cross", 28, 28),
    "blue_cross": ("blue", "cross", 32, 32),
    "yellow_triangle": ("yellow", "triangle", 26, 26),
    "blue_square": ("blue", "square", 30, 20),
    "purple_circle": ("purple", "circle", 28, 28),
}


def user(question, *pictures):
    content = [{"type": "image", "image": f"png/{p}.png"} for p in pictures]
    return {"role": "user", "content": content + [{"type": "text", "text": question}]}


def assistant(answer):
    return {"role": "assistant", "content": [{"type": "text", "text": answer}]}


def chat(identifier, *messages):
    return {"id": identifier, "messages": list(messages)}


def one(picture):
    colour, shape = picture.split("_")
    return chat(f"one-{picture}", user("What is this?", picture), assistant(f"a {colour} {shape}"))


TRAIN = [
    one("red_square"),
    one("blue_circle"),
    chat("text-numbers", user("Count to five."), assistant("one, two, three, four, five")),
    one("green_triangle"),
    chat("pair", user("Compare the two pictures.", "red_square", "red_circle"),
         assistant("Both are red: a square, then a circle.")),
    chat("turns", user("What is this?", "purple_cross"), assistant("a purple cross"),
         user("Which colour?"), assistant("purple"), user("How many arms has it?"), assistant("four")),
    chat("german", user("Was ist das?", "green_square"), assistant("ein grünes Quadrat – natürlich")),
    chat("six", user("Name them in order.", "blue_cross", "yellow_circle", "red_square", "black_triangle",
                     "green_square", "blue_circle"),
         assistant("a blue cross, a yellow circle, a red square, a black triangle, a green square, a blue circle")),
    chat("text-languages", user("Say hello in three languages."), assistant("Grüß Gott, こんにちは, Привет 👋")),
    one("yellow_circle"),
    chat("same-twice", user("Is it the same picture?", "black_triangle", "black_triangle"),
         assistant("yes, a black triangle, twice")),
    chat("later-image", user("I will show you something."), assistant("Go ahead."),
         user("What is it?", "red_circle"), assistant("a red circle")),
    chat("three", user("哪一个是蓝色的？", "red_square", "blue_cross", "yellow_circle"), assistant("第二个，蓝色的十字")),
    chat("short", user("Colour?", "green_triangle"), assistant("green")),
    one("black_triangle"),
    chat("text-long", user("Describe a triangle."),
         assistant("A triangle has three corners and three sides. Its angles add up to 180°, in the plane. "
                   "If all sides are equal, each angle is 60°.")),
    one("blue_cross"),
    chat("emoji", user("Answer with a sign only.", "purple_cross", "green_square"), assistant("💜❌ 🟩")),
]

EVAL = [
    one("yellow_triangle"),
    one("blue_square"),
    chat("eval-pair", user("Compare the two pictures.", "purple_circle", "purple_cross"),
         assistant("Both are purple: a circle, then a cross.")),
    chat("eval-text", user("Count to three."), assistant("one, two, three")),
    chat("eval-turns", user("What is this?", "blue_square"), assistant("a blue square"),
         user("Which colour?"), assistant("blue")),
]


def draw(colour, shape, width, height):
    from PIL import Image, ImageDraw
    # Drawn at eight times the size and reduced: smooth edges, so that resizing and decoding see more than two values.
    scale = 8
    picture = Image.new("RGB", (width * scale, height * scale), (255, 255, 255))
    pen = ImageDraw.Draw(picture)
    side = min(width, height) * scale * 3 // 4
    left, top = (width * scale - side) // 2, (height * scale - side) // 2
    box = [left, top, left + side, top + side]
    third = side // 3
    if shape == "square":
        pen.rectangle(box, fill=colour)
    elif shape == "circle":
        pen.ellipse(box, fill=colour)
    elif shape == "triangle":
        pen.polygon([(left, top + side), (left + side // 2, top), (left + side, top + side)], fill=colour)
    else:
        pen.rectangle([left + third, top, left + 2 * third, top + side], fill=colour)
        pen.rectangle([left, top + third, left + side, top + 2 * third], fill=colour)
    return picture.resize((width, height), Image.BOX)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default="configs/tiny", help="folder to write (default: %(default)s)")
    a = parser.parse_args()
    try:
        os.makedirs(os.path.join(a.out, "png"), exist_ok=True)
        for name, (colour, shape, width, height) in PICTURES.items():
            draw(COLOURS[colour], shape, width, height).save(os.path.join(a.out, "png", f"{name}.png"), optimize=True)
        for name, lines in [("tiny", TRAIN), ("tiny_eval", EVAL)]:
            with open(os.path.join(a.out, f"{name}.jsonl"), "w", encoding="utf-8") as out:
                for line in lines:
                    out.write(json.dumps(line, ensure_ascii=False) + "\n")
    except ImportError:
        sys.exit("make_tiny_data: needs Debian's python3-pil: run scripts/setup.sh, and this script with /usr/bin/python3")
    except OSError as error:
        sys.exit(f"make_tiny_data: cannot write {error.filename or a.out}: {error.strerror}")
    print(f"{a.out}: {len(PICTURES)} pictures, {len(TRAIN)} training samples, {len(EVAL)} held out")


if __name__ == "__main__":
    main()
