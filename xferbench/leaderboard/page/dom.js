// Small tools of the page. Text always goes in as text: nothing here, or anywhere in the page, parses HTML.
const SVG = "http://www.w3.org/2000/svg";
const MINUS = "\u2212";

function fill(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key.startsWith("--")) node.style.setProperty(key, value);
    else node.setAttribute(key, value === true ? "" : value);
  }
  for (const child of children.flat(3)) if (child !== null && child !== undefined) node.append(child);
  return node;
}
const el = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const draw = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);
const name = (text) => el("bdi", null, text);
const place = (id) => document.getElementById(id);
const swap = (node, ...children) => node.replaceChildren(...children.flat(3));

const known = (value) => value !== null && value !== undefined;
const minus = (text) => text.replace("-", MINUS);
const points = (value) => (known(value) ? minus((100 * value).toFixed(1)) : "–");
function signed(value) {
  if (!known(value)) return "–";
  const shown = (100 * value).toFixed(1);
  return Number(shown) === 0 ? "0.0" : (value > 0 ? "+" : "") + minus(shown);
}
const decimal = (value, digits) => (known(value) ? minus(value.toFixed(digits)) : "–");
const range = (low, high, form) => (known(low) && known(high) ? `[${form(low)}, ${form(high)}]` : "");
const chance = (p) => (!known(p) ? "–" : p < 0.0001 ? "< 0.0001" : p.toFixed(4));
const short = (text, most) => (text.length > most ? text.slice(0, most - 1) + "…" : text);

function select(label, options, chosen, change) {
  const node = el("select", { onchange: () => change(Number(node.value)) },
    options.map(([value, text]) => el("option", { value, selected: value === chosen }, text)));
  return el("label", null, label, node);
}

// Round steps for an axis from low to high: about `count` of them.
function ticks(low, high, count) {
  const raw = (high - low || 1) / count;
  const unit = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((m) => m * unit).find((s) => s >= raw * 0.999);
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i++) found.push(i * step);
  return found;
}
const tickText = (value) => minus(String(Number(value.toPrecision(6))));
