// The images that were chosen for comparing, at hand until they are compared or let go.

import { getRow } from "./api.js";
import { sameRef } from "./cell.js";
import { openCompare } from "./compare.js";
import { fill, h, iconButton } from "./dom.js";
import { axisName, axisValue } from "./format.js";
import { state, update, watch } from "./state.js";

export const tray = h("aside", { class: "tray", "aria-label": "Chosen for comparing", hidden: true });

export function compareChosen() {
  if (state.compared.length > 1) openCompare(state.compared, tray.querySelector("button"));
}

async function show() {
  const chosen = state.compared;
  tray.hidden = chosen.length === 0;
  const rows = await Promise.all(chosen.map((ref) => getRow(ref.run, ref.id).catch(() => null)));
  if (chosen !== state.compared) return;
  fill(
    tray,
    h("ul", {}, chosen.map((ref, at) => h("li", {}, h("span", { text: rows[at]?.key ?? "?" }), h("span", { class: "dim tabular", text: `${axisName(state.axis)} ${axisValue(state.axis, state.runs[ref.run].table.value(ref.id))}` }), iconButton("close", `Take out ${rows[at]?.key ?? ""}`, () => update({ compared: state.compared.filter((one) => !sameRef(one, ref)) }), { class: "icon-button quiet" })))),
    h("button", { type: "button", class: "primary", id: "compare", disabled: chosen.length < 2, on: { click: compareChosen } }, chosen.length < 2 ? "choose another" : `Compare ${chosen.length}`),
    h("button", { type: "button", class: "text-button", on: { click: () => update({ compared: [] }) } }, "clear"),
  );
}

watch("compared axis", show);
