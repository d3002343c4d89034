"""How a page looks: readable on a phone and on paper, by day and by night."""

STYLE = """\
:root {
  color-scheme: light dark;
  --paper: #ffffff; --ink: #1f2328; --faint: #59636e; --rule: #d0d7de; --ground: #f4f6f8;
  --accent: #1f6bb0; --shade: rgb(0 0 0 / .22);
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14171c; --ink: #e6e9ed; --faint: #a0a8b2; --rule: #3a414b; --ground: #1e232a;
    --accent: #6db3f2; --shade: rgb(255 255 255 / .28);
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 52rem;
  background: var(--paper); color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif;
  overflow-wrap: break-word;
}
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 .5rem; }
h2 {
  font-size: 1.35rem; margin: 3rem 0 .75rem; padding-top: .75rem;
  border-top: 2px solid var(--ink);
}
h3 { font-size: 1.1rem; margin: 2.25rem 0 .5rem; }
h1, h2, h3 { text-wrap: balance; overflow-wrap: anywhere; }
p { margin: .5rem 0 .75rem; max-width: 42rem; }
header p { color: var(--faint); }
a { color: var(--accent); }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; }
/* A table wider than the text takes the room beside it; what is wider still scrolls, with a shade
   at its right edge until the end is reached, and with the names of its rows in place. */
.frame {
  overflow-x: auto; margin: 1rem 0 1.5rem; width: fit-content; max-width: calc(100vw - 3rem);
  translate: min(0px, (50rem - 100%) / 2);
  background:
    linear-gradient(to left, var(--paper) 40%, transparent)
      calc(100% + 2px) -1px / 2.5rem calc(100% + 2px) no-repeat local,
    linear-gradient(to left, var(--shade), transparent) calc(100% - 1px) 0 / 1rem 100% no-repeat;
}
.frame:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
table {
  border-collapse: collapse; min-width: min(100%, 24rem); font-variant-numeric: tabular-nums;
  font-size: .925rem;
}
caption { text-align: left; color: var(--faint); padding-bottom: .4rem; }
caption span { display: block; position: sticky; left: 0; max-width: min(42rem, 100vw - 2rem); }
th, td { padding: .3rem 0 .3rem 1.25rem; text-align: right; vertical-align: baseline; }
th:first-child {
  padding: .3rem .6rem .3rem 0; text-align: left; position: sticky; left: 0;
  background: var(--paper);
}
th { font-weight: 600; }
tbody th { font-weight: 400; min-width: 9rem; }
thead th { border-bottom: 1px solid var(--ink); vertical-align: bottom; }
.word { white-space: nowrap; }
.below { display: block; padding-left: 1rem; color: var(--faint); }
tbody th, tbody td { border-bottom: 1px solid var(--rule); }
td { white-space: nowrap; }
figure { margin: 1rem 0 1.5rem; max-width: 32rem; }
.drawing svg { display: block; width: 100%; height: auto; stroke-linejoin: round; }
figcaption { color: var(--faint); font-size: .925rem; margin-top: .25rem; }
.lineage { display: block; font-size: .85rem; overflow-wrap: anywhere; }
details { margin: 1rem 0; border-top: 1px solid var(--rule); border-bottom: 1px solid var(--rule); }
summary { cursor: pointer; padding: .5rem 0; font-weight: 600; }
.card { margin: 0 0 1.25rem; padding-left: .9rem; border-left: 3px solid var(--rule); }
.card > .said { font-weight: 600; background: none; padding: 0; }
.card dl {
  display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .3rem .9rem;
  align-items: baseline; margin: .4rem 0 0; font-size: .925rem;
}
.card dt { color: var(--faint); }
.card dd { margin: 0; min-width: 0; }
.said {
  white-space: pre-wrap; overflow-wrap: anywhere; overflow: hidden; tab-size: 4; contain: paint;
  background: var(--ground); padding: .15rem .5rem; border-radius: 4px;
}
.said em { color: var(--faint); font-weight: 400; }
.code {
  font: .75em/1 ui-monospace, "DejaVu Sans Mono", monospace; border: 1px solid var(--faint);
  border-radius: 3px; padding: 0 .2em; unicode-bidi: isolate; direction: ltr;
}
ul { padding-left: 1.2rem; max-width: 42rem; }
li { margin: .35rem 0; }
@media (max-width: 34rem) {
  th, td { padding-left: .9rem; }
  .frame { max-width: 100%; }
  tbody th { min-width: 6rem; max-width: 10rem; overflow-wrap: break-word; }
  .card dl { grid-template-columns: minmax(0, 1fr); gap: .1rem; }
}
@media print {
  :root {
    --paper: #ffffff; --ink: #000000; --faint: #444444; --rule: #bbbbbb; --ground: #f2f2f2;
    --accent: #000000;
  }
  body { max-width: none; padding: 0; font-size: 10pt; }
  nav { display: none; }
  .frame { overflow: visible; max-width: none; translate: none; background: none; }
  td, .word { white-space: normal; }
  tr, figure, .card { break-inside: avoid; }
  h2, h3, caption { break-after: avoid; }
  details:not([open])::details-content { content-visibility: visible; block-size: auto; }
}
"""
