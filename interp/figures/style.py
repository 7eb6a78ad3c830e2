"""The style sheet of the report."""

from interp.figures.palette import FONT, INK

CSS = f"""
body {{ margin: 0; background: #fff; color: {INK}; font: 15px/1.5 {FONT}; }}
main {{ max-width: 1320px; margin: 0 auto; padding: 16px 28px 60px; }}
h1 {{ font-size: 28px; margin: 12px 0; }}
h2 {{ font-size: 20px; margin: 40px 0 12px; padding-top: 12px; border-top: 1px solid #dfe2ea; }}
p, dl, .note {{ max-width: 92ch; }}
.note {{ color: #545a68; font-size: 14px; }}
.result {{ background: #f2f5fb; border-left: 4px solid #1f5fc4; padding: 4px 18px; }}
.result {{ max-width: 96ch; }}
dl {{ display: grid; grid-template-columns: max-content 1fr; gap: 4px 18px; }}
dt {{ color: #545a68; }}
dd {{ margin: 0; }}
.scroll {{ overflow-x: auto; margin: 12px 0; }}
table {{ border-collapse: collapse; font-size: 14px; font-variant-numeric: tabular-nums; }}
th, td {{ text-align: left; padding: 4px 14px 4px 0; border-bottom: 1px solid #e9ebf0; }}
th {{ vertical-align: bottom; border-bottom: 2px solid #c6cad4; font-weight: 600; }}
td {{ vertical-align: top; }}
figure {{ margin: 0; min-width: 0; }}
pre {{ background: #f5f6f9; padding: 10px 14px; font-size: 13px; }}
pre {{ white-space: pre-wrap; overflow-wrap: anywhere; }}
.panels {{ display: grid; grid-template-columns: 1fr; gap: 20px; }}
.columns {{ display: flex; flex-wrap: wrap; gap: 0 60px; }}
@media (max-width: 1000px) {{ table {{ font-size: 13px; }} th, td {{ padding-right: 9px; }}
  main {{ padding: 8px 14px 40px; }} }}
@media (min-width: 1100px) {{ .panels {{ grid-template-columns: 1fr 1fr; }} }}
"""
