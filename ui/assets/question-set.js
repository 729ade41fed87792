// A set of questions: write, upload, have proposed, take from disliked answers; save. What is in it stays when it is
// measured; nothing here measures.

import { announce, api, button, el, icon, toast } from "./dom.js";

const PAGE = 10; // questions in sight at once
const SUGGESTED = 20; // documents
const MOST_WITHOUT = 200; // questions that a proposal is told of
const NEW = "My questions";
const WHAT = "Write questions whose answers you know, upload a file (JSON lines, a table, or one question a line), or let Parley propose some from the documents. Where the answer stands tells whether it was found; what the answer is tells whether it was given.";

// name: of the set as it is kept; rows: as the server has them; changed: since it was saved; from: the first in sight.
const state = { name: "", rows: [], changed: false, from: 0, sample: "", offered: false };
const acts = { propose: () => {}, changed: () => {} };

const chooser = el("select", { "aria-label": "Set of questions", onchange: () => choose(chooser.value) }, el("option", { value: "" }, "A new set"));
const naming = el("input", { type: "text", class: "name", "aria-label": "Name of the set", maxlength: "60", autocomplete: "off" });
const list = el("ol", { class: "questions" });
const turning = el("div", { class: "turning" });
const offered = el("div", { class: "offered", hidden: true });
const documents = el("datalist", { id: "evaluation-documents" });
const disliked = button("From answers you disliked", { icon: "down", text: true, class: "plain", hidden: true, onclick: takeDisliked });
const removal = button("Remove the set", { icon: "close", class: "plain", hidden: true, onclick: removeSet });

// `given`: propose(), to begin a proposal; changed(), when the set is another one.
export function questionSet(given) {
  Object.assign(acts, given);
  naming.value = NEW;
  naming.addEventListener("input", touched);
  const bar = el("div", { class: "row" }, chooser, naming, button("Save", { icon: "ready", text: true, class: "plain", onclick: () => save() }), removal);
  const ways = el(
    "div",
    { class: "row ways" },
    button("Add a question", { icon: "plus", text: true, class: "plain", onclick: addEmpty }),
    uploading(),
    button("Propose some", { icon: "again", text: true, class: "plain", onclick: () => acts.propose(without()) }),
    disliked,
  );
  draw();
  return el("section", { class: "set" }, el("h2", {}, "Questions"), bar, ways, offered, list, turning, documents);
}

function uploading() {
  const input = el("input", { type: "file", accept: ".jsonl,.json,.csv,.tsv,.txt", "aria-label": "Upload questions" });
  input.addEventListener("change", async () => {
    const [file] = input.files;
    input.value = "";
    if (!file) return;
    try {
      const { rows } = await api(`/api/evaluation/read?${new URLSearchParams({ name: file.name })}`, { body: file });
      if (!state.rows.length && !state.name) naming.value = nameOf(file.name);
      add(rows);
    } catch (error) {
      toast(error.message);
    }
  });
  return el("label", { class: "plain upload" }, input, el("span", {}, "Upload a file"));
}

// A file's name as the name of a set.
function nameOf(file) {
  const plain = file.replace(/\.\w+$/, "").replace(/[^\p{L}\p{N} ().,'_-]+/gu, " ").trim().slice(0, 60);
  return /^[\p{L}\p{N}]/u.test(plain) ? plain.replace(/[^\p{L}\p{N})_]+$/u, "") : NEW;
}

const without = () => state.rows.slice(-MOST_WITHOUT).map(({ question }) => question.slice(0, 200));

// What the server tells: the names of the sets, and how many answers were disliked.
export function offer({ sets, sample, feedback }) {
  const names = [...sets, ...(sample ? [sample] : [])];
  const options = [el("option", { value: "" }, "A new set"), ...names.map((name) => el("option", { value: name }, name))];
  state.sample = sample;
  chooser.replaceChildren(...options);
  chooser.value = names.includes(state.name) ? state.name : "";
  disliked.hidden = !feedback;
  removal.hidden = !state.name || state.name === sample;
  if (!state.offered && names.length) choose(names[0]); // where one begins
  state.offered = true;
}

// The documents whose name has what is typed.
async function suggestDocuments(typed) {
  const wish = new URLSearchParams({ state: "ready", search: typed, limit: SUGGESTED });
  try {
    const { items } = await api(`/api/library?${wish}`);
    documents.replaceChildren(...items.map(({ source }) => el("option", { value: source })));
  } catch {
    documents.replaceChildren(); // a name can be typed without
  }
}

async function choose(name) {
  if (state.changed && state.rows.length && !confirm("The questions have changes that are not saved. Leave them?")) {
    chooser.value = state.name;
    return;
  }
  try {
    const rows = name ? (await api(`/api/evaluation/sets?${new URLSearchParams({ name })}`)).rows : [];
    Object.assign(state, { name, rows, changed: false, from: 0 });
    naming.value = name === state.sample || !name ? NEW : name;
    removal.hidden = !name || name === state.sample;
    chooser.value = name;
    draw();
    acts.changed();
  } catch (error) {
    toast(error.message);
  }
}

async function takeDisliked() {
  try {
    const { rows } = await api("/api/evaluation/feedback");
    const known = new Set(state.rows.map(({ question }) => question));
    add(rows.filter(({ question }) => !known.has(question)));
    toast("Say where the answer of each stands, and what it is.", "hint");
  } catch (error) {
    toast(error.message);
  }
}

async function removeSet() {
  if (!confirm(`Remove ${state.name}? Its questions are gone then.`)) return;
  try {
    await api(`/api/evaluation/sets?${new URLSearchParams({ name: state.name })}`, { method: "DELETE" });
    Object.assign(state, { name: "", rows: [], changed: false, from: 0 });
    naming.value = NEW;
    draw();
    acts.changed();
  } catch (error) {
    toast(error.message);
  }
}

// Keep the set; the name under which it is kept, or "" where it could not be.
export async function save() {
  const rows = state.rows.filter(({ question }) => question.trim());
  if (!rows.length) {
    toast("There is no question yet. Add one.");
    return "";
  }
  const name = naming.value.trim();
  const lines = rows.map((row) => JSON.stringify(row)).join("\n");
  try {
    await api(`/api/evaluation/sets?${new URLSearchParams({ name })}`, { body: lines });
  } catch (error) {
    toast(error.message);
    return "";
  }
  Object.assign(state, { name, rows, changed: false });
  draw();
  announce(`${name} is saved.`);
  acts.changed();
  return name;
}

// The name of the set to measure, saved first if it has to be.
export async function ready() {
  return state.name && !state.changed ? state.name : save();
}

function touched() {
  state.changed = true;
}

function addEmpty() {
  add([{ id: identity(), question: "" }]);
  list.querySelector("li:last-child input").focus();
}

const identity = () => `own-${Date.now().toString(36)}-${Math.random().toString(36).slice(2, 6)}`;

function add(rows) {
  if (!rows.length) return;
  const taken = new Set(state.rows.map(({ id }) => id));
  state.rows.push(...rows.map((row) => (taken.has(row.id) ? { ...row, id: identity() } : row)));
  state.from = Math.floor((state.rows.length - 1) / PAGE) * PAGE;
  touched();
  draw();
  announce(rows.length === 1 ? "One question added." : `${rows.length} questions added.`);
}

// Proposed questions, for the person to tick.
export function showProposed(rows) {
  offered.hidden = false;
  if (!rows.length) {
    offered.replaceChildren(el("p", { class: "empty" }, "Parley found nothing more to ask about. Write questions yourself, or add documents."));
    return;
  }
  const ticks = rows.map((row) => ({ row, box: el("input", { type: "checkbox", checked: true }) }));
  const items = ticks.map(({ row, box }) => el("li", {}, el("label", {}, box, el("span", {}, el("b", {}, row.question), el("small", {}, told(row))))));
  const close = () => {
    offered.hidden = true;
    offered.replaceChildren();
  };
  const keep = () => {
    add(ticks.filter(({ box }) => box.checked).map(({ row }) => row));
    close();
  };
  offered.replaceChildren(
    el("p", {}, "Keep those that a person might ask. They use the documents' own words: reword them where people would."),
    el("ul", {}, ...items),
    el("div", { class: "row" }, el("button", { type: "button", class: "go", onclick: keep }, "Add the ticked ones"), button("Drop all", { text: true, class: "plain", onclick: close })),
  );
  offered.querySelector("input").focus();
}

// What is known of a question's answer, in a line.
function told({ source, pages, answers, answerable }) {
  if (answerable === false) return "not in the documents";
  const kind = /\.pdf$/i.test(source ?? "") ? "page" : "part"; // a slide, a sheet, a chapter: its number is all that is known
  const page = pages?.length ? `, ${kind} ${pages.join(", ")}` : "";
  return [answers?.join(" or "), source ? `${source}${page}` : ""].filter(Boolean).join(" · ") || "nothing is known of its answer";
}

function draw() {
  const inSight = state.rows.slice(state.from, state.from + PAGE);
  list.replaceChildren(...(inSight.length ? inSight.map(line) : [el("li", { class: "empty" }, WHAT)]));
  drawTurning();
}

function drawTurning() {
  const many = state.rows.length;
  const go = (step) => () => {
    state.from += step * PAGE;
    draw();
  };
  const last = Math.min(state.from + PAGE, many);
  turning.hidden = many <= PAGE;
  turning.replaceChildren(
    button("Earlier questions", { icon: "left", class: "plain", disabled: state.from === 0, onclick: go(-1) }),
    el("span", {}, `${state.from + 1} to ${last} of ${many}`),
    button("Later questions", { icon: "right", class: "plain", disabled: last >= many, onclick: go(1) }),
  );
}

// A question in a line; opened, the fields to change it.
function line(row) {
  const known = el("small", {}, told(row));
  const title = el("b", {}, row.question || "A new question");
  const redraw = () => {
    title.textContent = row.question || "A new question";
    known.textContent = told(row);
    touched();
  };
  const away = button("Remove this question", { icon: "close", class: "plain", onclick: () => drop(row) });
  const details = el("details", { open: !row.question }, el("summary", {}, icon("right"), el("span", {}, title, known)), fields(row, redraw));
  return el("li", {}, details, away);
}

function fields(row, redraw) {
  const field = (label, value, set, props = {}) => {
    const input = el("input", { type: "text", autocomplete: "off", maxlength: "1000", ...props });
    input.value = value;
    input.addEventListener("input", () => {
      set(input.value.trim());
      redraw();
    });
    return el("label", {}, el("span", {}, label), input);
  };
  const inDocument = (source) => {
    place(row, { source });
    suggestDocuments(source);
  };
  const none = el("input", { type: "checkbox", checked: row.answerable === false });
  const known = el(
    "div",
    { class: "known", hidden: none.checked },
    field("Document", row.source ?? "", inDocument, { list: documents.id, onfocus: () => suggestDocuments(row.source ?? "") }),
    field("Page", (row.pages ?? []).join(", "), (value) => place(row, { pages: value }), { inputmode: "numeric", placeholder: row.spans?.length ? "marked" : "" }),
    field("Answer (several: one | another)", (row.answers ?? []).join(" | "), (value) => put(row, "answers", parts(value, "|"))),
  );
  none.addEventListener("change", () => {
    put(row, "answerable", none.checked ? false : undefined);
    known.hidden = none.checked;
    redraw();
  });
  return el("div", { class: "fields" }, field("Question", row.question, (value) => (row.question = value)), known, el("label", { class: "check" }, none, "The documents do not answer it"));
}

const parts = (value, mark) => value.split(mark).map((part) => part.trim()).filter(Boolean);

function put(row, name, value) {
  if (value === undefined || value === "" || value.length === 0) delete row[name];
  else row[name] = value;
}

// Another document or page: the place that was marked is not the right one any more.
function place(row, { source = row.source ?? "", pages }) {
  delete row.spans;
  put(row, "source", source);
  if (pages !== undefined) put(row, "pages", parts(pages, /[\s,;]+/).map(Number).filter((page) => Number.isInteger(page) && page > 0));
  if (!source) delete row.pages;
}

function drop(row) {
  state.rows.splice(state.rows.indexOf(row), 1);
  if (state.from >= state.rows.length) state.from = Math.max(0, state.from - PAGE);
  touched();
  draw();
  list.querySelector("summary")?.focus();
}
