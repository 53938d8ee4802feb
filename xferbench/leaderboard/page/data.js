// The board as the build wrote it: names once, each entry an array in the order of FIELDS.
const board = JSON.parse(place("data").textContent);
const CONDITIONS = ["baseline", "transfer", "direct", "sequential", "joint", "placebo"];
const CONTRASTS = ["efficiency", "relative_transfer", "direct_gap", "sequential_gain", "joint_gain", "placebo_gain"];
const COLOURS = ["#8a857b", "#0072b2", "#009e73", "#d55e00", "#b0568c", "#a6a196"];

// What only the page of an entry shows is a text until somebody asks for it.
class Entry {
  constructor(row, index) {
    this.index = index;
    board.fields.forEach((field, i) => { this[field] = row[i]; });
  }
  get details() {
    const value = JSON.parse(board.details[this.index]);
    Object.defineProperty(this, "details", { value });
    return value;
  }
}
board.detail_fields.forEach((field, i) => Object.defineProperty(Entry.prototype, field, { get() { return this.details[i]; } }));
const entries = board.entries.map((row, index) => new Entry(row, index));
board.entries = null;
const placeOf = (entry) => {
  const names = ["source", "target", "recipe"].map((kind) => board.slugs[`${kind}s`][entry[kind]]);
  return `entries/${board.slugs.models[entry.model]}/${[...names, entry.id].join("--")}.json`;
};
const said = (at) => (known(at) ? board.strings[at] : "");
// The start that all names share is cut where they are shown, and given back where an entry is on its own.
const fullSource = (entry) => board.sources[entry.source];
const fullTarget = (entry) => board.targets[entry.target];
const sourceNames = board.sources.map((text) => text.slice(board.prefix.length));
const targetNames = board.targets.map((text) => text.slice(board.prefix.length));
const sourceOf = (entry) => sourceNames[entry.source];
const targetOf = (entry) => targetNames[entry.target];
const recipeOf = (entry) => board.recipes[entry.recipe];
const modelOf = (entry) => board.models[entry.model];
const submitterOf = (entry) => board.submitters[entry.submitter];
const labelOf = (entry) => board.labels[entry.label];
const badgeOf = (entry) => board.badges[entry.badge];
const arrow = (entry) => [name(sourceOf(entry)), " → ", name(targetOf(entry))];
const linkTo = (entry) => `#entry=${entry.index}`;
const sure = (entry) => known(entry.gain[4]) && entry.gain[4] <= 0.05;
const clear = (entry) => sure(entry) || (entry.own === 1 && known(entry.gain[1]) && (entry.gain[1] > 0 || entry.gain[2] < 0));
const half = (list) => list.reduce((most, value) => (known(value) ? Math.max(most, Math.abs(value)) : most), 0.01);

const settings = []; // every model and recipe that has entries, in the order of the board
for (const entry of entries) {
  if (!settings.some((s) => s.model === entry.model && s.recipe === entry.recipe)) {
    settings.push({ model: entry.model, recipe: entry.recipe });
  }
}
const settingName = (s) => {
  const parts = [];
  if (board.models.length > 1) parts.push(board.models[s.model]);
  parts.push(board.recipes[s.recipe]);
  return parts.join(" · ");
};
const of = (setting) => entries.filter((e) => e.model === setting.model && e.recipe === setting.recipe);

// What a reader of any kind is told about one entry: the tip shows it, the label of the cell says it.
function lines(entry) {
  const [value, low, high, , holm, mde] = entry.gain;
  const found = [`${sourceOf(entry)} → ${targetOf(entry)}`];
  if (!known(value)) return [...found, `no gain: ${said(entry.gain_reason) || "not measured"}`];
  found.push(`gain ${signed(value)} points` + (known(low) ? `, 95 % ${signed(low)} to ${signed(high)}` : `; no interval: ${said(entry.gain_reason)}`));
  const [before, after] = entry.means;
  if (known(before) && known(after)) found.push(`score ${points(before)} before, ${points(after)} after`);
  found.push(labelOf(entry) + (known(holm) ? `; p ${chance(holm)} after Holm` : entry.own ? "; the target's own domain" : ""));
  found.push(`${entry.n || "unknown"} items, ${entry.seeds} seed${entry.seeds === 1 ? "" : "s"}` + (known(mde) ? `; smallest gain found with 80 % power ${points(mde)}` : ""));
  return found;
}
