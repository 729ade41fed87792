// Stretches of text that stand out, without a change of the text: by the browser's own highlights where it has
// them, else by <mark> elements, which are taken away again.

const painted = new Map(); // name → [{node, start, end}]
let wrapped = []; // where there are no highlights: {node, pieces}, a text node and what stands for it

// `spans` ([{node, start, end}], text nodes and offsets in them) are all that carries this name from now on.
export function paint(name, spans) {
  if (spans.length) painted.set(name, spans);
  else painted.delete(name);
  if (!globalThis.CSS?.highlights) return wrap();
  if (spans.length) CSS.highlights.set(name, new Highlight(...spans.map(range)));
  else CSS.highlights.delete(name);
}

function range({ node, start, end }) {
  const made = document.createRange();
  made.setStart(node, start);
  made.setEnd(node, end);
  return made;
}

function wrap() {
  for (const { node, pieces } of wrapped) {
    pieces[0].replaceWith(node);
    pieces.slice(1).forEach((piece) => piece.remove());
  }
  const nodes = new Set([...painted.values()].flat().map(({ node }) => node));
  wrapped = [...nodes].filter((node) => node.isConnected).map((node) => ({ node, pieces: piecesOf(node) }));
  for (const { node, pieces } of wrapped) node.replaceWith(...pieces);
}

function piecesOf(node) {
  const carried = [...painted].flatMap(([name, spans]) => spans.filter((span) => span.node === node).map((span) => ({ name, ...span })));
  const edges = [...new Set([0, node.length, ...carried.flatMap(({ start, end }) => [start, end])])].sort((a, b) => a - b);
  return edges.slice(1).map((end, number) => {
    const text = node.data.slice(edges[number], end);
    const names = carried.filter((span) => span.start <= edges[number] && end <= span.end).map(({ name }) => name);
    if (!names.length) return document.createTextNode(text);
    const mark = document.createElement("mark");
    mark.className = names.join(" ");
    mark.textContent = text;
    return mark;
  });
}

// Where [start, end) of what was written stands, by the places that `render` has noted.
export function spansOf(places, start, end) {
  return places.flatMap((place) => {
    const from = unit(place.at, start);
    const to = unit(place.at, end);
    return from < to ? [{ ...place, start: from, end: to }] : [];
  });
}

// The first unit that stands at `offset` or after it.
function unit(at, offset) {
  const found = at.findIndex((place) => place >= offset);
  return found < 0 ? at.length : found;
}
