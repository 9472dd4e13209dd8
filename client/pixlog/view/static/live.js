// Keeps the tables as long as the runs: asks once a second what came, and fetches only that.

import * as api from "./api.js";
import { state, update, watch } from "./state.js";
import { RunTable } from "./table.js";

const EVERY_MS = 1000;
const EVERY_HIDDEN_MS = 10_000;
const COLORS = ["#4c8dd6", "#d98036", "#4fa36a", "#b565c4", "#c9a227", "#3aa6a6", "#d2556b", "#8a8f98"];

let timer = 0;
let isPolling = false;
export const connection = { lost: false };

/** Read the runs and all their rows, then keep up. */
export async function start() {
  await load();
  if (!api.isLive) return;
  timer = setTimeout(poll, EVERY_MS);
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return;
    clearTimeout(timer);
    poll();
  });
}

async function load() {
  const said = await api.getState();
  api.setMark(said.mark);
  const before = new Map(state.runs.map((run) => [run.path, run]));
  const runs = said.runs.map((run, index) => ({ color: COLORS[index % COLORS.length], on: true, table: new RunTable(), daemon: null, problems: 0, ...pick(before.get(run.path)), ...run, index }));
  for (const run of runs) run.table.clear();
  await Promise.all(runs.map(fetchTable));
  update({ runs, data: state.data + 1 });
  await refilter();
}

const pick = (run) => (run ? { color: run.color, on: run.on } : {});

async function fetchTable(run) {
  const { table } = run;
  return table.append(await api.getTable(run.index, table.count, table.keys.length, table.clients));
}

/** Ask what came, and go on asking. Whoever comes while an answer is waited for, as a tab that is looked at again, has that. */
async function poll() {
  if (isPolling) return;
  isPolling = true;
  try {
    const said = await api.getChanges(AbortSignal.timeout(8000));
    if (api.setMark(said.mark)) await load();
    let added = 0;
    for (const [index, change] of said.runs.entries()) {
      const run = state.runs[index];
      run.daemon = change.daemon;
      run.problems = change.problems;
      if (change.rows > run.table.count) added += await fetchTable(run);
      added += await extendScans(run);
    }
    if (added) update({ data: state.data + 1 });
    connection.lost = false;
  } catch {
    connection.lost = true;
  }
  update({ runs: state.runs });
  isPolling = false;
  timer = setTimeout(poll, document.hidden ? EVERY_HIDDEN_MS : EVERY_MS);
}

function whole() {
  const caption = state.caption.trim();
  const quoted = `"${caption.replace(/[\\"]/g, "\\$&")}"`;
  const parts = [state.where.trim() && `(${state.where.trim()})`, caption && `caption ~ ${quoted}`];
  return parts.filter(Boolean).join(" and ");
}

/**
 * Bring what the filter and the axis say of the rows to the table's length; returns how many rows that was.
 *
 * Rows may be logged between two answers, so each answer begins where the one before it ended and is cut to the rows
 * that the table has. It is dropped if another filter or axis came meanwhile.
 */
async function extendScans({ index, table }) {
  const { matches, axisValues, scanned } = table;
  let added = 0;
  if (matches && matches.length < table.count) {
    const more = (await api.getMatches(index, scanned.where, matches.length)).match;
    if (table.matches === matches) added += (table.matches = joined(matches, more, table.count)).length - matches.length;
  }
  if (axisValues && axisValues.length < table.count) {
    const more = (await api.getMeta(index, scanned.axis.slice(5), axisValues.length)).value;
    if (table.axisValues === axisValues) added += (table.axisValues = joined(axisValues, more, table.count)).length - axisValues.length;
  }
  return added;
}

function joined(one, other, length) {
  const both = new one.constructor(Math.min(one.length + other.length, length));
  both.set(one);
  both.set(other.subarray(0, both.length - one.length), one.length);
  return both;
}

/** Ask which rows pass the filter and where they lie on the axis, where the index alone does not say. */
export async function refilter() {
  const where = whole();
  const axis = state.axis;
  update({ isFiltering: Boolean(where) || axis.startsWith("meta:") });
  try {
    // The user's own text is asked first, so that a mistake is reported at its place in it.
    const { error } = state.where.trim() ? await api.getFilterError(state.where) : { error: "" };
    if (error) throw new api.ApiError(error);
    await Promise.all(
      state.runs.map(async ({ index, table }) => {
        const matches = where ? (await api.getMatches(index, where, 0)).match : null;
        const axisValues = axis.startsWith("meta:") ? (await api.getMeta(index, axis.slice(5), 0)).value : null;
        if (where !== whole() || axis !== state.axis) return;
        const cut = (values) => values?.subarray(0, table.count) ?? null;
        Object.assign(table, { matches: cut(matches), axisValues: cut(axisValues), scanned: { where, axis }, filterVersion: (table.filterVersion ?? 0) + 1 });
      }),
    );
    if (where === whole() && axis === state.axis) update({ whereError: "", isFiltering: false, data: state.data + 1 });
  } catch (error) {
    update({ whereError: error.message, isFiltering: false });
  }
}

watch("where caption axis", refilter);
