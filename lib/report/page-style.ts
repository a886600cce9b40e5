import { darkFigureRules } from './palette.ts';

/** The one style sheet of report.html and run.html: light and dark, from 390 px phones to print. */
export const pageStyle = `
:root{color-scheme:light dark;--bg:#fff;--panel:#f6f8fa;--text:#1f2328;--soft:#59636e;--line:#d8dee4;--link:#0067a3;
--red:#b3141d;--redbg:#fff0ee;--amber:#7a4b00;--amberbg:#fff8e5;--green:#00705a;--greenbg:#eaf7f3}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--text);font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;overflow-wrap:break-word}
main,.bar{max-width:1120px;margin:0 auto;padding:0 20px}
header{background:var(--panel);border-bottom:1px solid var(--line);padding:28px 0 20px}
.kicker{margin:0;color:var(--soft);font-size:.85rem;letter-spacing:.05em;text-transform:uppercase}
h1{font-size:1.8rem;line-height:1.2;margin:.15em 0 .35em}
h2{font-size:1.3rem;margin:2.2em 0 .6em;padding-bottom:.25em;border-bottom:1px solid var(--line)}
h3{font-size:1.05rem;margin:1.5em 0 .5em}
p{margin:.6em 0;max-width:76ch}
.lead{color:var(--soft)}
a{color:var(--link)}
.notice{display:inline-block;margin:.2em 0;padding:.25em .75em;border-radius:4px;background:var(--redbg);color:var(--red);border:1px solid currentColor;font-weight:600}
nav{display:flex;flex-wrap:wrap;gap:.2em 1.1em;font-size:.92rem;margin-top:.8em}
.verdict{border-left:5px solid var(--amber);background:var(--amberbg);padding:.6em 1em;margin:1em 0;font-weight:600;max-width:none}
.verdict.yes{border-color:var(--green);background:var(--greenbg)}
.warnings{list-style:none;padding:0;margin:1em 0;display:grid;gap:.5em}
.warnings li{border-left:5px solid var(--amber);background:var(--amberbg);padding:.45em .9em;font-size:.94rem}
.warnings li.serious{border-color:var(--red);background:var(--redbg);color:var(--red);font-weight:600}
.tag{font-weight:700;margin-right:.4em}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,160px),1fr));gap:14px;margin:1.2em 0}
.tile{background:var(--panel);border:1px solid var(--line);border-radius:8px;padding:.8em 1em}
.tile b{display:block;font-size:1.7rem;line-height:1.25;font-variant-numeric:tabular-nums}
.tile span{display:block;color:var(--soft);font-size:.85rem}
.scroll{overflow-x:auto;margin:.8em 0;border:1px solid var(--line);border-radius:6px}
.scroll:focus-visible{outline:2px solid var(--link)}
table{border-collapse:collapse;width:100%;font-size:.92rem;font-variant-numeric:tabular-nums}
th,td{padding:.45em .8em;text-align:left;vertical-align:top;border-bottom:1px solid var(--line)}
tbody tr:last-child>*{border-bottom:0}
thead th{background:var(--panel);vertical-align:bottom}
tbody th{font-weight:500}
.soft{color:var(--soft)}
.nowrap{white-space:nowrap}
.bad{color:var(--red)}.good{color:var(--green)}
code,.hash{font:.86em ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,440px),1fr));gap:20px}
figure{margin:0;border:1px solid var(--line);border-radius:8px;padding:12px;min-width:0}
figure svg{display:block;width:100%;height:auto;max-width:500px;margin:0 auto}
figure svg text{font-family:inherit}
figure img{display:block;width:100%;height:auto;background:#000}
figcaption{font-size:.9rem;margin-top:.6em}
figcaption b{display:block}
figcaption span{color:var(--soft)}
figure.wide{grid-column:1/-1}
figure.chosen{border-color:var(--green);box-shadow:0 0 0 1px var(--green)}
details{margin:.8em 0}
summary{cursor:pointer;color:var(--link)}
footer{max-width:1120px;margin:3em auto 0;padding:16px 20px 40px;color:var(--soft);font-size:.88rem;border-top:1px solid var(--line)}
@media (max-width:480px){main,.bar,footer{padding-left:14px;padding-right:14px}h1{font-size:1.45rem}th,td{padding:.4em .55em}figure{padding:8px}}
@media screen and (prefers-color-scheme:dark){:root{--bg:#0d1117;--panel:#151b23;--text:#e6edf3;--soft:#9198a1;--line:#30363d;--link:#5db7ee;
--red:#ff8f86;--redbg:#2d1214;--amber:#e3b341;--amberbg:#231c0c;--green:#4ccfa7;--greenbg:#0c231d}
${darkFigureRules}}
@media print{body{font-size:10.5pt}header{background:none}nav{display:none}.scroll{overflow:visible;border:0}figure,.tile,tr{break-inside:avoid}h2,h3{break-after:avoid}main,.bar,footer{max-width:none;padding:0}a{color:inherit}}
`;
