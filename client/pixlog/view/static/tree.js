// The keys as a tree, by "/": search, hide, pin, and where something was not saved.

import { fill, h, icon, iconButton } from "./dom.js";
import { count } from "./format.js";
import { allKeys, fitsSearch } from "./keys.js";
import { runsOn, state, toggled, update, watch } from "./state.js";
import { pin } from "./timeline.js";

const closed = new Set();
const search = h("input", {
  id: "search",
  type: "search",
  placeholder: "Search keys",
  "aria-label": "Search keys",
  autocomplete: "off",
  spellcheck: "false",
  on: { input: () => update({ search: search.value }), keydown: (event) => event.key === "Escape" && leaveSearch() },
});
const list = h("div", { class: "tree" });

export const keyTree = h("section", { class: "keys", "aria-label": "Keys" }, h("div", { class: "search" }, search, h("kbd", { class: "hint", text: "/" })), list);

export function focusSearch() {
  search.focus();
  search.select();
}

function leaveSearch() {
  search.value = "";
  update({ search: "" });
  search.blur();
}

/** Keys as nested folders: {name, path, folders: Map, keys: [key]}. */
export function treeOf(keys) {
  const root = { name: "", path: "", folders: new Map(), keys: [] };
  for (const key of keys) {
    const parts = key.split("/");
    let folder = root;
    for (const [depth, part] of parts.slice(0, -1).entries()) {
      let inner = folder.folders.get(part);
      if (!inner) folder.folders.set(part, (inner = { name: part, path: parts.slice(0, depth + 1).join("/"), folders: new Map(), keys: [] }));
      folder = inner;
    }
    folder.keys.push(key);
  }
  return root;
}

function keysIn(folder) {
  return [...folder.keys, ...[...folder.folders.values()].flatMap(keysIn)];
}

function render() {
  if (document.activeElement !== search) search.value = state.search;
  const keys = allKeys().filter(fitsSearch);
  const focused = list.contains(document.activeElement) ? document.activeElement.dataset.focus : null;
  const pinned = keys.filter((key) => state.pinned.has(key));
  fill(
    list,
    pinned.length > 0 && h("ul", { class: "pinned", "aria-label": "Pinned keys" }, pinned.map((key) => leaf(key, key, "pinned"))),
    h("ul", { "aria-label": "All keys" }, branches(treeOf(keys))),
    keys.length === 0 && h("p", { class: "dim pad", text: state.search ? "No key fits." : "Nothing logged yet." }),
  );
  if (focused) [...list.querySelectorAll("[data-focus]")].find((element) => element.dataset.focus === focused)?.focus();
}

function branches(folder) {
  return [...[...folder.folders.values()].map(branch), ...folder.keys.map((key) => leaf(key, key.slice(key.lastIndexOf("/") + 1) || key, "tree"))];
}

function branch(folder) {
  const isOpen = !closed.has(folder.path) || state.search !== "";
  const keys = keysIn(folder);
  const isShown = keys.some((key) => !state.keysOff.has(key));
  const toggle = h(
    "button",
    {
      type: "button",
      class: "folder",
      "aria-expanded": String(isOpen),
      data: { focus: `folder ${folder.path}` },
      on: {
        click: () => {
          closed.has(folder.path) ? closed.delete(folder.path) : closed.add(folder.path);
          render();
        },
      },
    },
    icon("chevron"),
    h("span", { class: "name", text: folder.name || "/" }),
    h("span", { class: "count", text: String(keys.length) }),
  );
  return h("li", { class: isShown ? "" : "off" }, h("div", { class: "line" }, toggle, eye(keys, isShown, folder.path)), isOpen && h("ul", {}, branches(folder)));
}

function leaf(key, name, place) {
  const isShown = !state.keysOff.has(key);
  const isPinned = state.pinned.has(key);
  const [, failed, dropped, damaged] = sumStates(key);
  const open = h(
    "button",
    {
      type: "button",
      class: "leaf",
      title: key,
      "aria-current": state.view === "gallery" && state.galleryKey === key ? "true" : null,
      data: { focus: `${place} ${key}`, key },
      on: { click: () => (state.view === "gallery" ? update({ galleryKey: key }) : reveal(key)), dblclick: () => update({ view: "gallery", galleryKey: key }) },
    },
    h("span", { class: "name", text: name }),
    failed + damaged > 0 && h("span", { class: "badge failed", title: `${failed} failed, ${damaged} damaged`, text: count(failed + damaged) }),
    dropped > 0 && h("span", { class: "badge dropped", title: `${dropped} dropped`, text: count(dropped) }),
    h("span", { class: "count", text: count(runsOn().reduce((sum, run) => sum + run.table.rowCount(key), 0)) }),
  );
  const pinButton = iconButton("pin", `${isPinned ? "Unpin" : "Pin"} ${key}`, () => pin(key), { class: "icon-button quiet pin", "aria-pressed": String(isPinned), data: { focus: `pin ${place} ${key}` } });
  return h("li", { class: isShown ? "" : "off" }, h("div", { class: "line" }, open, pinButton, eye([key], isShown, `${place} ${key}`)));
}

function eye(keys, isShown, name) {
  return iconButton(isShown ? "eye" : "hidden", `${isShown ? "Hide" : "Show"} ${keys.length === 1 ? keys[0] : name}`, () => update({ keysOff: toggled(state.keysOff, keys, isShown) }), {
    class: "icon-button quiet eye",
    "aria-pressed": String(!isShown),
    data: { focus: `eye ${name}` },
  });
}

function sumStates(key) {
  const sums = [0, 0, 0, 0];
  for (const run of runsOn()) run.table.statesOf(key).forEach((number, at) => (sums[at] += number));
  return sums;
}

/** Show the key and bring its card to where it is seen. */
function reveal(key) {
  if (state.keysOff.has(key)) update({ keysOff: toggled(state.keysOff, [key], false) });
  requestAnimationFrame(() => {
    const card = [...document.querySelectorAll(".card")].find((element) => element.dataset.key === key);
    card?.scrollIntoView({ block: "nearest", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
    card?.classList.remove("found");
    requestAnimationFrame(() => card?.classList.add("found"));
  });
}

watch("data search keysOff pinned view galleryKey", render);
