"""The style sheet of the report."""

from interp.figures.palette import FONT, INK

UNFOLDED, BESIDE = 700, 1300
"""Pixels of a window from which on the contents are unfolded, and stand beside the page. Below, a
figure has all of the width, which those of several panels need at 1,100."""
QUIET, ACCENT, LINE = "#545a68", "#1f5fc4", "#dfe2ea"
CSS = f"""
html {{ scroll-padding-top: 12px; }}
body {{ margin: 0; background: #fff; color: {INK}; font: 15px/1.5 {FONT}; }}
main {{ max-width: 1320px; min-width: 0; margin: 0 auto; padding: 16px 28px 60px; }}
h1 {{ font-size: 28px; margin: 12px 0; }}
h2 {{ font-size: 20px; margin: 40px 0 12px; padding-top: 12px; border-top: 1px solid {LINE}; }}
h3 {{ font-size: 16px; margin: 18px 0 8px; }}
p, dl, .note {{ max-width: 92ch; }}
.note, figcaption {{ color: {QUIET}; font-size: 14px; }}
figcaption {{ max-width: 100ch; margin: 2px 0 14px; }}
.result {{ background: #f2f5fb; border-left: 4px solid {ACCENT}; padding: 4px 18px; }}
.result {{ max-width: 96ch; margin: 8px 0; }}
dl {{ display: grid; grid-template-columns: max-content 1fr; gap: 4px 18px; }}
dt {{ color: {QUIET}; }}
dd {{ margin: 0; min-width: 0; overflow-wrap: anywhere; }}
.scroll {{ overflow-x: auto; margin: 12px 0 4px; }}
table {{ border-collapse: collapse; font-size: 14px; font-variant-numeric: tabular-nums; }}
caption {{ text-align: left; font-weight: 600; padding-bottom: 6px; }}
th, td {{ text-align: left; padding: 4px 14px 4px 0; border-bottom: 1px solid #e9ebf0; }}
th {{ vertical-align: bottom; border-bottom: 2px solid #c6cad4; font-weight: 600; }}
td {{ vertical-align: top; }}
figure {{ margin: 12px 0; min-width: 0; }}
.plot {{ overflow-x: auto; overflow-y: hidden; }}
pre {{ background: #f5f6f9; padding: 10px 14px; font-size: 13px; }}
pre {{ white-space: pre-wrap; overflow-wrap: anywhere; }}
.panels {{ display: grid; grid-template-columns: minmax(0, 1fr); gap: 20px; }}
.columns {{ display: flex; flex-wrap: wrap; gap: 0 60px; }}
.columns > * {{ min-width: 0; max-width: 100%; }}

:focus-visible {{ outline: 3px solid {ACCENT}; outline-offset: 2px; }}
.skip {{ position: absolute; left: -9999px; background: #fff; color: {ACCENT}; padding: 8px 14px; }}
.skip:focus {{ left: 8px; top: 8px; z-index: 3; }}
main details {{ margin: 12px 0; border: 1px solid {LINE}; border-radius: 4px; padding: 0 14px; }}
main details[open] {{ padding-bottom: 10px; }}
summary {{ cursor: pointer; }}
main summary {{ background: #f5f6f9; margin: 0 -14px; padding: 7px 14px; color: {QUIET}; }}
summary h3 {{ display: inline; color: {INK}; margin: 0; }}
.save {{ display: flex; gap: 8px; align-items: center; color: {QUIET}; font-size: 13px; }}
.save {{ margin-bottom: 10px; }}
button {{ font: 600 12px/1.4 {FONT}; color: {INK}; background: #fff; cursor: pointer; }}
button {{ border: 1px solid #7d828f; border-radius: 4px; padding: 2px 9px; }}
button:hover {{ background: #f2f5fb; }}

nav {{ position: sticky; top: 0; z-index: 2; background: #fff; border-bottom: 1px solid {LINE}; }}
nav details {{ padding: 6px 14px; }}
nav summary {{ font-weight: 600; }}
nav summary span {{ color: {QUIET}; font-weight: 400; }}
nav ol {{ list-style: none; margin: 4px 0 8px; padding: 0; max-height: 70vh; overflow-y: auto; }}
nav a {{ display: block; padding: 3px 10px; color: {QUIET}; text-decoration: none; }}
nav a {{ border-left: 3px solid {LINE}; }}
nav button {{ margin: 3px 10px; }}
nav a:hover {{ color: {ACCENT}; text-decoration: underline; }}
nav a[aria-current] {{ color: {ACCENT}; border-color: {ACCENT}; font-weight: 600; }}
@media (max-width: {UNFOLDED - 1}px) {{
  html {{ scroll-padding-top: 52px; }}
  main {{ padding: 8px 14px 40px; }}
  h1 {{ font-size: 23px; overflow-wrap: anywhere; }}
  dl {{ grid-template-columns: minmax(0, 1fr); gap: 0; }}
  dd {{ margin-bottom: 8px; }}
  table {{ font-size: 13px; }}
  th, td {{ padding-right: 9px; }}
}}
@media (min-width: {UNFOLDED}px) {{ nav summary {{ display: none; }} }}
@media (min-width: {UNFOLDED}px) and (max-width: {BESIDE - 1}px) {{
  html {{ scroll-padding-top: 90px; }}
  nav details {{ padding: 4px 22px; font-size: 14px; }}
  nav ol {{ display: flex; flex-wrap: wrap; margin: 0; max-height: none; }}
  nav a {{ border-left: 0; border-bottom: 3px solid transparent; padding: 2px 7px; }}
}}
@media (min-width: {BESIDE}px) {{
  body {{ display: grid; grid-template-columns: 216px minmax(0, 1fr); }}
  nav {{ height: 100vh; overflow-y: auto; border-bottom: 0; border-right: 1px solid {LINE}; }}
  nav details {{ padding: 22px 12px; }}
  nav ol {{ max-height: none; }}
  main {{ margin: 0; }}
}}
@media (min-width: 1500px) {{
  .panels {{ grid-template-columns: repeat(2, minmax(0, 1fr)); }}
}}
.printed body {{ display: block; width: 185mm; }}
.printed .plotly-graph-div {{ min-width: 0 !important; }}
.printed nav, .printed .save, .printed .skip {{ display: none; }}
.printed .panels {{ grid-template-columns: minmax(0, 1fr); }}
.printed figure, .printed tr {{ break-inside: avoid; }}
.printed table {{ font-size: 11px; }}
"""
