// Everything that is known of a row, as a list of names and values.

import { getDownload } from "./api.js";
import { fill, h, icon } from "./dom.js";
import { moment, nbytes, number } from "./format.js";
import { state } from "./state.js";

const INPUT_FIRST = ["rule", "dtype", "shape", "layout", "origin", "min", "max", "nan", "posinf", "neginf"];

/** Fill `panel` with the facts of image `image` (or null) of `row`. */
export function fillDetails(panel, run, row, image) {
  fill(
    panel,
    row.reason && h("p", { class: row.state === "dropped" ? "dropped" : "failed", text: `${row.state}: ${row.reason}` }),
    row.notes.map((note) => h("p", { class: "dim", text: note })),
    part("Row", [
      ["run", state.runs.length > 1 && state.runs[run].name],
      ["step", row.step],
      ["rank", row.worldSize ? `${row.rank} of ${row.worldSize}` : row.rank],
      ["logged", moment(row.time)],
      ["state", row.state],
      ["by", `${row.client} #${row.seq}`],
      ["host", row.host && `${row.host}, pid ${row.pid}`],
      ["call", row.call],
    ]),
    part("Meta", Object.entries(image?.meta ?? row.meta).map(([name, value]) => [name, plain(value)])),
    image && part("Input", inputFacts(image.input)),
    image?.path && part("File", [["path", image.path, "copyable"], ["size", `${nbytes(image.nbytes)}${image.width ? `, ${image.width}×${image.height}` : ""}`], ["sha256", image.sha256, "copyable"]]),
    image?.url && part("Reference", [["url", image.url, "copyable"]]),
  );
}

function part(title, facts) {
  const shown = facts.filter(([, value]) => value !== undefined && value !== null && value !== false && value !== "");
  if (!shown.length) return null;
  return h("section", {}, h("h3", { text: title }), h("dl", {}, shown.map(([name, value, kind]) => [h("dt", { text: name }), h("dd", { class: kind ?? "" }, kind === "copyable" ? copyable(String(value)) : String(value))])));
}

function inputFacts(input) {
  const names = [...INPUT_FIRST, ...Object.keys(input)].filter((name, at, all) => all.indexOf(name) === at && input[name] !== undefined && !["kind", "masks", "classes", "meta"].includes(name));
  return names.filter((name) => !(["nan", "posinf", "neginf"].includes(name) && input[name] === 0)).map((name) => [name, Array.isArray(input[name]) ? input[name].join(" × ") : plain(input[name])]);
}

function plain(value) {
  if (typeof value === "number") return number(value, 7);
  return typeof value === "string" ? value : JSON.stringify(value);
}

function copyable(text) {
  const button = h("button", { type: "button", class: "copy", title: "Copy", on: { click: () => copy(text, button) } }, h("span", { text }), icon("copy"));
  return button;
}

/** Put a text onto the clipboard and say so on the button. */
export async function copy(text, button) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Over plain http only this machine's own names may use the clipboard; a selection can always be copied.
    const field = h("textarea", { class: "offscreen", value: text });
    (document.querySelector("dialog[open]") ?? document.body).append(field);
    field.select();
    document.execCommand("copy");
    field.remove();
  }
  button?.classList.add("copied");
  setTimeout(() => button?.classList.remove("copied"), 900);
}

/** Save the stored file under its own name. */
export async function download(run, row, image) {
  const { href, name, release } = await getDownload(run, row.id, image.index);
  const link = h("a", { href, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  release();
}
