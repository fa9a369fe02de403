#!/usr/bin/env python3
"""Draws what `countersign-peers --json` printed: how many times its limit each row takes.

    countersign-peers --json | benches/peers/plot.py > docs/performance.svg
"""

import json
import math
import sys
from html import escape

ROW, LEFT, WIDTH, RIGHT = 18, 190, 520, 60


def main():
    rows = [json.loads(line) for line in sys.stdin if line.strip()]
    tables = {}
    for row in rows:
        if "request" in row and row["row"] != "limit":
            tables.setdefault(row["request"], []).append(row)
    if not tables:
        sys.exit("no rows of a request on the standard input: run countersign-peers with --json")
    most = max(row["ratio"] for table in tables.values() for row in table)
    decades = max(1, math.ceil(math.log10(most)))
    # Each factor of ten is as wide as any other, and the limit is the left edge.
    scale = lambda ratio: WIDTH * math.log10(max(ratio, 1)) / decades
    body, y = [], 20
    for request, table in tables.items():
        body.append(text(8, y, f"{request}: {table[0]['title']}", weight="bold"))
        y += ROW
        for row in sorted(table, key=lambda row: row["ratio"]):
            name, ratio = row["row"], row["ratio"]
            color = "#2563a8" if name.startswith("ours") else "#b9b9b9"
            width = max(scale(ratio), 1)
            body.append(text(LEFT - 8, y, name, anchor="end"))
            body.append(
                f'<rect x="{LEFT}" y="{y - 11}" width="{width:.1f}" height="13" fill="{color}"/>'
            )
            body.append(text(LEFT + width + 6, y, f"{ratio:.2f}"))
            y += ROW
        y += ROW // 2
    for ratio in (f * 10**d for d in range(decades) for f in (1, 2, 5)):
        x = LEFT + scale(ratio)
        body.insert(0, f'<line x1="{x:.1f}" x2="{x:.1f}" y1="8" y2="{y - 8}" stroke="#e4e4e4"/>')
        body.append(text(x, y + 6, f"{ratio}", anchor="middle"))
    body.append(text(LEFT, y + 24, "times the SHA-256 that the signature needs (logarithmic)"))
    width, height = LEFT + WIDTH + RIGHT, y + 34
    print(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">'
    )
    print(f'<rect width="{width}" height="{height}" fill="white"/>')
    print("\n".join(body))
    print("</svg>")


def text(x, y, words, anchor="start", weight="normal"):
    return (
        f'<text x="{x:.1f}" y="{y}" text-anchor="{anchor}" font-weight="{weight}">'
        f"{escape(words)}</text>"
    )


if __name__ == "__main__":
    main()
