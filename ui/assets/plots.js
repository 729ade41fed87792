// Plots as SVG, each beside a table of the same figures. Series differ by their line and mark, not by colour alone.

import { el, svg } from "./dom.js";

const WIDTH = 380;
const HEIGHT = 220;
const LEFT = 40;
const RIGHT = 12;
const TOP = 10;
const BOTTOM = 38;
const DASHES = ["", "6 4", "2 3", "9 3 2 3"];

// Several lines in one frame. series: [{name, points: [[x, y], …]}], x and y from 0 to 1; ticks: [[at, text], …].
export function lines({ label, xs, ys, xName, series, marks = true }) {
  const frame = [...ys.map(([at, text]) => yTick(at, text)), ...xs.map(([at, text]) => xTick(at, text)), axisName(xName)];
  const drawn = series.map(({ points }, number) => line(points, number, marks));
  return figure(label, [...frame, ...drawn], HEIGHT, legend(series));
}

// Bars from left to right, one below the other, each in parts. bars: [{name, parts: [{kind, count}]}].
export function bars({ label, bars: all, kinds }) {
  const height = 8 + 44 * all.length;
  const drawn = all.flatMap(({ name, parts }, row) => bar(name, parts, 6 + 44 * row));
  const keys = kinds.map(({ kind, text }) => el("li", {}, el("i", { class: "swatch", "data-kind": kind, "aria-hidden": "true" }), text));
  return figure(label, drawn, height, el("ul", { class: "legend" }, ...keys));
}

function figure(label, nodes, height, key) {
  const drawing = svg("svg", { viewBox: `0 0 ${WIDTH} ${height}`, role: "img", "aria-label": label, class: "plot" }, ...nodes);
  return el("figure", {}, drawing, key);
}

const x = (share) => LEFT + share * (WIDTH - LEFT - RIGHT);
const y = (share) => HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM);
const text = (content, props) => svg("text", props, content);

function yTick(at, content) {
  const rule = svg("line", { class: "rule", x1: x(0), x2: x(1), y1: y(at), y2: y(at) });
  return svg("g", {}, rule, text(content, { x: x(0) - 6, y: y(at) + 4, "text-anchor": "end" }));
}

function xTick(at, content) {
  const rule = svg("line", { class: "tick", x1: x(at), x2: x(at), y1: y(0), y2: y(0) + 4 });
  return svg("g", {}, rule, text(content, { x: x(at), y: y(0) + 17, "text-anchor": "middle" }));
}

const axisName = (content) => text(content, { x: x(0.5), y: HEIGHT - 4, "text-anchor": "middle", class: "axis" });

function line(points, number, marks) {
  const d = points.map(([a, b], at) => `${at ? "L" : "M"}${x(a).toFixed(1)} ${y(b).toFixed(1)}`).join("");
  const stroke = svg("path", { d, class: `series s${number}`, "stroke-dasharray": DASHES[number % DASHES.length] });
  return svg("g", {}, stroke, ...(marks ? points.map(([a, b]) => mark(x(a), y(b), number)) : []));
}

// A circle, a square, a triangle, a diamond.
function mark(a, b, number) {
  const shapes = [`M${a - 3.5} ${b}a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0-7 0z`, `M${a - 3} ${b - 3}h6v6h-6z`, `M${a} ${b - 4}l4 7h-8z`, `M${a} ${b - 4}l4 4l-4 4l-4-4z`];
  return svg("path", { d: shapes[number % shapes.length], class: `mark s${number}` });
}

function legend(series) {
  const keys = series.map(({ name }, number) => {
    const dash = svg("line", { x1: 0, x2: 28, y1: 6, y2: 6, class: `series s${number}`, "stroke-dasharray": DASHES[number % DASHES.length] });
    return el("li", {}, svg("svg", { viewBox: "0 0 28 12", class: "key", "aria-hidden": "true" }, dash, mark(14, 6, number)), name);
  });
  return series.length > 1 ? el("ul", { class: "legend" }, ...keys) : "";
}

function bar(name, parts, top) {
  const total = parts.reduce((sum, { count }) => sum + count, 0) || 1;
  const wide = WIDTH - 12;
  let at = 6;
  const drawn = parts.filter(({ count }) => count).map(({ kind, count }) => {
    const width = (count / total) * wide;
    const box = svg("rect", { x: at, y: top + 16, width: Math.max(1, width - 1), height: 22, class: "part", "data-kind": kind });
    const inside = width > 26 ? [text(String(count), { x: at + width / 2, y: top + 31, "text-anchor": "middle", "data-kind": kind, class: "count" })] : [];
    at += width;
    return svg("g", {}, box, ...inside);
  });
  return [text(name, { x: 6, y: top + 10 }), ...drawn];
}

// As NumPy has it, and with it every figure of the server: between two values in proportion. `sorted` has at least one.
export function quantile(sorted, share) {
  const at = share * (sorted.length - 1);
  const low = Math.floor(at);
  return sorted[low] + (at - low) * ((sorted[low + 1] ?? sorted[low]) - sorted[low]);
}

// A table with a caption; the first cell of each row is its heading.
export function table(caption, head, rows, props = {}) {
  const heading = (cell, scope) => el("th", { scope }, cell);
  return el(
    "table",
    props,
    el("caption", {}, caption),
    el("thead", {}, el("tr", {}, ...head.map((cell) => heading(cell, "col")))),
    el("tbody", {}, ...rows.map(([first, ...rest]) => el("tr", {}, heading(first, "row"), ...rest.map((cell) => el("td", {}, cell))))),
  );
}
