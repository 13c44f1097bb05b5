"""The page of `make bench`: share/bench/bench.json, a chart beside it, and the table of README.md.

page.py RESULT.json TOP. RESULT.json is what bench.py wrote. The chart shows how many times longer a peer takes than rl
for the same work, on a logarithmic scale, with the bar each row has to reach. Rows without a peer (memory, counts) and
rows that are only information are in the table, not in the chart.
"""
import html
import json
import math
import os
import re
import sys

WIDTH, LABEL, RIGHT, ROW, TOP_SPACE = 960, 400, 70, 24, 74
LEFT_VALUE = 0.5  # of the scale


def number(text):
    m = re.search(r"[\d.]+", str(text))
    return float(m[0]) if m else None


def points(rows):
    """(name, peer / rl, the bar on the same scale, met) of each row that compares times or rates with a peer."""
    found = []
    for r in rows:
        value, bar = number(r["value"]), number(r["bar"])
        if value in (None, 0) or bar in (None, 0) or r["met"] is None or "/" not in r["name"]:
            continue
        if re.search(r"[a-zA-Z]", str(r["value"])):
            continue
        lower_is_better = "<" in r["bar"]
        found.append((r["name"], 1 / value if lower_is_better else value, 1 / bar if lower_is_better else bar, r["met"]))
    return found


def chart(rows, machine):
    data = points(rows)
    most = max([2.0] + [v for _, v, _, _ in data])
    scale = (WIDTH - LABEL - RIGHT) / math.log(most * 1.1 / LEFT_VALUE)

    def x(value):
        return LABEL + scale * math.log(max(value, LEFT_VALUE) / LEFT_VALUE)

    height = TOP_SPACE + ROW * len(data) + 30
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
           'font-family="sans-serif" font-size="12">',
           f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
           '<text x="12" y="22" font-size="16" font-weight="bold" fill="#1b1f24">How many times longer it takes beside rl</text>',
           f'<text x="12" y="42" fill="#57606a">{html.escape(machine)}</text>']
    for tick in (0.5, 1, 2, 5, 10, 20, 50, 100, 200):
        if tick > most * 1.1:
            break
        colour, width = ("#1b1f24", 1.2) if tick == 1 else ("#d8dee4", 1)
        out.append(f'<line x1="{x(tick):.1f}" y1="{TOP_SPACE - 6}" x2="{x(tick):.1f}" y2="{height - 24}" stroke="{colour}" '
                   f'stroke-width="{width}"/>')
        out.append(f'<text x="{x(tick):.1f}" y="{TOP_SPACE - 10}" text-anchor="middle" fill="#57606a">'
                   f'{tick:g}{" = rl" if tick == 1 else ""}</text>')
    for i, (name, value, bar, met) in enumerate(data):
        y = TOP_SPACE + i * ROW
        left, right = sorted((x(1), x(value)))
        colour = "#1a7f37" if met else "#bc4c00"
        out.append(f'<text x="{LABEL - 10}" y="{y + 15}" text-anchor="end" fill="#1b1f24">{html.escape(name)}</text>')
        out.append(f'<rect x="{left:.1f}" y="{y + 4}" width="{max(right - left, 1.5):.1f}" height="{ROW - 9}" fill="{colour}"/>')
        out.append(f'<line x1="{x(bar):.1f}" y1="{y + 1}" x2="{x(bar):.1f}" y2="{y + ROW - 2}" stroke="#0969da" '
                   'stroke-width="2"/>')
        out.append(f'<text x="{max(right, x(bar)) + 6:.1f}" y="{y + 15}" fill="#1b1f24">{value:.3g}</text>')
    out.append(f'<text x="12" y="{height - 8}" fill="#57606a">green: bar met, orange: missed; blue line: the bar. '
               'Logarithmic scale, medians of interleaved rounds.</text>')
    out.append("</svg>")
    return "\n".join(out) + "\n"


def table(rows):
    lines = ["| what | `rl` | beside it | ratio | bar | met |", "|---|---|---|---|---|---|"]
    for r in rows:
        met = {True: "yes", False: "**no**", None: "-"}[r["met"]]
        cells = [r["name"], r["ours"], r["peer"], r["value"], r["bar"], met]
        lines.append("| " + " | ".join(str(c).replace("|", "\\|") for c in cells) + " |")
    return "\n".join(lines)


def replace_between(path, begin, end, text):
    with open(path, encoding="utf-8") as f:
        page = f.read()
    if begin not in page or end not in page:
        sys.exit(f"page.py: {path} has no place for the table ({begin})")
    head, rest = page.split(begin, 1)
    tail = rest.split(end, 1)[1]
    with open(path + ".new", "w", encoding="utf-8") as f:
        f.write(f"{head}{begin}\n{text}\n{end}{tail}")
    os.rename(path + ".new", path)


def main():
    result, top = sys.argv[1:]
    with open(result) as f:
        doc = json.load(f)
    m = doc["machine"]
    peers = ", ".join(f"{n} {number_of(v)}" for n, v in m["versions"].items() if v != "not installed")
    machine = f"Linux {m['kernel']}, {m['cpus']} cores, {m.get('cpu', 'unknown processor')}, {m['time'][:10]}; {peers}"
    place = os.path.join(top, "share/bench")
    os.makedirs(place, exist_ok=True)
    with open(os.path.join(place, "bench.json"), "w") as f:
        json.dump(doc, f, indent=1)
        f.write("\n")
    with open(os.path.join(place, "bench.svg"), "w", encoding="utf-8") as f:
        f.write(chart(doc["rows"], machine))
    text = table(doc["rows"]) + f"\n\n{machine}. Load {m['load'][0]:.1f}; {m['rounds']} rounds where nothing else is said.\n"
    text += "".join(f"\n{n[0].upper()}{n[1:]}." for n in doc["notes"])
    replace_between(os.path.join(top, "README.md"), "<!-- bench -->", "<!-- end of bench -->", text)


def number_of(version):
    m = re.search(r"\b\d+\.\d[\w.]*", version)
    return m[0] if m else version


if __name__ == "__main__":
    main()
