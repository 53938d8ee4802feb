// The heatmap: a real table, one Tab stop, arrow keys from cell to cell.
function cell(entry, top) {
  if (!entry) return el("span", { class: "cell none" }, el("span", { "aria-hidden": "true" }, "–"), el("span", { class: "unseen" }, "not measured"));
  const value = entry.gain[0];
  const words = ["cell", known(value) ? (value < 0 ? "harms" : "gains") : "none", clear(entry) ? "sure" : "unsure"];
  if (entry.own) words.push("own");
  const node = el("a", {
    href: linkTo(entry), class: words.join(" "), tabindex: -1, "aria-label": lines(entry).join("; "),
    "--t": known(value) ? Math.min(1, Math.abs(value) / top).toFixed(3) : null,
  }, el("span", { class: sure(entry) ? "dot" : null }, signed(value)));
  return tipped(node, () => lines(entry));
}

function walk(event) {
  const moves = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] };
  const move = moves[event.key];
  const here = event.target.closest("td");
  if (!move || !here) return;
  event.preventDefault();
  const rows = [...here.closest("tbody").rows];
  let [i, j] = [rows.indexOf(here.parentNode), here.cellIndex];
  for (;;) {
    i += move[0]; j += move[1];
    const next = rows[i] && rows[i].cells[j];
    if (!next || next.tagName !== "TD") return;
    const link = next.querySelector("a");
    if (link) {
      here.querySelector("a").tabIndex = -1;
      link.tabIndex = 0;
      link.focus();
      return;
    }
  }
}

function matrix(setting) {
  const mine = of(setting);
  const sources = board.sources.map((_, i) => i).filter((i) => mine.some((e) => e.source === i));
  const targets = board.targets.map((_, i) => i).filter((i) => mine.some((e) => e.target === i));
  const found = new Map();
  for (const entry of mine) if (!found.has(`${entry.source} ${entry.target}`)) found.set(`${entry.source} ${entry.target}`, entry);
  const top = half(mine.map((e) => e.gain[0]));
  const head = el("tr", null, el("td", { class: "faded" }, el("span", { class: "unseen" }, "source, by target")),
    targets.map((t) => el("th", { scope: "col" }, name(board.targets[t]))));
  const body = el("tbody", { onkeydown: walk }, sources.map((s) => el("tr", null, el("th", { scope: "row" }, name(board.sources[s])),
    targets.map((t) => el("td", null, cell(found.get(`${s} ${t}`), top))))));
  const first = body.querySelector("a");
  if (first) first.tabIndex = 0;
  const table = el("table", { class: "matrix" },
    el("caption", { class: "unseen" }, "Gain over the untrained model in points, source by target. Each cell links to its pair."), el("thead", null, head), body);
  return [el("div", { class: "scroll" }, table), legend(top)];
}

function legend(top) {
  const key = (words, mark, text, t) => el("span", null, el("span", { class: `cell swatch ${words}`, "--t": t }, mark), text);
  return el("div", { class: "legend", "aria-hidden": "true" },
    el("span", { class: "ramp" }, signed(-top), el("i"), signed(top), " points"),
    key("gains sure", el("span", { class: "dot" }, "+9"), "differs from 0 after Holm", 0.6), key("gains unsure", "+2", "does not", 0.4),
    key("own", "", "the target's own domain"), key("none", "–", "not measured or not defined"));
}

function showMatrix() {
  const plot = el("div", { class: "card" });
  const choose = (i) => swap(plot, matrix(settings[i]));
  const controls = el("div", { class: "controls" });
  if (settings.length > 1) controls.append(select("Model and recipe", settings.map((s, i) => [i, settingName(s)]), 0, choose));
  choose(0);
  swap(place("matrix-body"), controls, plot);
}
