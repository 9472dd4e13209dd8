// Where the page's answers come from: the viewer's server. An exported page has other answers under the same names.

import { joined } from "./address.js";
import { unpack } from "./packed.js";

/** Whether rows may come while the page is open. */
export const isLive = true;

export class ApiError extends Error {}

let mark = "";

/** Take over the mark of this start of the server, under which the browser keeps what it fetched. */
export function setMark(next) {
  mark = next;
}

async function ask(path, options = {}) {
  const response = await fetch(path, options);
  if (!response.ok) {
    let said = `${response.status}`;
    try {
      said = (await response.json()).error;
    } catch {
      // Not ours: a proxy's page, say.
    }
    throw new ApiError(said);
  }
  return response;
}

async function json(path, options) {
  return (await ask(path, options)).json();
}

async function packed(path) {
  return unpack(await (await ask(path)).arrayBuffer());
}

async function bitmap(path) {
  const blob = await (await ask(path)).blob();
  try {
    return await createImageBitmap(blob, { colorSpaceConversion: "none" });
  } catch {
    throw new ApiError("this file does not decode");
  }
}

const query = (params) => joined(Object.entries(params));

export const state = () => json("api/state");
export const changes = (signal) => json("api/changes", { signal });
export const table = (run, from, keys, clients) => packed(`api/runs/${run}/table?${query({ from, keys, clients })}`);
export const metaNames = (run) => json(`api/runs/${run}/meta-names`);
export const meta = (run, name, from) => packed(`api/runs/${run}/meta?${query({ name, from })}`);
export const matches = (run, where, from) => packed(`api/runs/${run}/matches?${query({ where, from })}`);
export const filterError = (where) => json(`api/filter-error?${query({ where })}`);
export const order = (run, by) => packed(`api/runs/${run}/order?${query({ by })}`);
export const lengths = (run, key) => packed(`api/runs/${run}/lengths?${query({ key })}`);
export const linked = (run, id) => json(`api/runs/${run}/linked?id=${id}`);
export const rows = (run, ids) => json(`api/runs/${run}/rows?ids=${ids.join(",")}`);
export const picture = (run, id, image) => bitmap(`picture/${run}/${id}/${image}?v=${mark}`);
export const thumbnail = (run, id, image, side) => bitmap(`thumbnail/${run}/${id}/${image}/${side}?v=${mark}`);
export const values = (run, id, image) => packed(`api/runs/${run}/values?${query({ id, image, v: mark })}`);
export const mask = (run, id, image, group) => packed(`api/runs/${run}/mask?${query({ id, image, group, v: mark })}`);
export const overlays = (run, id, image) => json(`api/runs/${run}/overlays?${query({ id, image, v: mark })}`);

/** What a link needs to save the stored file: {href, name, release}; the server names the file. */
export const download = async (run, id, image) => ({ href: `media/${run}/${id}/${image}?download&v=${mark}`, name: "", release: () => {} });
