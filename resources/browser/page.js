"use strict";
// Texts of models enter the page through text nodes alone; the policy in the page's head lets
// nothing run but this script, and nothing load at all.

const ROWS = 100; // of the list at once
const LONG = 20_000; // characters of a text that are shown at once
const BRIEF = 200; // characters of a text in the list
const MOST_COMPARED = 400; // words of each of two texts whose shared words are looked for
const PAUSE_MS = 120; // between the last key and the search
// What is not seen, or changes how the rest is seen, is shown by its number. New lines, tabs, and
// the joiners and variants that scripts and emoji are written with stay.
const UNSEEN = new RegExp(
  "(?![\\n\\t\\u200c\\u200d\\p{Variation_Selector}])([\\p{Cc}\\p{Cs}\\p{Zl}\\p{Zp}\\ufff9-\\ufffb"
  + "\\p{Bidi_Control}\\p{Default_Ignorable_Code_Point}\\p{Noncharacter_Code_Point}])\\1*", "gu");
const PARTS = {
  instances: { name: "instance", names: "instances" },
  pairs: { name: "refused pair", names: "refused pairs" },
  rejected: { name: "refused instruction", names: "refused instructions" },
};

let DATA; // the columns, unpacked
let part = "instances";
const rows = { instances: [], pairs: [], rejected: [] }; // all, in the order of their files
const byKey = new Map(); // the fragment of a row's address → the row
const ofInstruction = new Map(); // a place of the pool → its instances and pairs
let ranges = []; // what can be sorted by and bounded: { label, of(row) }
let found = []; // the rows of the part that the filters leave, sorted
let page = 0;
let current = null; // the row that is open
let keysOn = true;

const get = (id) => document.getElementById(id);
const number = (value) => value.toLocaleString("en-US");
const text = (place) => DATA.texts.text[place];

/** An element of a class, or of none, with children; a string is text, whatever it holds. */
function make(tag, name, ...children) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  element.append(...children);
  return element;
}

// ---- the data ------------------------------------------------------------------------------

async function unpacked() {
  const letters = atob(get("data").textContent);
  get("data").remove(); // its letters need not stay in memory
  const bytes = new Uint8Array(letters.length);
  for (let i = 0; i < letters.length; i++) bytes[i] = letters.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return JSON.parse(await new Response(stream).text());
}

function readRows() {
  const { methods, pool, instances, pairs, rejected } = DATA;
  const refused = new Map(); // how many pairs of an instruction and a method came before
  const add = (kind, at, key, fields, rest) => {
    const row = { kind, at, key, fields, ids: [], ...rest };
    rows[kind].push(row);
    byKey.set(key, row);
    if (row.pool !== null) {
      if (!ofInstruction.has(row.pool)) ofInstruction.set(row.pool, []);
      ofInstruction.get(row.pool).push(row);
    }
  };
  instances.id.forEach((id, at) => {
    const [method, place] = [instances.method[at], instances.pool[at]];
    const fields = [pool.text[place], instances.input[at], instances.output[at]];
    add("instances", at, `${methods[method]}/${id}`, fields,
      { method, pool: place, reason: null, ids: [id, pool.id[place]] });
  });
  pairs.pool.forEach((place, at) => {
    const method = pairs.method[at];
    const stem = `${methods[method]}/${pool.id[place]}/refused`;
    const count = refused.get(stem) ?? 0;
    refused.set(stem, count + 1);
    add("pairs", at, `${stem}-${count}`, [pool.text[place], pairs.text[at]],
      { method, pool: place, reason: pairs.reason[at], ids: [pool.id[place]] });
  });
  rejected.text.forEach((field, at) => {
    const stem = `refused/${rejected.round[at]}-${rejected.request[at]}`;
    const count = refused.get(stem) ?? 0;
    refused.set(stem, count + 1);
    add("rejected", at, `${stem}-${count}`, [field],
      { method: null, pool: null, reason: rejected.reason[at] });
  });
  // Methods side by side: an instruction's rows follow each other.
  for (const kind of ["instances", "pairs"]) rows[kind].sort((a, b) => a.pool - b.pool);
}

/** What rows can be sorted by and bounded: undefined where a row has no such number. */
function readRanges() {
  const { instances, pool, rejected, texts } = DATA;
  const scored = ([label, values]) => ({
    label, of: (row) => (row.kind === "instances" ? values[row.at] : undefined) });
  const words = (label, kinds, field) => ({
    label, of: (row) => (kinds.includes(row.kind) ? texts.words[row.fields[field]] : undefined) });
  ranges = [
    scored(["reward", instances.reward]),
    ...instances.components.map(scored),
    words("instruction words", ["instances", "pairs", "rejected"], 0),
    words("input words", ["instances"], 1),
    words("output words", ["instances"], 2),
    words("pair words", ["pairs"], 1),
    { label: "ROUGE-L with the nearest",
      of: (row) => (row.pool === null ? rejected.rouge_l[row.at] : pool.rouge_l[row.pool]) },
    { label: "ROUGE-L with the references",
      of: (row) => (row.pool === null ? undefined : pool.reference_rouge_l[row.pool]) },
  ];
}

/** The verb of a row's instruction as a choice: after "=", which stands alone for none. */
const verbOf = (row) => `=${DATA.pool.verb[row.pool] ?? ""}`;

const numberOf = (range, row) => range.of(row) ?? null;

/** The text that an id names: of the pool, or of what a row names as nearest. Else null. */
function textOf(id) {
  if (!DATA.byId) {
    DATA.byId = new Map();
    for (const { id: ids, text: texts } of [DATA.pool, DATA.named]) {
      ids.forEach((each, at) => DATA.byId.set(each, texts[at]));
    }
  }
  return DATA.byId.has(id) ? text(DATA.byId.get(id)) : null;
}

// ---- finding -------------------------------------------------------------------------------

const folded = (string) => string.normalize("NFKC").toLowerCase();
let foldedTexts = null; // made at the first search

/** The words and "quoted phrases" of a search, each once. */
function termsOf(asked) {
  const terms = [...asked.matchAll(/"([^"]*)"?|[^\s"]+/g)]
    .map(([whole, phrase]) => phrase ?? whole);
  return [...new Set(terms.map((term) => folded(term).trim()).filter(Boolean))];
}

/** A test of rows: every term stands in one of a row's texts or its reason, or is its id. */
function searched(asked) {
  const terms = termsOf(asked);
  if (!terms.length) return () => true;
  foldedTexts ??= DATA.texts.text.map(folded);
  const hits = terms.map((term) =>
    Uint8Array.from(foldedTexts, (each) => (each.includes(term) ? 1 : 0)));
  return (row) => terms.every((term, index) => row.fields.some((field) => hits[index][field])
    || row.ids.includes(term) || row.reason?.includes(term));
}

/** A test of rows for the bounds that are set, and how many are. */
function bounded() {
  const set = [];
  for (const line of get("ranges").children) {
    const [least, most] = [...line.querySelectorAll("input")].map((each) => each.valueAsNumber);
    if (line.hidden || (Number.isNaN(least) && Number.isNaN(most))) continue;
    set.push({ range: ranges[line.dataset.range],
      least: Number.isNaN(least) ? -Infinity : least, most: Number.isNaN(most) ? Infinity : most });
  }
  const test = (row) => set.every(({ range, least, most }) => {
    const value = numberOf(range, row);
    return value !== null && value >= least && value <= most;
  });
  return [test, set.length];
}

function sorted(list) {
  const by = get("order").value;
  const sign = Number(get("direction").value);
  if (by === "id") return sign > 0 ? list : list.reverse();
  const range = ranges[by];
  const valued = list.map((row) => [numberOf(range, row), row]);
  valued.sort(([a], [b]) => {
    if (a === null || b === null) return (a === null) - (b === null); // without a number: last
    return sign * (a - b);
  });
  return valued.map(([, row]) => row);
}

/** Apply search, filters and order; the first page, or the one that holds the open row. */
function find() {
  const [inBounds, count] = bounded();
  const method = get("method").value;
  const reason = get("reason").value;
  const verb = get("verb").value;
  const holds = searched(get("search").value);
  found = sorted(rows[part].filter((row) =>
    (method === "" || part === "rejected" || row.method === Number(method))
    && (reason === "" || part === "instances" || row.reason === reason)
    && (verb === "" || row.pool === null || verbOf(row) === verb)
    && inBounds(row) && holds(row)));
  const all = rows[part].length;
  const { name, names } = PARTS[part];
  get("count").textContent =
    `${number(found.length)} of ${number(all)} ${all === 1 ? name : names}`;
  get("bounded").textContent = count ? `(${count} set)` : "";
  get("clear").disabled = !(count || method || reason || verb || get("search").value);
  page = Math.max(0, Math.floor(found.indexOf(current) / ROWS));
  showList();
  if (current) showPlace();
}

// ---- the list ------------------------------------------------------------------------------

const address = (row) => `#${encodeURIComponent(row.key).replaceAll("%2F", "/")}`;

function showList() {
  const first = page * ROWS;
  const some = found.slice(first, first + ROWS);
  get("list").replaceChildren(...some.map(lineOf));
  const last = Math.ceil(found.length / ROWS) - 1;
  get("pages").hidden = last < 1;
  get("page").textContent =
    `${number(first + 1)}–${number(first + some.length)} of ${number(found.length)}`;
  get("earlier").disabled = page === 0;
  get("later").disabled = page >= last;
  get("list").scrollTop = 0;
}

function lineOf(row) {
  const [asked, ...answer] = row.fields;
  const lines = [["", asked], ...answer.slice(-1).map((field) => ["answer", field])];
  const link = make("a", "", ...lines.map(([name, field]) => {
    const line = make("span", name);
    line.dir = "auto";
    put(line, firstPart(text(field), BRIEF).replace(/[\n\t ]+/g, " "), "empty");
    return line;
  }), make("span", "about", aboutOf(row)));
  link.href = address(row);
  if (row === current) link.setAttribute("aria-current", "true");
  return make("li", "", link);
}

function aboutOf(row) {
  const range = get("order").value === "id" ? null : ranges[get("order").value];
  const value = range && numberOf(range, row);
  const score = row.kind === "instances" ? `reward ${decimal(DATA.instances.reward[row.at])}` : "";
  const sorting = range && range !== ranges[0] && value !== null
    ? `${range.label} ${decimal(value)}` : "";
  return [row.key, row.reason, score, sorting].filter(Boolean).join(" · ");
}

const decimal = (value) => (Number.isInteger(value) ? number(value) : value.toFixed(4));

// ---- a row ---------------------------------------------------------------------------------

/** Show a text in a box as it was written: what is not seen by number, of much the first part. */
function put(box, whole, nothing) {
  box.classList.toggle("nothing", whole.trim() === "" && whole.search(UNSEEN) < 0);
  if (box.classList.contains("nothing")) {
    box.textContent = whole === "" ? nothing : `${nothing} (white space alone)`;
    return;
  }
  const first = firstPart(whole, LONG);
  box.replaceChildren(...nodesOf(first));
  if (first === whole) return;
  const more = make("button", "", `Show all ${number(whole.length)} characters`);
  more.type = "button";
  more.addEventListener("click", () => {
    box.replaceChildren(...nodesOf(whole));
    mark();
  });
  box.append("…\n", more);
}

/** The first characters of a text, and one more where it would be cut in half. */
function firstPart(whole, most) {
  return whole.slice(0, most + (/[\ud800-\udbff]/.test(whole[most - 1] ?? "") ? 1 : 0));
}

/** A text as nodes, each run of a character that is not seen as an element that names it. */
function nodesOf(shown) {
  const nodes = [];
  let from = 0;
  for (const match of shown.matchAll(UNSEEN)) {
    const [run, sign] = match;
    if (match.index > from) nodes.push(shown.slice(from, match.index));
    const code = sign.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
    const times = run.length / sign.length;
    nodes.push(make("span", "sign", `U+${code}${times > 1 ? ` ×${number(times)}` : ""}`));
    from = match.index + run.length;
  }
  nodes.push(shown.slice(from));
  return nodes;
}

/** A heading with the text below it. */
function said(tag, title, whole, nothing = "empty") {
  const box = make("div", "said");
  box.dir = "auto";
  put(box, whole, nothing);
  return make("div", "", make(tag, "", title), box);
}

function beside(...children) {
  return make("div", "beside", ...children);
}

function section(title, ...children) {
  return make("section", "", make("h3", "", title), ...children);
}

/** An instruction beside the texts that were nearest to it when it came. */
function askedOf(title, whole, nearest) {
  const asked = said("h3", title, whole);
  asked.classList.add("asked");
  const others = nearest.map(([name, rouge, known]) => {
    const other = said("h3", `${name}, ROUGE-L ${decimal(rouge)}`, known ?? "",
      "its text is not among the data");
    if (known !== null) other.classList.add("near");
    return other;
  });
  return make("section", "", beside(asked, ...others));
}

function showRow() {
  get("row").hidden = current === null;
  document.body.classList.toggle("reading", current !== null);
  for (const link of get("list").querySelectorAll("[aria-current]")) {
    link.removeAttribute("aria-current");
  }
  if (!current) {
    document.title = `Instruction data · ${DATA.model}`;
    return;
  }
  document.title = `${current.key} · ${DATA.model}`;
  get("title").textContent = current.key;
  get("body").replaceChildren(...(current.pool === null ? rejectedBody() : instructionBody()));
  const link = linkOf(current);
  link?.setAttribute("aria-current", "true");
  link?.scrollIntoView({ block: "nearest" });
  get("row").scrollTop = 0;
  if (narrow()) scrollTo(0, 0); // the window itself scrolls, and stood somewhere in the list
  showPlace();
  mark();
}

function showPlace() {
  const index = found.indexOf(current);
  get("place").textContent = index < 0
    ? "not among the rows found" : `${number(index + 1)} of ${number(found.length)}`;
  get("back").disabled = index <= 0;
  get("next").disabled = index === found.length - 1;
}

function rejectedBody() {
  const { rejected } = DATA;
  const { at, fields: [field], reason } = current;
  const id = rejected.nearest[at];
  const nearest = id ? [[`Nearest in the pool: ${id}`, rejected.rouge_l[at], textOf(id)]] : [];
  return [
    askedOf(`Refused: ${reason}`, text(field), nearest),
    make("p", "note", `${number(DATA.texts.words[field])} words · round ${rejected.round[at]}, `
      + `request ${rejected.request[at]}`),
  ];
}

function instructionBody() {
  const { methods, pool, texts } = DATA;
  const place = current.pool;
  const [id, seed] = [pool.nearest[place], pool.nearest_seed[place]];
  const reference = pool.reference[place];
  const nearest = id ? [[`Nearest when it came: ${id}`, pool.rouge_l[place], textOf(id)]] : [];
  if (seed !== id) nearest.push([`Nearest seed: ${seed}`, pool.seed_rouge_l[place], textOf(seed)]);
  if (reference !== null) {
    nearest.push(["Nearest reference", pool.reference_rouge_l[place], text(reference)]);
  }
  const columns = methods.map((method, index) => {
    const all = ofInstruction.get(place).filter((row) => row.method === index);
    const cards = all.map((row) => (row.kind === "instances" ? instanceCard(row) : pairCard(row)));
    return section(method, ...(cards.length ? cards : [make("p", "note nothing", "nothing")]));
  });
  return [
    askedOf(`Instruction ${pool.id[place]}`, text(pool.text[place]), nearest),
    make("p", "note", `${number(texts.words[pool.text[place]])} words · `
      + `round ${pool.round[place]}, request ${pool.request[place]}${parsedOf(place)}`),
    make("section", "", beside(...columns)),
  ];
}

/** The verb and noun of an instruction, where they were looked for. */
function parsedOf(place) {
  const { verb, noun } = DATA.pool;
  if (!verb) return "";
  return (verb[place] ? ` · verb: ${verb[place]}` : " · no verb")
    + (noun[place] ? `, noun: ${noun[place]}` : "");
}

function card(row, ...children) {
  const box = make("div", "card", ...children);
  if (row === current) box.setAttribute("aria-current", "true");
  return box;
}

function instanceCard(row) {
  const { instances, texts } = DATA;
  const [, input, output] = row.fields;
  const scores = make("dl", "scores");
  const words = [["input words", texts.words[input]], ["output words", texts.words[output]]];
  for (const [name, value] of [["reward", instances.reward[row.at]],
    ...instances.components.map(([each, values]) => [each, values[row.at]]), ...words]) {
    const shown = value === null ? "–" : decimal(value);
    scores.append(make("div", "", make("dt", "", name), make("dd", "", shown)));
  }
  return card(row, said("h4", "Input", text(input), "no input"), said("h4", "Output", text(output)),
    scores);
}

function pairCard(row) {
  return card(row, said("h4", `Refused: ${row.reason}`, text(row.fields[1])));
}

// ---- marks ---------------------------------------------------------------------------------

/** Mark what was searched for, and the words that an instruction shares with its nearest. */
function mark() {
  if (!globalThis.Highlight || !CSS.highlights) return; // the texts stand there all the same
  CSS.highlights.clear();
  const terms = termsOf(get("search").value);
  if (terms.length) {
    const pattern = terms.map((term) => term.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&")).join("|");
    const all = rangesIn(get("body").querySelectorAll(".said"), new RegExp(pattern, "giu"));
    CSS.highlights.set("found", new Highlight(...all.map(([, range]) => range)));
  }
  const shared = [];
  const asked = wordsIn(get("body").querySelector(".asked .said"));
  for (const near of get("body").querySelectorAll(".near .said")) {
    for (const [mine, other] of inBoth(asked, wordsIn(near))) shared.push(mine, other);
  }
  CSS.highlights.set("shared", new Highlight(...shared));
}

const wordsIn = (box) => rangesIn([box], /[\p{L}\p{M}\p{N}]+/gu);

/** Each match in the text nodes of some boxes, in lower case, with its range. */
function rangesIn(boxes, pattern) {
  const all = [];
  for (const box of boxes) {
    const nodes = document.createTreeWalker(box, NodeFilter.SHOW_TEXT);
    for (let node = nodes.nextNode(); node; node = nodes.nextNode()) {
      if (node.parentElement !== box) continue; // a sign or a button
      for (const match of node.data.matchAll(pattern)) {
        const range = new StaticRange({ startContainer: node, startOffset: match.index,
          endContainer: node, endOffset: match.index + match[0].length });
        all.push([match[0].toLowerCase(), range]);
      }
    }
  }
  return all;
}

/** The pairs of a longest common subsequence of two lists of words with their ranges. */
function inBoth(one, other) {
  if (Math.max(one.length, other.length) > MOST_COMPARED) return [];
  const longest = Array.from({ length: one.length + 1 }, () => new Uint16Array(other.length + 1));
  for (let i = one.length - 1; i >= 0; i--) {
    for (let j = other.length - 1; j >= 0; j--) {
      longest[i][j] = one[i][0] === other[j][0]
        ? longest[i + 1][j + 1] + 1 : Math.max(longest[i + 1][j], longest[i][j + 1]);
    }
  }
  const pairs = [];
  for (let i = 0, j = 0; i < one.length && j < other.length;) {
    if (one[i][0] === other[j][0]) pairs.push([one[i++][1], other[j++][1]]);
    else if (longest[i + 1][j] >= longest[i][j + 1]) i++;
    else j++;
  }
  return pairs;
}

// ---- moves ---------------------------------------------------------------------------------

/** Turn to a part of the data, with the filters that it has. */
function turn(name) {
  part = name;
  for (const button of document.querySelectorAll("[data-part]")) {
    if (button.dataset.part === part) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
  }
  get("method").disabled = part === "rejected";
  get("reason").disabled = part === "instances";
  const reasons = part === "instances" ? [] : counted(rows[part].map((row) => row.reason));
  choices("reason", [["", part === "instances" ? "–" : "any"],
    ...reasons.map(([reason, count]) => [reason, `${reason} (${number(count)})`])]);
  const verbs = DATA.pool.verb && part !== "rejected" ? counted(rows[part].map(verbOf)) : [];
  get("verb").disabled = part === "rejected";
  choices("verb", [["", "any"], ...verbs.map(([verb, count]) =>
    [verb, `${verb.slice(1) || "none"} (${number(count)})`])]);
  const known = ranges.map((range) => rows[part].map((row) => numberOf(range, row))
    .filter((value) => value !== null));
  choices("order", [["id", "id"], ...ranges.flatMap((range, index) =>
    (known[index].length ? [[String(index), range.label]] : []))]);
  [...get("ranges").children].forEach((line, index) => {
    line.hidden = known[index].length === 0;
    const ends = [known[index].reduce((a, b) => Math.min(a, b), Infinity),
      known[index].reduce((a, b) => Math.max(a, b), -Infinity)];
    line.querySelectorAll("input").forEach((input, end) => {
      input.placeholder = line.hidden ? "" : decimal(ends[end]);
    });
  });
  find();
}

/** Each of some texts with how often it is there, the most frequent first. */
function counted(all) {
  const times = new Map();
  for (const each of all) times.set(each, (times.get(each) ?? 0) + 1);
  return [...times].sort(([, a], [, b]) => b - a);
}

/** Fill a choice; what was chosen stays where it still can be. */
function choices(id, pairs) {
  const before = get(id).value;
  get(id).replaceChildren(...pairs.map(([value, label]) => {
    const option = make("option", "", label);
    option.value = value;
    return option;
  }));
  if (pairs.some(([value]) => value === before)) get(id).value = before;
}

/** Open the row that the address names, or none. */
function follow() {
  let name = "";
  try {
    name = decodeURIComponent(location.hash.slice(1));
  } catch {
    // no address of a row
  }
  const row = byKey.get(name) ?? byKey.get(firstOf(name)) ?? null;
  get("fault").hidden = name === "" || row !== null;
  get("fault").textContent = `No row here has the address ${name.slice(0, BRIEF)}.`;
  const before = current;
  current = row;
  if (row && row.kind !== part) turn(row.kind);
  else if (row && !found.slice(page * ROWS, (page + 1) * ROWS).includes(row)) find();
  showRow();
  if (row && before !== row && (narrow() || !get("list").contains(document.activeElement))) {
    get("title").focus({ preventScroll: true });
  }
}

/** The address of the first row of an instruction, by its id alone. */
function firstOf(id) {
  const place = DATA.pool.id.indexOf(id);
  return place < 0 ? "" : ofInstruction.get(place)?.[0].key;
}

/** The link of a row in the list, where it stands there. */
function linkOf(row) {
  return get("list").children[found.indexOf(row) - page * ROWS]?.firstElementChild;
}

/** Close the open row, and go back to its place in the list. */
function closeRow() {
  const before = current;
  openRow(null);
  linkOf(before)?.focus();
}

/** Open a row without a step in the browser's history, or none. */
function openRow(row) {
  history.replaceState(null, "", row ? address(row) : location.href.split("#")[0]);
  follow();
}

function step(by) {
  const index = found.indexOf(current);
  const row = found[index < 0 ? 0 : index + by];
  if (!row) return;
  const inList = get("list").contains(document.activeElement);
  openRow(row);
  if (inList && !narrow()) linkOf(row)?.focus();
}

function toPage(which) {
  page = which;
  showList();
  get("list").querySelector("a")?.focus();
}

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (get("help").open) return;
  if (event.key === "Escape" && current && event.target !== get("search")) {
    closeRow();
    return;
  }
  if (!keysOn || get("main").hidden || event.target.matches("input, select, textarea")) return;
  const does = {
    j: () => step(1), ArrowRight: () => step(1), k: () => step(-1), ArrowLeft: () => step(-1),
    "?": () => get("help").showModal(),
    "/": toSearch,
  };
  if (get("list").contains(event.target)) {
    Object.assign(does, { ArrowDown: does.j, ArrowUp: does.k });
  }
  if (!Object.hasOwn(does, event.key)) return;
  event.preventDefault();
  does[event.key]();
}

function toSearch() {
  if (narrow()) openRow(null); // which stands where the search would be
  get("search").focus();
}

const narrow = () => getComputedStyle(get("close")).display !== "none";

function listen() {
  let timer = 0;
  const soon = () => {
    clearTimeout(timer);
    timer = setTimeout(() => { find(); if (current) mark(); }, PAUSE_MS);
  };
  get("filters").addEventListener("input", soon);
  get("filters").addEventListener("reset", soon);
  get("filters").addEventListener("submit", (event) => event.preventDefault());
  for (const button of document.querySelectorAll("[data-part]")) {
    button.addEventListener("click", () => { openRow(null); turn(button.dataset.part); });
  }
  const clicks = {
    open: () => get("help").showModal(), close: closeRow, back: () => step(-1),
    next: () => step(1), earlier: () => toPage(page - 1), later: () => toPage(page + 1),
  };
  for (const [id, does] of Object.entries(clicks)) get(id).addEventListener("click", does);
  get("keys").addEventListener("change", () => { keysOn = get("keys").checked; });
  document.addEventListener("keydown", pressed);
  window.addEventListener("hashchange", follow);
}

// ---- the start -----------------------------------------------------------------------------

function showRanges() {
  get("ranges").replaceChildren(...ranges.map(({ label }, index) => {
    const inputs = ["at least", "at most"].map((end) => {
      const input = make("input");
      Object.assign(input, { type: "number", step: "any", ariaLabel: `${label}, ${end}` });
      return input;
    });
    const line = make("div", "line", make("span", "", label), ...inputs);
    line.dataset.range = index;
    return line;
  }));
}

function showWhole() {
  const { model, methods, pool, rejected, whole } = DATA;
  get("model").textContent = `· ${model}`;
  get("verb").parentElement.hidden = !pool.verb;
  for (const button of document.querySelectorAll("[data-part]")) {
    button.querySelector(".count").textContent = number(rows[button.dataset.part].length);
  }
  choices("method", [["", "any"], ...methods.map((method, index) => [String(index), method])]);
  const shown = [pool.id.length, rejected.text.length];
  const all = [whole.pool, whole.rejected];
  get("sample").hidden = shown[0] === all[0] && shown[1] === all[1];
  get("sample").textContent = `A random sample: ${number(shown[0])} of ${number(all[0])} `
    + `instructions with all that was made of them, and ${number(shown[1])} of ${number(all[1])} `
    + "refused ones. The whole would make this file too large (browser.megabytes in config.yaml).";
}

async function begin() {
  try {
    DATA = await unpacked();
  } catch (fault) {
    get("wait").hidden = true;
    get("fault").textContent = `The data cannot be unpacked (${fault.message}). Is this file `
      + "whole, and the browser one of the last years (Chrome 103, Firefox 113, Safari 16.4)?";
    get("fault").hidden = false;
    return;
  }
  readRows();
  readRanges();
  showRanges();
  showWhole();
  listen();
  get("wait").hidden = true;
  get("main").hidden = false;
  turn("instances");
  follow();
}

begin();
