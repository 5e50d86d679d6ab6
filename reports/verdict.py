"""The verdict on a norm layer as one page, Markdown or HTML: what was found, tested, and at what cost.

Works on the plain values of harness.norm_check (a verdict's and a check's `as_dict`), so it needs no torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any

import jinja2

from reports.columns import metric_of
from reports.render_markdown import code, escape

MOST_CLASSES = 12
_ENVIRONMENT = jinja2.Environment(
    loader=jinja2.PackageLoader("reports"), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
)


@dataclass(frozen=True)
class Section:
    """A heading, lines of text, and a table (heads and rows), each of which may be empty."""

    heading: str
    lines: tuple[str, ...] = ()
    heads: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


def page(verdict: Mapping[str, Any], checks: Mapping[str, Any]) -> tuple[str, list[Section]]:
    """Title and sections of the report."""
    title = f"{verdict['norm']} on {verdict['suite']}"
    found = [_verdict(verdict), _scores(verdict), _tests(verdict), _classes(verdict)]
    return title, [*found, _contract(checks), _cost(checks), _kept(checks), _made(verdict)]


def render_markdown(verdict: Mapping[str, Any], checks: Mapping[str, Any]) -> str:
    """The report as Markdown."""
    title, sections = page(verdict, checks)
    out = [f"# {escape(title)}", ""]
    for section in sections:
        out += [f"## {escape(section.heading)}", ""] if section.heading else []
        for line in section.lines:
            out += [code(line.removeprefix("`")) if line.startswith("`") else escape(line), ""]
        if section.rows:
            out.append("| " + " | ".join(escape(head) for head in section.heads) + " |")
            out.append("|" + "|".join([":--", *("--:" for _ in section.heads[1:])]) + "|")
            out += ["| " + " | ".join(escape(entry) for entry in row) + " |" for row in section.rows]
            out.append("")
    return "\n".join(out).rstrip() + "\n"


def render_html(verdict: Mapping[str, Any], checks: Mapping[str, Any]) -> str:
    """The report as one HTML page that needs nothing from elsewhere."""
    title, sections = page(verdict, checks)
    return _ENVIRONMENT.get_template("verdict.html.jinja").render(title=title, sections=sections)


def _verdict(verdict: Mapping[str, Any]) -> Section:
    trained = f"Each row was trained on {_seeds(verdict['seeds'])} of {verdict['iterations']} iterations."
    if verdict["seeds"] < 2:
        unit = "The unit of the test is the image: it speaks of these trainings, not of the methods."
    else:
        unit = (
            f"The unit of the test is {verdict['unit']}: it speaks of other trainings of these methods, on other "
            "images like these, and rests on scores that are roughly normal over seeds. ± is half of the 95% interval."
        )
    return Section("", (verdict["sentence"], trained, unit))


def _scores(verdict: Mapping[str, Any]) -> Section:
    distances = [key for key in verdict["rows"][0]["scores"] if key == "fid" or key.startswith("fd_")]
    heads = ("Row", "mIoU", "Accuracy", *(metric_of(key).column.name for key in distances), "Parameters")
    rows = []
    for row in verdict["rows"]:
        scores = row["scores"]
        shown = [_spread([100 * v for v in scores[key]], 1) for key in ("miou", "accuracy")]
        shown += [_spread(scores[key], 3) if key in scores else "–" for key in distances]
        adds = "–" if row["multiply_adds"] is None else f"{row['multiply_adds'] / 1e9:.3f} G"
        parameters = "–" if row["parameters"] is None else f"{row['parameters'] / 1e6:.2f} M"
        rows.append((row["title"], *shown, parameters, adds))
    notes = tuple(f"{row['title']}: {note}" for row in verdict["rows"] for note in row["notes"])
    return Section("Scores, mean ± standard deviation over seeds", notes, (*heads, "Multiply-adds"), tuple(rows))


def _tests(verdict: Mapping[str, Any]) -> Section:
    heads = ("Against", "mIoU", "95% interval", "p", "p, Holm", "p over seeds", "can reach", "Accuracy", "Verdict")
    rows = []
    for one in verdict["against"]:
        miou, accuracy, exact = one["miou"], one["accuracy"], one["permutation"]
        interval = "–" if miou["low"] is None else f"{100 * miou['low']:+.1f} to {100 * miou['high']:+.1f}"
        figures = (f"{100 * miou['difference']:+.1f}", interval, _p(miou["p"]), _p(one["p_holm"]), _p(exact["p"]))
        rest = (_p(exact["smallest_p"]), f"{100 * accuracy['difference']:+.1f}", one["outcome"])
        rows.append((one["rival"], *figures, *rest))
    explained = (
        "p: two-sided, of mIoU. Holm: corrected over the rivals. p over seeds: exact permutation, which assumes "
        "nothing of how scores are spread, uncorrected; `can reach`: the least p that it can give with these seeds, "
        "uncorrected too. Where that, times the number of rivals, is over 0.05, several seeds leave the verdict open."
    )
    return Section("Tests", (explained.replace("`", ""),), heads, tuple(rows))


def _classes(verdict: Mapping[str, Any]) -> Section:
    first = verdict["against"][0]
    known = [one for one in first["classes"] if one["difference"] is not None]
    largest = sorted(known, key=lambda one: -abs(one["difference"]))[:MOST_CLASSES]
    rows = tuple(
        (
            one["name"],
            f"{100 * one['difference']:+.1f}",
            f"{100 * one['low']:+.1f} to {100 * one['high']:+.1f}",
            _p(one["p_holm"]),
            str(one["images"]),
        )
        for one in largest
    )
    heads = ("Class", "IoU", "95% interval", "p, Holm over classes", "images")
    return Section(f"Gains and losses by class, against {first['rival']}", (), heads, rows)


def _contract(checks: Mapping[str, Any]) -> Section:
    rows = tuple(
        (p["name"], p["outcome"], p["asks"] if p["outcome"] == "ok" else p["said"]) for p in checks["contract"]
    )
    return Section("Contract", (), ("Point", "Outcome", ""), rows)


def _cost(checks: Mapping[str, Any]) -> Section:
    cost = checks["cost"]
    if cost is None:
        return Section("Cost", (f"Left out: {checks['left_out'].get('cost', 'not measured')}",))
    rows = []
    for what in ("layer", "generator"):
        for whose, run in (("own", cost[what]["own"]), ("SPADE's", cost[what]["spade"])):
            times = (f"{1e3 * run['forward']:.2f} ms", f"{1e3 * run['backward']:.2f} ms")
            memory = f"{run['memory'] / 2**20:.1f} MiB"
            rows.append(
                (f"{what}, {whose}", f"{run['parameters']:,}", f"{run['multiply_adds'] / 1e6:,.1f} M", *times, memory)
            )
    heads = ("", "Parameters", "Multiply-adds", "Forward", "Backward", "Memory")
    return Section("Cost", (f"{cost['measured']}.",), heads, tuple(rows))


def _kept(checks: Mapping[str, Any]) -> Section:
    if not checks["kept"]:
        return Section("What it keeps of the class", (f"Left out: {checks['left_out'].get('kept', 'not measured')}",))
    rows = []
    for name, (training, evaluated) in checks["kept"].items():
        shares = (training["uniform"], evaluated["uniform"], training["mixed"], evaluated["mixed"])
        called = checks["norm"]["name"] if name == "norm" else name
        rows.append((called, *(f"{share:.3f}" for share in shares)))
    chance = next(iter(checks["kept"].values()))[0]["chance"]
    said = f"Share of pixels whose class a linear probe reads behind the norm; chance on uniform maps: {chance:.3f}."
    reduces = "; ".join(each["line"] for each in checks["reductions"] or ()) or "none found"
    heads = ("Norm", "uniform maps", "in eval", "mixed maps", "in eval")
    return Section("What it keeps of the class", (said, f"Reductions: {reduces}."), heads, tuple(rows))


def _made(verdict: Mapping[str, Any]) -> Section:
    records = [f"{row['title']}: {', '.join(row['records'])}" for row in verdict["rows"]]
    return Section("Protocol and records", (f"`{verdict['signature']}", *records))


def _seeds(count: int) -> str:
    return "one seed" if count == 1 else f"{count} seeds"


def _spread(values: Sequence[float], decimals: int) -> str:
    spread = f" ± {stdev(values):.{decimals}f}" if len(values) > 1 else ""
    return f"{mean(values):.{decimals}f}{spread}"


def _p(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.4f}" if value < 0.01 else f"{value:.2f}"
