#!/usr/bin/python3
"""Shows what `longsight generate --data` wrote: the share of exact answers, some of them as text, and a contact sheet.

Each cell of the sheet is a picture, the generated caption (green: equal to the reference, red: not) and, where they
differ, the reference below it. Needs Debian's python3-pil (scripts/setup.sh).
"""
import argparse
import json
import os
import sys

CELL, PICTURE, MARGIN, LINE, LINES = 190, 112, 8, 15, 3
GREEN, RED, GREY = (0, 120, 40), (190, 20, 20), (90, 90, 90)
FONTS = ["/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf", "/usr/share/fonts/dejavu-sans-fonts/DejaVuSans.ttf"]


def stop(message, code=65):
    print(f"caption_sheet: {message}", file=sys.stderr)
    sys.exit(code)


def read_lines(path):
    try:
        with open(path, encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    try:
                        yield json.loads(line)
                    except ValueError as error:
                        stop(f"{path}:{number}: {error}")
    except OSError as error:
        stop(f"cannot read {path}: {error.strerror}", 66)


def pictures_of(sample):
    parts = [p for m in sample["messages"] if isinstance(m["content"], list) for p in m["content"]]
    return [p["image"] for p in parts if p.get("type") == "image"]


def join(data, generated, data_path, generated_path):
    """Pairs each generated line with its sample: by id where the data has ids, else by order."""
    by_id = {s["id"]: s for s in data if "id" in s}
    if len(by_id) == len(data) and all(g.get("id") in by_id for g in generated):
        return [(by_id[g["id"]], g) for g in generated]
    if len(generated) != len(data):
        stop(f"{generated_path} has {len(generated)} lines, {data_path} {len(data)}, and their ids do not match")
    return list(zip(data, generated))


def wrap(pen, text, font, width, lines):
    """Breaks at spaces; what does not fit into `lines` ends in an ellipsis."""
    result, current = [], ""
    for word in text.split():
        trial = f"{current} {word}".strip()
        if current and pen.textlength(trial, font=font) > width:
            result.append(current)
            current = word
        else:
            current = trial
    result.append(current)
    if len(result) > lines:
        result = result[:lines - 1] + [result[lines - 1] + " …"]
    return result


def draw_cell(sheet, pen, font, left, top, folder, sample, line):
    from PIL import Image
    pictures = pictures_of(sample)
    columns = max(1, round(len(pictures) ** 0.5 + 0.49))
    side = PICTURE // columns
    for n, name in enumerate(pictures):
        picture = Image.open(os.path.join(folder, name)).convert("RGB")
        picture.thumbnail((side, side))
        x = left + (CELL - columns * side) // 2 + n % columns * side
        sheet.paste(picture, (x, top + MARGIN + n // columns * side))
    y = top + MARGIN + PICTURE + 4
    texts = [(line["generated"], GREEN if line["exact"] else RED)]
    if not line["exact"]:
        texts.append((line["reference"], GREY))
    for text, colour in texts:
        for part in wrap(pen, text, font, CELL - 2 * MARGIN, LINES):
            pen.text((left + CELL // 2, y), part, fill=colour, font=font, anchor="ma")
            y += LINE


def draw(pairs, folder, path, columns):
    from PIL import Image, ImageDraw, ImageFont
    font_path = next((f for f in FONTS if os.path.exists(f)), None)
    if font_path is None:
        stop("no DejaVu Sans: install fonts-dejavu-core (scripts/setup.sh)", 66)
    font = ImageFont.truetype(font_path, 12)
    height = MARGIN + PICTURE + 4 + 2 * LINES * LINE + MARGIN
    rows = -(-len(pairs) // columns)
    sheet = Image.new("RGB", (columns * CELL, rows * height), (255, 255, 255))
    pen = ImageDraw.Draw(sheet)
    for n, (sample, line) in enumerate(pairs):
        left, top = n % columns * CELL, n // columns * height
        draw_cell(sheet, pen, font, left, top, folder, sample, line)
        pen.rectangle([left, top, left + CELL, top + height], outline=(225, 225, 225))
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    sheet.save(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="the JSONL that was given to generate")
    parser.add_argument("--generated", required=True, help="the JSON lines that generate wrote")
    parser.add_argument("--out", help="the PNG to write")
    parser.add_argument("--count", type=int, default=48, help="cells of the sheet (default: %(default)s)")
    parser.add_argument("--columns", type=int, default=8, help="default: %(default)s")
    parser.add_argument("--print", type=int, default=10, dest="shown", help="captions to print (default: %(default)s)")
    a = parser.parse_args()

    data, generated = list(read_lines(a.data)), list(read_lines(a.generated))
    if not generated:
        stop(f"{a.generated}: no lines")
    for n, line in enumerate(generated, 1):
        for key in ("generated", "reference", "exact"):
            if key not in line:
                stop(f"{a.generated}:{n}: no key '{key}'; is it the output of longsight generate --data?")
    pairs = join(data, generated, a.data, a.generated)
    exact = sum(bool(line["exact"]) for line in generated)
    print(f"{exact} of {len(generated)} answers exactly right ({100 * exact / len(generated):.0f} %)")
    for _, line in pairs[:a.shown]:
        print(f"  {'right' if line['exact'] else 'WRONG'}  {line['generated']}"
              + ("" if line["exact"] else f"   (it is: {line['reference']})"))
    if a.out:
        try:
            draw(pairs[:a.count], os.path.dirname(a.data), a.out, min(a.columns, a.count))
        except ImportError:
            stop("needs Debian's python3-pil: run scripts/setup.sh, and this script with /usr/bin/python3", 66)
        except OSError as error:
            stop(f"{error.filename or a.out}: {error.strerror or error}", 73)
        print(f"contact sheet: {a.out}")


if __name__ == "__main__":
    main()
