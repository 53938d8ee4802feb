// What is shown when: the whole board, or the page of one entry (#entry=3); and the light.
const theme = place("theme");
const LIGHTS = ["auto", "light", "dark"];
function setLight(choice) {
  if (choice === "auto") document.documentElement.removeAttribute("data-theme");
  else document.documentElement.dataset.theme = choice;
  theme.textContent = `Theme: ${choice}`;
  theme.dataset.choice = choice;
}
theme.addEventListener("click", () => {
  const next = LIGHTS[(LIGHTS.indexOf(theme.dataset.choice) + 1) % LIGHTS.length];
  setLight(next);
  try { localStorage.setItem("xferbench-theme", next); } catch { /* a page that may store nothing still has its button */ }
});
let kept = null;
try { kept = localStorage.getItem("xferbench-theme"); } catch { /* likewise */ }
setLight(LIGHTS.includes(kept) ? kept : "auto");
theme.hidden = false;

let drawn = null;
function showBoard() {
  if (!drawn) {
    showMatrix();
    showSources();
    showStandings("recipes-body", board.standings.recipes, recipeCard, "It takes two recipes on the same pairs to rank recipes; this board has one.");
    showStandings("predictors-body", board.standings.predictors, predictorCard, "No entry of this board has attribution scores.");
    drawn = board.scorers.length ? showScatter() : () => {};
    showEntries();
  }
  onresize = drawn;
  document.title = board.title;
}
function route() {
  hideTip();
  const asked = /^#entry=(\d+)$/.exec(location.hash);
  const entry = asked && entries[Number(asked[1])];
  place("pair").hidden = !entry;
  place("board").hidden = Boolean(entry);
  if (entry) {
    showPair(entry);
    return;
  }
  showBoard();
  const section = /^#[a-z-]+$/.test(location.hash) && document.querySelector(location.hash);
  if (section) section.scrollIntoView();
}
addEventListener("hashchange", route);
if (entries.length) route();
else showEntries();
