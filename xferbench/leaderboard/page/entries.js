// The table of all entries: sorted by any column, filtered, some rows at a time however many there are.
const STEP = 50;
const rankOfLabel = (entry) => ["strong", "weak", "none", "inconclusive", "negative"].indexOf(labelOf(entry));
const score = (entry, i) => entry.means[i];
// key, title, class, value to sort by (numbers start with the largest), what is shown
const COLUMNS = [
  ["pair", "source → target", "", (e) => `${sourceOf(e)} ${targetOf(e)}`, (e) => el("a", { href: linkTo(e) }, arrow(e))],
  ["recipe", "recipe", "", recipeOf, (e) => name(recipeOf(e))],
  ["model", "model", "minor", modelOf, (e) => name(modelOf(e))],
  ["submitter", "by", "", submitterOf, (e) => name(submitterOf(e))],
  ["baseline", "before", "number minor", (e) => score(e, 0), (e) => points(score(e, 0))],
  ["transfer", "after", "number minor", (e) => score(e, 1), (e) => points(score(e, 1))],
  ["direct", "direct", "number minor", (e) => score(e, 2), (e) => points(score(e, 2))],
  ["gain", "gain", "number", (e) => e.gain[0], (e) => (clear(e) ? el("b", null, signed(e.gain[0])) : signed(e.gain[0]))],
  ["low", "95 % interval", "number", (e) => e.gain[1], (e) => range(e.gain[1], e.gain[2], signed) || el("span", { title: said(e.gain_reason) }, "none")],
  ["holm", "p, Holm", "number minor", (e) => (known(e.gain[4]) ? -e.gain[4] : null), (e) => chance(e.gain[4])],
  ["mde", "MDE", "number minor", (e) => e.gain[5], (e) => points(e.gain[5])],
  ["label", "label", "", (e) => -rankOfLabel(e), (e) => el("span", { class: `chip ${labelOf(e)}` }, labelOf(e))],
  ["seeds", "seeds", "number minor", (e) => e.seeds, (e) => String(e.seeds)],
  ["n", "items", "number minor", (e) => e.n, (e) => String(e.n || "–")],
  ["badge", "badge", "minor", badgeOf, (e) => badgeOf(e)],
];
// A column that says the same in every row says nothing.
const shownColumns = () => COLUMNS.filter(([key]) => !["model", "recipe", "submitter"].includes(key) || board[`${key}s`].length > 1);
const view = { column: "gain", falling: true, shown: STEP, text: "", chosen: {}, found: entries };

// What is not known comes last, whichever way the rest is sorted; equals keep the board's order.
function sorted(list) {
  const value = COLUMNS.find((column) => column[0] === view.column)[3];
  const sign = view.falling ? -1 : 1;
  const keyed = list.map((entry) => [value(entry), entry]);
  keyed.sort(([a, x], [b, y]) => {
    if (!known(a) || !known(b)) return known(a) ? -1 : known(b) ? 1 : x.index - y.index;
    return sign * (typeof a === "string" ? (a < b ? -1 : a > b ? 1 : 0) : a - b) || x.index - y.index;
  });
  return keyed.map(([, entry]) => entry);
}

function filtered() {
  const words = view.text.toLowerCase().split(/\s+/).filter(Boolean);
  const asked = Object.entries(view.chosen).filter(([, value]) => value >= 0);
  return entries.filter((entry) => {
    if (asked.some(([field, value]) => entry[field] !== value)) return false;
    if (!words.length) return true;
    const text = `${sourceOf(entry)} → ${targetOf(entry)} ${recipeOf(entry)} ${modelOf(entry)} ${submitterOf(entry)} ${labelOf(entry)} ${badgeOf(entry)}`.toLowerCase();
    return words.every((word) => text.includes(word));
  });
}

function fillRows() {
  const rows = view.found.slice(0, view.shown);
  const columns = shownColumns();
  swap(place("rows"), rows.map((entry) => el("tr", null, columns.map(([, , words, , shown], i) =>
    (i ? el("td", { class: words || null }, shown(entry)) : el("th", { scope: "row" }, shown(entry)))))));
  place("more").hidden = view.found.length <= view.shown;
  place("count").textContent = `${rows.length} of ${view.found.length} ${view.found.length === 1 ? "entry" : "entries"} shown` + (view.found.length < entries.length ? `, ${entries.length} in all` : "");
}
function refresh() {
  view.shown = STEP;
  view.found = sorted(filtered());
  fillRows();
}

function sortBy(key, head) {
  const numbers = COLUMNS.find((column) => column[0] === key)[2].includes("number") || key === "label";
  view.falling = view.column === key ? !view.falling : numbers;
  view.column = key;
  for (const th of head.cells) th.removeAttribute("aria-sort");
  head.querySelector(`[data-key=${key}]`).setAttribute("aria-sort", view.falling ? "descending" : "ascending");
  refresh();
}

function showEntries() {
  const filters = [["Source", "source", sourceNames], ["Target", "target", targetNames], ["Recipe", "recipe", board.recipes],
    ["Model", "model", board.models], ["By", "submitter", board.submitters], ["Label", "label", board.labels], ["Badge", "badge", board.badges]];
  const search = el("input", { type: "search", id: "search", placeholder: "name, label, …", oninput: () => { view.text = search.value; refresh(); } });
  const controls = el("div", { class: "controls", role: "search" }, el("label", null, "Find", search));
  for (const [label, field, names] of filters) {
    if (names.length > 1) {
      controls.append(select(label, [[-1, "all"], ...names.map((text, i) => [i, text])], -1, (value) => { view.chosen[field] = value; refresh(); }));
    }
  }
  const head = el("tr");
  for (const [key, title, words] of shownColumns()) {
    head.append(el("th", { scope: "col", class: words || null, "data-key": key, "aria-sort": key === "gain" ? "descending" : null },
      el("button", { type: "button", onclick: () => sortBy(key, head) }, title)));
  }
  const more = el("button", { type: "button", id: "more", onclick: () => { view.shown += 4 * STEP; fillRows(); } }, "Show more");
  swap(place("entries-body"), controls, el("div", { class: "card" },
    el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Table of entries" },
      el("table", { class: "entries" }, el("caption", { class: "unseen" }, "All entries; the buttons in the head sort"), el("thead", null, head), el("tbody", { id: "rows" }))),
    el("div", { class: "more" }, more, el("span", { id: "count", "aria-live": "polite" }))));
  refresh();
}
