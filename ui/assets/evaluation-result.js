// One result: its figures, what differs between two settings, what to change, and each miss, opened with one click.

import { api, button, el, icon, toast } from "./dom.js";
import { openPage } from "./page-view.js";
import { bars, lines, quantile, table } from "./plots.js";
import { placeOf } from "./quotes.js";
import { showSources } from "./sources.js";

const MISSES = 20; // in sight at once
const KINDS = {
  "not indexed": "its document is not in the index",
  "not found": "its document was not found",
  "wrong place": "another place of the document was found",
  "too low": "found too late",
  "under the floor": "found, but scored too low",
  "not in the answer": "found, but not in the answer",
  refused: "refused",
  invented: "answered, though the documents do not say",
};
const OUTCOMES = [
  ["right", "as expected"],
  ["answered", "answered, not checked"],
  ["rightly refused", "rightly refused"],
  ["other", "other words"],
  ["refused", "refused"],
  ["invented", "not refused"],
];
const VERDICTS = { better: "better", worse: "worse", same: "the same", unclear: "not more than chance", "too few": "too few questions" };
const NAMES = {
  "recall@1": "Right passage first",
  "recall@4": "… among the first 4",
  "recall@5": "… among the first 5",
  "recall@10": "… among the first 10",
  mrr: "Mean reciprocal rank",
  answer_contains: "Answer as expected",
  "refused: answerable": "Refused, though answerable",
  "refused: unanswerable": "Refused, as it should be",
  p50_ms: "Time to the answer (median)",
};

// `tries(setting, value)`: prepares a comparison with it; `can(setting)`: whether that can be done here.
export function resultView(result, { tries, can }) {
  const names = result.runs.map((run) => nameOf(run, result));
  return [
    el("p", { class: "summary" }, summary(result)),
    figures(result, names),
    el("div", { class: names.length > 2 ? "plots many" : "plots" }, recallPlot(result, names), answersPlot(result, names), timePlot(result, names)),
    ...result.comparisons.map((comparison) => differences(comparison, names)),
    advice(result, tries, can),
    misses(result, names),
  ].filter(Boolean);
}

const share = (value) => (value === null || value === undefined ? "–" : `${Number((100 * value).toFixed(1))} %`);
const time = (ms) => (ms === null ? "–" : ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`);
const amount = (figure, value) => (figure === "p50_ms" ? time(value) : figure === "mrr" ? value.toFixed(3) : share(value));

export function changedText(changed) {
  return Object.entries(changed).map(([name, value]) => `${name} = ${value}`).join(", ");
}

function nameOf(run, { changed, noise }) {
  const aloud = noise === null ? ", aloud" : `, aloud (${noise} dB)`;
  return `${run.changed ? changedText(changed) : "Now"}${run.spoken ? aloud : ""}`;
}

function summary({ runs, questions, settings }) {
  const { recall, answer_contains: answered } = runs[0].figures;
  const found = recall["4"] === null ? "" : `For ${share(recall["4"])} of the questions the right passage is among the first 4. `;
  const said = answered === null ? "" : `${share(answered)} of the answers have what you expect. `;
  const count = questions.length === 1 ? "One question" : `${questions.length} questions`;
  return `${count}, answered by ${settings.answers}. ${found}${said}`;
}

function figures({ runs, questions }, names) {
  const refused = (value, answerable) => {
    const count = questions.filter((question) => question.answerable === answerable).length;
    return count ? `${share(value)} of ${count}` : "–"; // not of all: only of those that say so
  };
  const rows = [
    ...[1, 4, 5, 10].map((k) => [NAMES[`recall@${k}`], ...runs.map(({ figures: f }) => share(f.recall[k]))]),
    [NAMES.mrr, ...runs.map(({ figures: f }) => (f.mrr === null ? "–" : f.mrr.toFixed(3)))],
    [NAMES.answer_contains, ...runs.map(({ figures: f }) => share(f.answer_contains))],
    [NAMES["refused: answerable"], ...runs.map(({ figures: f }) => refused(f.abstained.answerable, true))],
    [NAMES["refused: unanswerable"], ...runs.map(({ figures: f }) => refused(f.abstained.unanswerable, false))],
    [NAMES.p50_ms, ...runs.map(({ figures: f }) => time(f.p50_ms))],
    ["… of the slowest 5 %", ...runs.map(({ figures: f }) => time(f.p95_ms))],
  ];
  if (runs.some(({ spoken }) => spoken)) rows.push(["Words misheard", ...runs.map(({ figures: f }) => share(f.wer))]);
  const known = rows.filter(([, ...values]) => values.some((value) => value !== "–"));
  return el("div", { class: "scrolls" }, table("Figures", ["", ...names], known, { class: "figures" }));
}

const PERCENT = [0, 0.25, 0.5, 0.75, 1].map((at) => [at, `${100 * at} %`]);

function recallPlot({ runs }, names) {
  const drawn = runs.map((run, number) => ({ run, name: names[number] })).filter(({ run }) => run.curve.length);
  if (!drawn.length) return null;
  const count = drawn[0].run.curve.length;
  const series = drawn.map(({ run, name }) => ({ name, points: run.curve.map((value, at) => [at / (count - 1), value]) }));
  const xs = Array.from({ length: count }, (_, at) => [at / (count - 1), String(at + 1)]);
  const label = `Share of the questions whose right passage is among the first k. ${drawn.map(({ run, name }) => `${name}: from ${share(run.curve[0])} at 1 to ${share(run.curve.at(-1))} at ${count}`).join("; ")}.`;
  const rows = [1, 2, 4, 6, 8, 10].filter((k) => k <= count).map((k) => [String(k), ...drawn.map(({ run }) => share(run.curve[k - 1]))]);
  return plot("Right passage among the first k", lines({ label, xs, ys: PERCENT, xName: "k passages", series }), ["k", ...drawn.map(({ name }) => name)], rows);
}

function answersPlot({ runs }, names) {
  const all = runs.map(({ rows }, number) => ({ name: names[number], count: (kind) => rows.filter(({ outcome }) => outcome === kind).length }));
  const kinds = OUTCOMES.filter(([kind]) => all.some(({ count }) => count(kind))).map(([kind, text]) => ({ kind, text }));
  if (!kinds.length) return null;
  const drawn = all.map(({ name, count }) => ({ name, parts: kinds.map(({ kind }) => ({ kind, count: count(kind) })) }));
  const label = `What became of the questions. ${drawn.map(({ name, parts }) => `${name}: ${parts.map(({ count }, at) => `${count} ${kinds[at].text}`).join(", ")}`).join("; ")}.`;
  const rows = kinds.map(({ kind, text }) => [text, ...all.map(({ count }) => String(count(kind)))]);
  return plot("Answers", bars({ label, bars: drawn, kinds }), ["", ...names], rows);
}

function timePlot({ runs }, names) {
  const times = runs.map(({ rows }) => rows.map(({ ms }) => Math.max(ms, 0.1)).sort((a, b) => a - b));
  const low = Math.floor(Math.log10(Math.min(...times.map(([first]) => first))));
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...times.map((each) => each.at(-1))))));
  const at = (ms) => (Math.log10(ms) - low) / (high - low);
  const xs = Array.from({ length: high - low + 1 }, (_, step) => [step / (high - low), tick(10 ** (low + step))]);
  const series = times.map((each, number) => ({ name: names[number], points: each.map((ms, rank) => [at(ms), (rank + 1) / each.length]) }));
  const rows = [0.25, 0.5, 0.75, 0.95].map((part) => [share(part), ...times.map((each) => time(quantile(each, part)))]);
  const label = `Share of the questions that are answered within a time. ${times.map((each, number) => `${names[number]}: half within ${time(quantile(each, 0.5))}, 95 % within ${time(quantile(each, 0.95))}`).join("; ")}.`;
  return plot("Answered within", lines({ label, xs, ys: PERCENT, xName: "time to the complete answer", series, marks: false }), ["Share", ...names], rows);
}

const tick = (ms) => (ms < 1000 ? `${Number(ms.toPrecision(1))} ms` : `${ms / 1000} s`);

function plot(title, drawing, head, rows) {
  return el("section", { class: "plot-box" }, el("h3", {}, title), drawing, el("div", { class: "scrolls" }, table(`${title}, as numbers`, head, rows, { class: "numbers" })));
}

function differences({ of, differences: all }, names) {
  const rows = all.map((each) => [
    NAMES[each.figure] ?? each.figure,
    amount(each.figure, each.first),
    amount(each.figure, each.second),
    interval(each),
    el("span", { class: "verdict", "data-verdict": each.verdict }, VERDICTS[each.verdict]),
  ]);
  const [first, second] = of.map((number) => names[number]);
  const note = "The interval holds 95 of 100 samples of such questions; where it has 0 in it, the difference may be chance.";
  return el("div", { class: "scrolls" }, table(`${second}, compared with ${first.replace(/^Now/, "now")}`, ["", first, second, "Difference, interval", "So it is"], rows, { class: "differences" }), el("p", { class: "note" }, note));
}

function interval({ figure, low, high, difference }) {
  const sign = (value) => (value > 0 ? "+" : value < 0 ? "−" : "");
  const one = (value) => {
    const size = Math.abs(value);
    return `${sign(value)}${figure === "p50_ms" ? time(size) : figure === "mrr" ? size.toFixed(3) : Number((100 * size).toFixed(1))}`;
  };
  return `${one(difference)} (${one(low)} to ${one(high)})`;
}

function advice({ advice: all }, tries, can) {
  if (!all.length) return el("section", {}, el("h3", {}, "What to change"), el("p", { class: "empty" }, "Nothing was missed."));
  const items = all.map(({ text, setting, value, reindexes }) => {
    const variable = setting && value ? el("code", {}, `PARLEY_${setting.toUpperCase()}=${value}`) : "";
    const compare = setting && value && !reindexes && can(setting, value) ? button(`Compare with ${value}`, { icon: "chart", text: true, class: "plain", onclick: () => tries(setting, value) }) : "";
    return el("li", {}, el("p", {}, text), variable, compare);
  });
  return el("section", {}, el("h3", {}, "What to change"), el("ul", { class: "advice" }, ...items));
}

// The misses of one run, and which kind of them is in sight.
function misses(result, names) {
  const list = el("ol", { class: "misses" });
  const more = el("div", { class: "turning" });
  const runs = el("select", { "aria-label": "Misses of" }, ...names.map((name, at) => el("option", { value: String(at) }, name)));
  const kinds = el("select", { "aria-label": "Kind of miss" });
  const seen = { count: MISSES };
  const draw = () => {
    const run = Number(runs.value);
    const all = result.runs[run].rows.map((row, number) => ({ ...row, number })).filter(({ kind }) => kind);
    const there = [...new Set(all.map(({ kind }) => kind))];
    const chosen = there.includes(kinds.value) ? kinds.value : "";
    kinds.replaceChildren(el("option", { value: "" }, `All ${all.length}`), ...there.map((kind) => el("option", { value: kind }, `${KINDS[kind]} (${all.filter((row) => row.kind === kind).length})`)));
    kinds.value = chosen;
    const wanted = all.filter(({ kind }) => !chosen || kind === chosen);
    list.replaceChildren(...(wanted.length ? wanted.slice(0, seen.count).map((row) => miss(result, run, row)) : [el("li", { class: "empty" }, "Nothing was missed.")]));
    more.replaceChildren(wanted.length > seen.count ? button(`Show more of ${wanted.length}`, { text: true, class: "plain", onclick: () => ((seen.count += MISSES), draw()) }) : "");
  };
  for (const select of [runs, kinds]) select.addEventListener("change", draw);
  draw();
  runs.hidden = names.length < 2;
  return el("section", {}, el("h3", {}, "Misses"), el("div", { class: "row" }, runs, kinds), list, more);
}

function miss(result, run, { number, kind }) {
  const place = el("div", { class: "look", hidden: true });
  const node = el("button", { type: "button", class: "miss", "aria-expanded": "false" }, icon("right"), el("span", {}, el("b", {}, result.questions[number].question), el("small", {}, KINDS[kind])));
  node.addEventListener("click", () => toggle(node, place, `/api/evaluation/results/${result.id}/${run}/${number}`));
  return el("li", {}, node, place);
}

async function toggle(node, place, path) {
  const open = node.getAttribute("aria-expanded") === "false";
  node.setAttribute("aria-expanded", String(open));
  place.hidden = !open;
  if (!open) return;
  try {
    const look = await api(path);
    place.replaceChildren(...looked(look));
    showSources(look.sources, look.sources.length > 0);
    if (look.expected) openPage(look.expected, { drawer: false });
  } catch (error) {
    place.replaceChildren(el("p", { role: "alert" }, error.message));
    toast(error.message);
  }
}

function looked({ question, heard, answer, expected }) {
  const where = expected ? [expected.source, placeOf(expected)].filter(Boolean).join(", ") : (question.source ?? "");
  const rows = [
    ["Heard", heard === "" ? "nothing" : heard],
    ["Answered", answer],
    ["Expected", (question.answers ?? []).join(" or ") || (question.answerable === false ? "that the documents do not say" : "")],
    ["It stands in", where],
  ].filter(([, text]) => text);
  const show = () => {
    if (expected) openPage(expected);
    else document.body.dataset.drawer = "sources";
  };
  const sight = button(expected ? "Show the page" : "Show what was found", { icon: "book", text: true, class: "plain", onclick: show });
  return [el("dl", {}, ...rows.flatMap(([name, text]) => [el("dt", {}, name), el("dd", {}, text)])), sight];
}
