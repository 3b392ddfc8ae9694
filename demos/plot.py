#!/usr/bin/env python3
"""plot.py OUT.svg FILE ...: the layers' useful GFLOP/s as bars, each layer with a tick where the device's roofline ends.

A FILE is the output of `tconv3d bench --json` or of `compare.py --json`; of several figures for one bar the last counts.

    build/demos/tconv3d bench --json >own.json
    demos/compare.py build/demos/tconv3d --json peers.json
    demos/plot.py bench.svg own.json peers.json

It needs nothing but Python: the picture is plain SVG, written here."""
import json
import math
import sys
from xml.sax.saxutils import escape

OWN = "tconv3d"
# Colours that colour-blind readers can tell apart (Okabe and Ito); this library's is the strongest.
COLOURS = ["#56b4e9", "#009e73", "#e69f00", "#cc79a7", "#f0e442", "#999999"]
OWN_COLOUR = "#d55e00"
LEFT, TOP, WIDTH, BAR, GAP, MARGIN = 96, 52, 640, 8, 12, 52


def read(paths):
    """{layer: {name: GFLOP/s}}, in the order of their first appearance, and {layer: the roofline's GFLOP/s}."""
    bars, roofs = {}, {}
    for path in paths:
        with open(path, encoding="utf-8") as file:
            rows = [json.loads(line) for line in file if line.strip()]
        for row in rows:
            figures = row["gflops"] if isinstance(row["gflops"], dict) else {OWN: row["gflops"]}
            bars.setdefault(row["name"], {}).update(figures)
            roofs[row["name"]] = row["roof_gflops"]
    return bars, roofs


def colours_of(bars):
    """Peers in the order of their first appearance, this library last."""
    names = dict.fromkeys(name for figures in bars.values() for name in figures if name != OWN)
    return {**{name: COLOURS[i % len(COLOURS)] for i, name in enumerate(names)}, OWN: OWN_COLOUR}


def grid_step(largest):
    """1, 2 or 5 times a power of ten, so that there are five to ten lines."""
    power = 10 ** math.floor(math.log10(largest / 5))
    return max(f * power for f in (1, 2, 5) if f * power <= largest / 5)


def rectangle(x, y, width, height, colour, title=""):
    hover = "<title>%s</title>" % escape(title) if title else ""
    return '<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s">%s</rect>' % (x, y, width, height, colour, hover)


def text(x, y, anchor, words):
    return '<text x="%.1f" y="%.1f" text-anchor="%s">%s</text>' % (x, y, anchor, escape(words))


def line(x0, y0, x1, y1, colour, width):
    return '<path d="M%.1f %.1fL%.1f %.1f" stroke="%s" stroke-width="%g"/>' % (x0, y0, x1, y1, colour, width)


def legend(colours):
    x = LEFT
    for name, colour in colours.items():
        yield rectangle(x, 12, 12, 12, colour)
        yield text(x + 17, 22, "start", name)
        x += 32 + 7 * len(name)
    yield line(x + 6, 11, x + 6, 25, "#000000", 2)
    yield text(x + 14, 22, "start", "roofline")


def grid(largest, scale, bottom):
    step = grid_step(largest)
    for i in range(int(largest / step) + 1):
        x = LEFT + i * step * scale
        yield line(x, TOP, x, bottom, "#dddddd", 1)
        yield text(x, TOP - 6, "middle", "%g" % (i * step))
    yield text(LEFT - 8, TOP - 6, "end", "GFLOP/s")


def layers(bars, roofs, colours, scale):
    y = TOP + GAP / 2
    for layer, figures in bars.items():
        names = [name for name in colours if name in figures]
        height = BAR * len(names)
        yield text(LEFT - 8, y + height / 2 + 4, "end", layer)
        for i, name in enumerate(names):
            title = "%s, %s: %.0f GFLOP/s" % (layer, name, figures[name])
            yield rectangle(LEFT, y + i * BAR, figures[name] * scale, BAR - 1, colours[name], title)
        roof = LEFT + roofs[layer] * scale
        yield line(roof, y - 2, roof, y + height + 1, "#000000", 2)
        y += height + GAP


def picture(bars, roofs):
    colours = colours_of(bars)
    largest = max(max(roofs.values()), max(max(figures.values()) for figures in bars.values()))
    scale = WIDTH / largest
    bottom = TOP + sum(BAR * len(figures) + GAP for figures in bars.values())
    size = (LEFT + WIDTH + MARGIN, bottom + 8)
    yield '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">' % size
    yield rectangle(0, 0, *size, "#ffffff")
    yield from legend(colours)
    yield from grid(largest, scale, bottom)
    yield from layers(bars, roofs, colours, scale)
    yield "</svg>"


def main(out, *paths):
    bars, roofs = read(paths)
    if not bars:
        sys.exit("plot.py: no layer in the files")
    with open(out, "w", encoding="utf-8") as file:
        file.write("\n".join(picture(bars, roofs)) + "\n")


if len(sys.argv) < 3:
    sys.exit(__doc__)
main(*sys.argv[1:])
