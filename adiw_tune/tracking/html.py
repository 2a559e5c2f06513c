"""Pages that open without a network: plotly.js, and no font, picture or sheet from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

_STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0; background: #fff; color: #222; font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 24px 28px 60px; }
h1 { font-size: 26px; margin: 0 0 14px; overflow-wrap: anywhere; }
h2 { font-size: 18px; margin: 34px 0 8px; }
p { margin: 8px 0; max-width: 85ch; overflow-wrap: anywhere; }
code { background: #f3f3f3; border-radius: 3px; padding: 1px 5px; font-size: 13px; }
i { display: inline-block; width: 10px; height: 10px; border-radius: 50%; margin-right: 7px; }
.pick { border-left: 4px solid #222; padding: 4px 0 4px 16px; margin: 14px 0; font-size: 17px; }
.pick p { margin: 2px 0; }
.pick .verdict { font-size: 22px; line-height: 1.35; margin-bottom: 8px; }
.pick strong { font-size: 22px; }
.trial, .cost { color: #666; }
.cost { font-size: 13px; }
.figure { margin: 38px 0 0; }
.figure h2 { margin: 0; }
.figure > p { color: #666; font-size: 13px; margin: 2px 0 0; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
th, td { padding: 5px 11px; text-align: left; border-bottom: 1px solid #e6e6e6; }
th { border-bottom: 1px solid #999; font-weight: 600; white-space: nowrap; }
td { white-space: nowrap; vertical-align: top; }
td.number { text-align: right; }
td.long { white-space: normal; min-width: 210px; }
tr.marked td { background: #eef4fa; }
@media (max-width: 900px) { main { padding: 16px; } }
@media print { .scroll { overflow: visible; } }
"""


def document(title: str, parts: Iterable[str], plots: bool = True, style: str = "") -> str:
    """Return a page of these pieces of HTML.

    Args:
        title: of the page.
        parts: its body.
        plots: whether there are figures of plotly's among them, whose script takes 5 MB.
        style: what the page has of its own beside the common sheet.
    """
    head = [
        f"{beginning(title)}</title><style>{_STYLE}{style}</style>",
        f"{_script() if plots else ''}</head><body><main>",
    ]
    return "\n".join([*head, *parts, "</main></body></html>\n"])


def beginning(title: str) -> str:
    """Return what pages begin with whose titles begin so."""
    return (
        "<!DOCTYPE html><html lang='en'><head><meta charset='utf-8'>\n"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>\n"
        f"<title>{escape(title)}"
    )


def _script() -> str:
    from plotly.offline import get_plotlyjs

    return f"<script>{get_plotlyjs()}</script>"
