// The language of the filter field, as pixlog/view/expression.py defines it, for a page without a server.
//
// The text is parsed into functions of a row; nothing of it is ever run as code.

const MAX_LENGTH = 1000;
const MAX_DEPTH = 40;
const TOKEN = /\s*(?:(?<number>-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?<name>[\p{L}_][\p{L}\p{N}_]*(?:\.[\p{L}\p{N}_]+|\[\s*(?:"[^"]*"|'[^']*'|\d+)\s*\])*)|(?<sign><=|>=|==|!=|!~|&&|\|\||[<>=~!()]))/suy;
const PART = /\.?([\p{L}\p{N}_]+)|\[\s*(?:"([^"]*)"|'([^']*)'|(\d+))\s*\]/gu;
const WORDS = { and: "&&", or: "||", not: "!" };
const CONSTANTS = { true: true, false: false, none: null, null: null };

const own = (name) => (row) => row[name];
const ofFile = (name) => (row) => row.fields[name];
const FIELDS = {
  ...Object.fromEntries(["key", "step", "rank", "seq", "time", "state", "client", "reason", "host", "pid"].map((name) => [name, own(name)])),
  ...Object.fromEntries(["caption", "width", "height", "format", "count"].map((name) => [name, ofFile(name)])),
  notes: (row) => row.notes.join("; "),
  meta: (row) => row.images[0]?.meta ?? row.meta,
  input: (row) => row.images[0]?.input ?? null,
};

/** What a row has at a path such as ["meta", "score"]; null if it has nothing there. */
export function rowValue(row, path) {
  let value = FIELDS[path[0]](row);
  for (const part of path.slice(1)) {
    const isThere = Array.isArray(value) ? /^\d+$/.test(part) && Number(part) < value.length : value !== null && typeof value === "object" && Object.hasOwn(value, part);
    if (!isThere) return null;
    value = value[part];
  }
  return value ?? null;
}

/** Return the filter that `text` says as a function of a row; throws an Error with the place of a mistake. */
export function parseExpression(text) {
  if (text.length > MAX_LENGTH) throw new Error(`a filter has at most ${MAX_LENGTH} characters, got ${text.length}`);
  const parser = new Parser(text);
  const test = parser.readOr(0);
  parser.expectEnd();
  return (row) => isTrue(test(row));
}

class Parser {
  constructor(text) {
    Object.assign(this, { tokens: [], at: 0, end: text.length });
    let place = 0;
    while (text.slice(place).trim()) {
      TOKEN.lastIndex = place;
      const match = TOKEN.exec(text);
      if (!match) {
        const wrong = place + text.slice(place).length - text.slice(place).trimStart().length;
        throw new Error(`character ${wrong + 1}, '${text[wrong]}', begins nothing known`);
      }
      let [kind, word] = Object.entries(match.groups).find(([, found]) => found !== undefined);
      const begin = TOKEN.lastIndex - word.length + 1;
      if (kind === "name" && Object.hasOwn(WORDS, word.toLowerCase())) [kind, word] = ["sign", WORDS[word.toLowerCase()]];
      this.tokens.push([kind, word, begin]);
      place = TOKEN.lastIndex;
    }
  }

  readOr(depth) {
    if (depth > MAX_DEPTH) throw new Error(`parentheses and not nest at most ${MAX_DEPTH} deep`);
    const terms = [this.readAnd(depth)];
    while (this.took("||")) terms.push(this.readAnd(depth));
    return terms.length === 1 ? terms[0] : (row) => terms.some((term) => isTrue(term(row)));
  }

  expectEnd() {
    if (this.at >= this.tokens.length) return;
    const [, word, place] = this.tokens[this.at];
    throw new Error(`character ${place}: expected a comparison, and, or, or the end, got '${word}'`);
  }

  readAnd(depth) {
    const terms = [this.readNot(depth)];
    while (this.took("&&")) terms.push(this.readNot(depth));
    return terms.length === 1 ? terms[0] : (row) => terms.every((term) => isTrue(term(row)));
  }

  readNot(depth) {
    if (depth > MAX_DEPTH) throw new Error(`parentheses and not nest at most ${MAX_DEPTH} deep`);
    if (!this.took("!")) return this.readComparison(depth);
    const term = this.readNot(depth + 1);
    return (row) => !isTrue(term(row));
  }

  readComparison(depth) {
    const left = this.readOperand(depth);
    const [kind, sign] = this.tokens[this.at] ?? [];
    if (kind !== "sign" || !Object.hasOwn(COMPARISONS, sign)) return left;
    this.at++;
    const right = this.readOperand(depth);
    return (row) => COMPARISONS[sign](left(row), right(row));
  }

  readOperand(depth) {
    if (this.at >= this.tokens.length) throw new Error(`character ${this.end + 1}: expected a name, a number or a text, got the end`);
    const [kind, word, place] = this.tokens[this.at++];
    if (kind === "number") return () => Number(word);
    if (kind === "text") return () => word.slice(1, -1).replace(/\\(.)/gsu, "$1");
    if (kind === "name") return this.name(word, place);
    if (word !== "(") throw new Error(`character ${place}: expected a name, a number or a text, got '${word}'`);
    const inner = this.readOr(depth + 1);
    if (!this.took(")")) throw new Error(`character ${place}: this parenthesis is not closed`);
    return inner;
  }

  name(word, place) {
    if (Object.hasOwn(CONSTANTS, word.toLowerCase())) return () => CONSTANTS[word.toLowerCase()];
    const path = [...word.matchAll(PART)].map((match) => match.slice(1).find((part) => part));
    if (!Object.hasOwn(FIELDS, path[0])) throw new Error(`character ${place}: there is no field '${path[0]}', did you mean meta.${path[0]}? Fields: ${Object.keys(FIELDS).join(", ")}`);
    return (row) => rowValue(row, path);
  }

  took(sign) {
    const [kind, word] = this.tokens[this.at] ?? [];
    const took = kind === "sign" && word === sign;
    this.at += took;
    return took;
  }
}

/** Whether a value is there and not false, 0 or empty. */
function isTrue(value) {
  if (value !== null && typeof value === "object") return (Array.isArray(value) ? value : Object.keys(value)).length > 0;
  return Boolean(value);
}

const isNumber = (value) => typeof value === "number" || typeof value === "boolean";

const ordered = (compare) => (left, right) => ((isNumber(left) && isNumber(right)) || (typeof left === "string" && typeof right === "string")) && compare(left, right);

function isEqual(left, right) {
  if (isNumber(left) && isNumber(right)) return Number(left) === Number(right);
  if (left === null || right === null || typeof left !== "object" || typeof right !== "object") return left === right;
  return JSON.stringify(left) === JSON.stringify(right);
}

const textOf = (value) => (typeof value === "string" ? value : JSON.stringify(value)).toLowerCase();
const contains = (left, right) => left !== null && right !== null && textOf(left).includes(textOf(right));

const COMPARISONS = {
  "<": ordered((left, right) => left < right),
  "<=": ordered((left, right) => left <= right),
  ">": ordered((left, right) => left > right),
  ">=": ordered((left, right) => left >= right),
  "==": isEqual,
  "=": isEqual,
  "!=": (left, right) => !isEqual(left, right),
  "~": contains,
  "!~": (left, right) => !contains(left, right),
};
