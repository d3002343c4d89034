
"use strict";
// Texts of models enter the page through textContent alone; the policy in the page's head lets
// nothing run but this script, and nothing load at all.

const DATA = JSON.parse(document.getElementById("data").textContent);
const FORMAT = "blind ratings 1";
const PARTS = {
  ratings: { items: DATA.ratings, questions: ["rating"], answers: ["A", "B", "C", "D"],
    name: "reply", names: "replies" },
  review: { items: DATA.review, questions: ["task", "input", "output"], answers: ["yes", "no"],
    name: "instance", names: "instances" },
};
const COLUMNS = ["page", "rater", "item", "question", "answer"];
const NAME = /^[\p{L}\p{N}][\p{L}\p{M}\p{N} ._'-]{0,39}$/u;
const MOST_UNDO = 2000;

const ITEMS = new Map();
for (const [part, { items }] of Object.entries(PARTS)) {
  items.forEach((item) => ITEMS.set(item.id, { part, item }));
}

let rater = "";
let answers = new Map(); // "item/question" → answer
let past = []; // what undo takes back: lists of [item/question, answer before or null]
let part = PARTS.ratings.items.length ? "ratings" : "review";
let asked = 0; // the question that is marked
let keysOn = true;
let unsaved = false; // the browser holds less than this tab
let exported = false; // what is unsaved stands in a file
let kept = new Map(); // the answers as the browser last held them
let unreadable = null; // what stands in the browser, and must be set aside before it is replaced
const order = { ratings: [], review: [] };
const place = { ratings: 0, review: 0 }; // an index of the order; its length is the end

const get = (id) => document.getElementById(id);
const key = (item, question) => `${item.id}/${question}`;
const shownItem = () => order[part][place[part]];
const isDone = (name, item) => PARTS[name].questions.every((each) => answers.has(key(item, each)));
const countDone = (name) => PARTS[name].items.filter((item) => isDone(name, item)).length;

// ---- a rater's own order -------------------------------------------------------------------

/** 32 bits of a text: FNV-1a, then the end of MurmurHash3. */
function mixed(text) {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) {
    hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** The items in the order that belongs to this page and this rater. */
function ordered(items) {
  const ranked = items.map((item) => [mixed(`${DATA.page}|${rater}|${item.id}`), item]);
  ranked.sort(([a, one], [b, other]) => a - b || (one.id < other.id ? -1 : 1));
  return ranked.map(([, item]) => item);
}

// ---- kept in the browser -------------------------------------------------------------------

const STORE = `blind ratings ${DATA.page}`;
const storeOf = (name) => `${STORE} of ${name}`;

function save() {
  try {
    if (unreadable !== null) setAside(unreadable);
    unreadable = null;
    const text = JSON.stringify({ answers: Object.fromEntries(answers), past });
    localStorage.setItem(storeOf(rater), text);
    kept = new Map(answers);
    localStorage.setItem(STORE, rater);
    unsaved = false;
    get("fault").hidden = true;
    get("saved").textContent = `Saved for ${rater}`;
  } catch (fault) {
    unsaved = true;
    exported = false;
    get("saved").textContent = "Not saved";
    tellFault(`Your answers are not saved: this browser refuses (${fault.name}). They are in this `
      + "tab alone. Export your file before you close it.");
  }
}

/** Keep a text beside all that was set aside before; no rater's name holds a bracket. */
function setAside(text) {
  for (let number = 1; ; number++) {
    const name = `${storeOf(rater)} (unreadable ${number})`;
    const before = localStorage.getItem(name);
    if (before === null) localStorage.setItem(name, text);
    if (before === null || before === text) return;
  }
}

/** What this tab answered, or took back, since the browser last held its answers. */
function changed() {
  const names = new Set([...answers.keys(), ...kept.keys()]);
  return [...names].filter((name) => answers.get(name) !== kept.get(name))
    .map((name) => [name, answers.get(name) ?? null]);
}

const atRisk = () => unsaved && !exported && changed().length > 0;

/** Another tab of the same rater saved: take its answers, and put back what only this one holds. */
function merge() {
  const own = unsaved ? changed() : [];
  const steps = past;
  load();
  if (own.length) {
    set(own);
    past = steps;
    save();
  }
}

function tellFault(text) {
  get("fault").textContent = text;
  get("fault").hidden = false;
}

function stored(name) {
  try {
    return localStorage.getItem(name);
  } catch {
    return null; // saving will say so
  }
}

/** What was saved for the rater; what cannot be read is set aside, never written over. */
function load() {
  answers = new Map();
  past = [];
  kept = new Map();
  unreadable = null;
  const text = stored(storeOf(rater));
  if (text === null) return;
  try {
    const found = JSON.parse(text);
    const checked = checkedAnswers(Object.entries(found.answers));
    past = checkedPast(found.past);
    answers = checked;
    kept = new Map(checked);
  } catch (fault) {
    unreadable = text;
    tellFault(`What this browser had saved for ${rater} cannot be read (${fault.message}). It was `
      + "set aside; if you have an exported file, import it.");
  }
}

function checkedAnswers(entries) {
  const checked = new Map();
  for (const [name, answer] of entries) {
    const [id, question] = name.split("/");
    if (!knownAnswers(name).includes(answer)) {
      throw new Error(`item ${id}, ${question}: ${answer} is no answer`);
    }
    if (checked.has(name)) throw new Error(`item ${id}, ${question} stands there twice`);
    checked.set(name, answer);
  }
  return checked;
}

/** What may be answered to an item/question of the page. */
function knownAnswers(name) {
  const [id, ...questions] = name.split("/");
  const known = ITEMS.get(id);
  if (!known) throw new Error(`item ${id} is not of this page`);
  if (questions.length !== 1 || !PARTS[known.part].questions.includes(questions[0])) {
    throw new Error(`item ${id} has no question ${questions.join("/")}`);
  }
  return PARTS[known.part].answers;
}

/** The last steps that undo takes back; each sets at least one answer, or none, of the page. */
function checkedPast(steps) {
  for (const step of steps) {
    if (step.length === 0) throw new Error("a step to undo is empty");
    for (const [name, before] of step) {
      if (before !== null && !knownAnswers(name).includes(before)) {
        throw new Error(`${before} is no answer to go back to`);
      }
      knownAnswers(name);
    }
  }
  return steps.slice(-MOST_UNDO);
}

// ---- what is shown -------------------------------------------------------------------------

function put(id, text, nothing) {
  const box = get(id);
  const empty = text.trim() === "";
  box.classList.toggle("nothing", empty);
  box.textContent = empty ? (text === "" ? nothing : `${nothing} (white space alone)`) : text;
}

function setCurrent(element, is) {
  if (is) element.setAttribute("aria-current", "true");
  else element.removeAttribute("aria-current");
}

function show({ top = true } = {}) {
  const { items, questions, name, names } = PARTS[part];
  const item = shownItem();
  const done = countDone(part);
  for (const each of Object.keys(PARTS)) {
    const button = get(`part-${each}`);
    setCurrent(button, each === part);
    button.querySelector(".count").textContent = `${countDone(each)}/${PARTS[each].items.length}`;
    get(`ask-${each}`).hidden = each !== part || !item;
  }
  get("bar").max = Math.max(1, items.length);
  get("bar").value = done;
  get("item").hidden = !item;
  get("end").hidden = Boolean(item);
  const title = name[0].toUpperCase() + name.slice(1);
  get("place").textContent = item
    ? `${title} ${place[part] + 1} of ${items.length} · ${done} done` : `${done} of ${items.length} done`;
  if (item) {
    showItem(item);
    const first = questions.findIndex((each) => !answers.has(key(item, each)));
    if (top) asked = Math.max(0, first);
    showAnswers(item);
  } else {
    showEnd(done, items.length, names);
  }
  get("back").disabled = place[part] === 0;
  get("next").disabled = !item;
  get("open-item").disabled = done === items.length;
  get("undo").disabled = past.length === 0;
  if (top) window.scrollTo(0, 0);
}

function showItem(item) {
  const rating = part === "ratings";
  put("instruction", item.instruction, "empty instruction");
  put("input", item.input, "empty input");
  get("s-input").hidden = rating && item.input === "";
  get("s-reference").hidden = !rating;
  put("reference", rating ? item.reference : "", "empty reference");
  get("h-reply").textContent = rating ? "Reply" : "Output";
  put("reply", rating ? item.reply : item.output, rating ? "empty reply" : "empty output");
  document.querySelector(".asked").scrollTop = 0;
}

function showAnswers(item) {
  const groups = part === "ratings" ? [get("ask-ratings")] : [...get("ask-review").children];
  groups.forEach((group, index) => {
    const given = answers.get(key(item, PARTS[part].questions[index]));
    setCurrent(group, part === "review" && index === asked);
    for (const button of group.querySelectorAll("[data-answer]")) {
      button.setAttribute("aria-pressed", String(button.dataset.answer === given));
    }
  });
}

function showEnd(done, all, names) {
  const other = part === "ratings" ? "review" : "ratings";
  const left = PARTS[other].items.length - countDone(other);
  get("end-title").textContent = done === all
    ? `All ${all} ${names} are done. Thank you.` : `The end, with ${all - done} ${names} still open.`;
  get("end-next").textContent = done === all
    ? `Export your file and hand it back${left ? ", or go on with the other part first" : ""}.`
    : "“First open” leads to them.";
  get("end-other").hidden = left === 0;
  get("end-other").textContent = `Go on: ${left} ${PARTS[other].names}`;
}

function tell(text) {
  get("told").textContent = text;
}

// ---- answers and moves ---------------------------------------------------------------------

function answer(value, question = PARTS[part].questions[asked]) {
  const item = shownItem();
  const { questions, answers: known, name } = PARTS[part];
  if (!item || !known.includes(value)) return;
  const done = `${name} ${place[part] + 1}: ${value}`;
  const corrects = isDone(part, item) && question !== questions.at(-1);
  record([[key(item, question), value]]);
  get("last").textContent = `Last: ${done}`;
  if (corrects) {
    asked = questions.indexOf(question) + 1; // the next one may be wrong too
    show({ top: false });
  } else if (isDone(part, item)) {
    moveTo(nextOpen(place[part] + 1));
  } else {
    asked = questions.findIndex((each) => !answers.has(key(item, each)));
    show({ top: false });
  }
  tell(`${done}. ${get("place").textContent}`);
}

/** Set answers, null for none, as one step that undo takes back. */
function record(changes) {
  past.push(changes.map(([name]) => [name, answers.get(name) ?? null]));
  past = past.slice(-MOST_UNDO);
  set(changes);
  save();
}

function set(changes) {
  for (const [name, value] of changes) {
    if (value === null) answers.delete(name);
    else answers.set(name, value);
  }
}

function undo() {
  const step = past.pop();
  if (!step) return;
  set(step);
  save();
  const [id, question] = step[0][0].split("/");
  const { part: its, item } = ITEMS.get(id);
  part = its;
  moveTo(order[its].indexOf(item));
  asked = PARTS[its].questions.indexOf(question);
  showAnswers(item);
  get("last").textContent = step.length === 1 ? "Undone" : `Undone: ${step.length} answers`;
  tell(`Undone. ${get("place").textContent}`);
}

/** The first open item at or after an index, round the end; the end itself where none is open. */
function nextOpen(from) {
  const all = order[part];
  for (let step = 0; step < all.length; step++) {
    const index = (from + step) % all.length;
    if (!isDone(part, all[index])) return index;
  }
  return all.length;
}

function moveTo(index) {
  place[part] = Math.max(0, Math.min(index, order[part].length));
  show();
}

function turn(name) {
  part = name;
  get("last").textContent = "";
  show();
  tell(get("place").textContent);
}

function step(by) {
  moveTo(place[part] + by);
  tell(get("place").textContent);
}

// ---- files ---------------------------------------------------------------------------------

function asJson() {
  const nested = {};
  for (const id of [...ITEMS.keys()].sort()) {
    const { part: its, item } = ITEMS.get(id);
    for (const question of PARTS[its].questions) {
      if (answers.has(key(item, question))) {
        (nested[id] ??= {})[question] = answers.get(key(item, question));
      }
    }
  }
  const file = { format: FORMAT, page: DATA.page, model: DATA.model, rater, answers: nested };
  return `${JSON.stringify(file, null, 1)}\n`;
}

function asCsv() {
  const rows = [COLUMNS];
  for (const [id, given] of Object.entries(JSON.parse(asJson()).answers)) {
    for (const [question, value] of Object.entries(given)) {
      rows.push([DATA.page, rater, id, question, value]);
    }
  }
  return rows.map((row) => `${row.join(",")}\n`).join(""); // no value can hold a comma or a quote
}

function exportFile(kind) {
  const [text, type] = kind === "csv" ? [asCsv(), "text/csv"] : [asJson(), "application/json"];
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = `ratings_${DATA.model}_${rater.replaceAll(/[^\p{L}\p{M}\p{N}.-]+/gu, "-")}.${kind}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  exported = true;
  const open = Object.keys(PARTS).map((name) => PARTS[name].items.length - countDone(name));
  const says = open.some(Boolean)
    ? `Exported, with ${open[0]} replies and ${open[1]} instances still open.` : "Exported; complete.";
  get("file-says").textContent = says;
  tell(says);
}

function parsed(text) {
  const content = text.replace(/^\uFEFF/, "");
  if (content.trimStart().startsWith("{")) {
    const file = JSON.parse(content);
    refuseDoubled(content);
    if (file.format !== FORMAT) throw new Error(`its format is ${file.format}, not ${FORMAT}`);
    const entries = Object.entries(file.answers).flatMap(([id, given]) =>
      Object.entries(given).map(([question, value]) => [`${id}/${question}`, value]));
    return { page: file.page, name: file.rater, entries };
  }
  const rows = content.split(/\r?\n/).filter((line) => line !== "")
    .map((line) => line.split(",").map((cell) => cell.replace(/^"(.*)"$/, "$1")));
  if (rows[0]?.join() !== COLUMNS.join()) throw new Error(`its first line is not ${COLUMNS}`);
  const [, first] = rows;
  if (!first) throw new Error("it holds no answer");
  rows.slice(1).forEach((row, index) => {
    if (row.length !== COLUMNS.length || row[0] !== first[0] || row[1] !== first[1]) {
      throw new Error(`line ${index + 2} is not like line 2`);
    }
  });
  return { page: first[0], name: first[1],
    entries: rows.slice(1).map((row) => [`${row[2]}/${row[3]}`, row[4]]) };
}

/** Refuse JSON with an object that names a member twice, of which JSON.parse keeps the last. */
function refuseDoubled(json) {
  const open = []; // the names in the objects, and none in the lists, around a place
  const tokens = /("(?:[^"\\]|\\.)*")(\s*:)?|[{}[\]]/g;
  for (const [token, string, colon] of json.matchAll(tokens)) {
    if (colon) {
      const name = JSON.parse(string);
      if (open.at(-1).has(name)) throw new Error(`${name} stands there twice`);
      open.at(-1).add(name);
    } else if (token === "{" || token === "[") open.push(new Set());
    else if (token === "}" || token === "]") open.pop();
  }
}

async function importFile(file) {
  const says = get("file-says");
  try {
    const { page, name: given, entries } = parsed(await file.text());
    if (page !== DATA.page) throw new Error("it belongs to another page");
    const name = asName(given);
    if (name === null) throw new Error(`${JSON.stringify(given)} is no rater's name`);
    const checked = checkedAnswers(entries);
    if (name !== rater) become(name);
    const changes = [...checked].filter(([each, value]) => answers.get(each) !== value);
    const replaced = changes.filter(([each]) => answers.has(each)).length;
    if (changes.length) record(changes);
    moveTo(nextOpen(0));
    says.textContent = `${checked.size} answers of ${name} read: ${changes.length - replaced} new, `
      + `${replaced} in place of others${changes.length ? "; undo takes them back" : ""}.`;
  } catch (fault) {
    says.textContent = `${file.name} was not read: ${fault.message}.`;
  }
}

// ---- who rates -----------------------------------------------------------------------------

/** The one way to write a rater's name, or null for what is none. */
function asName(value) {
  const name = typeof value === "string" ? value.normalize("NFC").trim() : "";
  return NAME.test(name) ? name : null;
}

function become(name) {
  if (atRisk()) {
    throw new Error(`${rater}'s answers are not saved; export them first, or they are lost`);
  }
  rater = name;
  get("rater").value = name;
  load();
  for (const each of Object.keys(PARTS)) {
    order[each] = ordered(PARTS[each].items);
  }
  const now = part;
  for (const each of Object.keys(PARTS)) {
    part = each;
    place[each] = nextOpen(0);
  }
  part = now;
  const hadFault = !get("fault").hidden;
  const fault = get("fault").textContent;
  save();
  if (hadFault && !unsaved) tellFault(fault);
  get("last").textContent = "";
  showDesk();
  show();
}

function showDesk() {
  get("begin").textContent = rater ? "Change" : "Begin";
  get("close").hidden = !rater;
  get("exports").hidden = !rater;
}

function nameGiven(event) {
  event.preventDefault();
  const name = asName(get("rater").value);
  if (name === null) {
    get("rater-fault").textContent = "A name begins with a letter or digit, and holds only letters, "
      + "digits, spaces and . _ ' -";
    return;
  }
  get("rater-fault").textContent = "";
  try {
    if (name !== rater) become(name);
    get("desk").close();
  } catch (fault) {
    get("rater-fault").textContent = `The name stays: ${fault.message}.`;
  }
}

function openDesk() {
  showDesk();
  get("rater").value = rater;
  if (!get("desk").open) get("desk").showModal();
}

// ---- keys and clicks -----------------------------------------------------------------------

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (get("desk").open || !rater || !keysOn) return;
  const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const review = part === "review";
  const does = {
    j: () => step(1), ArrowRight: () => step(1), k: () => step(-1), ArrowLeft: () => step(-1),
    u: undo, o: () => moveTo(nextOpen(0)), "?": openDesk,
    t: () => turn(review ? "ratings" : "review"),
  };
  if (review) {
    Object.assign(does, { y: () => answer("yes"), n: () => answer("no") });
    [0, 1, 2].forEach((index) => { does[index + 1] = () => mark(index); });
  } else {
    PARTS.ratings.answers.forEach((each) => { does[each.toLowerCase()] = () => answer(each); });
    does.r = () => { get("s-reference").open = !get("s-reference").open; };
  }
  const held = event.repeat && !["j", "k", "ArrowRight", "ArrowLeft"].includes(name);
  if (!Object.hasOwn(does, name)) return;
  event.preventDefault();
  if (!held) does[name](); // a key held down moves, and answers once
}

function mark(index) {
  if (!shownItem()) return;
  asked = index;
  showAnswers(shownItem());
  tell(get("ask-review").children[index].querySelector("p").textContent);
}

function listen() {
  document.addEventListener("keydown", pressed);
  for (const button of document.querySelectorAll("[data-answer]")) {
    const question = button.closest("[data-question]")?.dataset.question;
    button.addEventListener("click", () => answer(button.dataset.answer, question));
  }
  for (const button of document.querySelectorAll("[data-export]")) {
    button.addEventListener("click", () => exportFile(button.dataset.export));
  }
  const clicks = {
    "part-ratings": () => turn("ratings"), "part-review": () => turn("review"),
    "end-other": () => turn(part === "ratings" ? "review" : "ratings"), open: openDesk,
    back: () => step(-1), next: () => step(1), undo, "open-item": () => moveTo(nextOpen(0)),
  };
  for (const [id, does] of Object.entries(clicks)) get(id).addEventListener("click", does);
  get("who").addEventListener("submit", nameGiven);
  get("desk").addEventListener("cancel", (event) => { if (!rater) event.preventDefault(); });
  get("desk").addEventListener("close", () => { if (!rater) openDesk(); });
  get("keys").addEventListener("change", () => { keysOn = get("keys").checked; });
  get("import").addEventListener("change", async (event) => {
    const [file] = event.target.files;
    if (file) await importFile(file);
    event.target.value = "";
  });
  const bar = document.querySelector("footer");
  new ResizeObserver(() => {
    document.documentElement.style.setProperty("--bar", `${bar.offsetHeight}px`);
  }).observe(bar);
  window.addEventListener("beforeunload", (event) => { if (atRisk()) event.preventDefault(); });
  window.addEventListener("storage", (event) => { // another tab of the same rater answered
    if (rater && event.key === storeOf(rater) && event.newValue !== null) {
      merge();
      show({ top: false });
    }
  });
}

get("model").textContent = `· ${DATA.model}`;
get("part-review").hidden = DATA.review.length === 0;
get("part-ratings").hidden = DATA.ratings.length === 0;
listen();
const before = stored(STORE);
if (asName(before) !== null) {
  become(asName(before));
} else {
  openDesk();
}
