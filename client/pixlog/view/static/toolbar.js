// The head of the page: runs, view, filter, ranks, size, theme; and what the daemons say.

import { fill, h, iconButton, settled } from "./dom.js";
import { ago, count, number, plural } from "./format.js";
import { showHelp } from "./help.js";
import { connection } from "./live.js";
import { state, toggled, update, watch } from "./state.js";

const RANKS_AS_CHIPS = 8;
const CELL_PX = [64, 96, 128, 176, 240, 320, 480];

const where = h("input", {
  id: "where",
  type: "search",
  placeholder: "Filter: meta.score < 0.3 and rank == 0",
  "aria-label": "Filter rows by their fields and meta",
  "aria-describedby": "where-error",
  autocomplete: "off",
  spellcheck: "false",
  on: {
    input: settled(() => update({ where: where.value }), 350),
    change: () => update({ where: where.value }),
    keydown: (event) => event.key === "Escape" && where.blur(),
  },
});
const whereError = h("p", { id: "where-error", class: "error popover", role: "alert", hidden: true });
const matching = h("span", { class: "dim tabular", id: "matching" });
const ranks = h("div", { class: "chips", role: "group", "aria-label": "Ranks" });
const runs = h("div", { class: "chips runs", role: "group", "aria-label": "Runs" });
const counters = h("div", { class: "counters", id: "counters", role: "status" });
const views = h("div", { class: "segments", role: "group", "aria-label": "View" }, viewButton("board", "Board"), viewButton("gallery", "Gallery"));

function viewButton(name, text) {
  return h("button", { type: "button", data: { view: name }, title: `${text} (g)`, on: { click: () => update({ view: name }) } }, text);
}

export const toolbar = h(
  "header",
  { class: "toolbar" },
  iconButton("sidebar", "Key list ([)", toggleSidebar, { id: "sidebar-button" }),
  views,
  runs,
  h("div", { class: "filter" }, where, whereError),
  matching,
  ranks,
  h("div", { class: "spring" }),
  counters,
  h("div", { class: "row tight" }, iconButton("grid", "Larger images (+)", () => resize(1), { id: "larger" }), iconButton("theme", "Light or dark (t)", toggleTheme, { id: "theme" }), iconButton("help", "Keys (?)", showHelp, { id: "help" })),
);

export function focusFilter() {
  where.focus();
  where.select();
}

export function toggleSidebar() {
  update({ sidebar: !state.sidebar });
}

/** Make the images larger or smaller, by one size of the scale; beyond the largest the smallest follows. */
export function resize(by, wraps = true) {
  const here = CELL_PX.findIndex((px) => px >= state.cellPx);
  const to = here + by;
  update({ cellPx: CELL_PX[wraps ? (to + CELL_PX.length) % CELL_PX.length : Math.max(0, Math.min(CELL_PX.length - 1, to))] });
}

export function toggleTheme() {
  const isDark = document.documentElement.dataset.theme === "dark";
  update({ theme: isDark ? "light" : "dark" });
}

function applyTheme() {
  const wants = state.theme === "auto" ? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light") : state.theme;
  document.documentElement.dataset.theme = wants;
}

function showRuns() {
  const many = state.runs.length > 1;
  fill(
    runs,
    state.runs.map((run) =>
      many
        ? h("button", { type: "button", class: "chip run", title: run.path, "aria-pressed": String(run.on), data: { run: run.index }, on: { click: () => toggleRun(run) } }, dot(run.color), run.name)
        : h("span", { class: "run-name", title: run.path, text: run.name }),
    ),
  );
}

/** A spot in a run's colour. */
export function dot(color) {
  const spot = h("span", { class: "dot" });
  spot.style.setProperty("--color", color);
  return spot;
}

function toggleRun(run) {
  run.on = !run.on;
  update({ runs: state.runs, data: state.data + 1 });
}

let shownRanks = "";
function showRanks() {
  const all = [...new Set(state.runs.flatMap((run) => [...run.table.ranks]))].sort((a, b) => a - b);
  const said = `${all} ${[...state.ranksOff]}`;
  if (said === shownRanks) return;
  shownRanks = said;
  if (all.length < 2) return void fill(ranks);
  if (all.length > RANKS_AS_CHIPS) return void fill(ranks, rankField(all));
  fill(
    ranks,
    h("span", { class: "dim", text: "rank" }),
    all.map((rank) => h("button", { type: "button", class: "chip", data: { rank }, "aria-pressed": String(!state.ranksOff.has(rank)), "aria-label": `Rank ${rank}`, on: { click: () => setRanksOff(toggled(state.ranksOff, [rank], !state.ranksOff.has(rank))) } }, String(rank))),
  );
}

function rankField(all) {
  const field = h("input", {
    id: "ranks",
    class: "number",
    type: "text",
    placeholder: `0–${all.at(-1)}`,
    "aria-label": "Ranks, such as 0-3, 8",
    title: "Ranks, such as 0-3, 8; empty for all",
    on: { change: () => setRanksOff(new Set(field.value.trim() ? all.filter((rank) => !ranksIn(field.value).has(rank)) : [])) },
  });
  return [h("span", { class: "dim", text: "ranks" }), field];
}

/** The numbers of "0-3, 8". */
export function ranksIn(text) {
  const found = new Set();
  for (const part of text.split(/[\s,]+/).filter(Boolean)) {
    const [first, last = first] = part.split(/[-–]/).map(Number);
    for (let rank = first; rank <= last && rank - first < 100_000; rank++) found.add(rank);
  }
  return found;
}

function setRanksOff(ranksOff) {
  update({ ranksOff, data: state.data + 1 });
}

function showMatching() {
  if (document.activeElement !== where) where.value = state.where;
  whereError.hidden = !state.whereError;
  whereError.textContent = state.whereError;
  where.setAttribute("aria-invalid", String(Boolean(state.whereError)));
  if (state.isFiltering) return void (matching.textContent = "reading rows …");
  const filtered = state.runs.filter((run) => run.table.matches);
  if (!filtered.length) return void (matching.textContent = "");
  const passing = filtered.reduce((sum, run) => sum + run.table.matches.reduce((some, one) => some + one, 0), 0);
  matching.textContent = `${count(passing)} of ${plural(filtered.reduce((sum, run) => sum + run.table.count, 0), "row")}`;
}

function showCounters() {
  const daemons = state.runs.map((run) => run.daemon).filter(Boolean);
  const sum = (name) => daemons.reduce((total, daemon) => total + daemon[name], 0);
  const totals = [0, 0, 0, 0];
  for (const run of state.runs) for (const of of run.table.idsOfKey) of.states.forEach((some, at) => (totals[at] += some));
  const newestS = Math.max(0, ...state.runs.map((run) => run.table.newestS));
  const problems = state.runs.reduce((total, run) => total + run.problems, 0);
  const live = daemons.length > 0;
  const exported = state.runs.find((run) => run.exported)?.exported;
  fill(
    counters,
    connection.lost
      ? h("span", { class: "state lost", text: "connection lost, trying again" })
      : h("span", { class: `state ${live ? "live" : ""}`, title: live ? plural(sum("clients"), "client") : "No daemon is writing these runs" }, h("span", { class: "pulse" }), live ? "live" : exported ? `exported ${exported}` : newestS ? `last image ${ago(newestS)}` : "no images yet"),
    live && h("span", { class: "tabular", title: "Images that the daemon has and has not saved yet", text: `${count(sum("queued"))} queued` }),
    live && h("span", { class: "tabular wide-only", text: `${number(sum("images_per_s"), 3)} img/s` }),
    h("span", { class: "tabular wide-only", text: `${count(totals[0])} saved` }),
    totals[1] > 0 && h("span", { class: "tabular failed", text: `${count(totals[1])} failed` }),
    totals[2] > 0 && h("span", { class: "tabular dropped", text: `${count(totals[2])} dropped` }),
    problems > 0 && h("span", { class: "tabular failed", title: "Lines of the manifest that are no rows; see  pixlog verify", text: `${count(problems)} unreadable` }),
    daemons.filter((daemon) => daemon.trouble).map((daemon) => h("span", { class: "failed", text: String(daemon.trouble) })),
  );
}

function showView() {
  for (const button of views.children) button.setAttribute("aria-pressed", String(button.dataset.view === state.view));
  document.body.classList.toggle("no-sidebar", !state.sidebar);
  document.documentElement.style.setProperty("--cell", `${state.cellPx}px`);
}

watch("runs", () => (showRuns(), showCounters()));
watch("data ranksOff", showRanks);
watch("data where whereError isFiltering", showMatching);
watch("view sidebar cellPx", showView);
watch("theme", applyTheme);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", applyTheme);
applyTheme();
showView();
