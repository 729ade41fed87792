// The list of conversations: open one, delete it, export the one that is shown.

import { api, button, byId, el, icon, toast } from "./dom.js";

// `shown`: the id of the conversation that is shown, or null; `open(id)` shows another, `open(null)` a new one.
export async function showHistory(shown, open) {
  let found;
  try {
    found = (await api("/api/conversations")).conversations;
  } catch {
    return; // the list is an extra; the conversation itself says when the server is gone
  }
  const items = found.map((conversation) => item(conversation, shown(), open));
  byId("history").replaceChildren(el("h2", {}, "Conversations"), exportLink(shown()), el("ul", {}, ...items));
}

function exportLink(id) {
  const href = id ? `/api/conversations/${id}/export` : null;
  const props = { class: "export plain", download: "conversation.md", href, "aria-disabled": id ? null : "true", title: "Export this conversation as Markdown" };
  return el("a", props, icon("down_line"), "Export");
}

function item({ id, title }, shown, open) {
  const current = id === shown;
  const remove = async () => {
    try {
      await api(`/api/conversations/${id}`, { method: "DELETE" });
    } catch (error) {
      toast(error.message);
    }
    open(current ? null : undefined);
  };
  return el(
    "li",
    { class: current ? "current" : null },
    el("button", { type: "button", class: "open", "aria-current": current ? "true" : null, onclick: () => open(id) }, title),
    button(`Delete the conversation “${title}”`, { icon: "close", class: "plain", onclick: remove }),
  );
}
