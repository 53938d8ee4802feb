// One tip for the whole page, by mouse and by keyboard alike; Escape puts it away.
const tip = place("tip");

function showTip(target, text) {
  swap(tip, text.map((line) => el("p", null, line)));
  tip.hidden = false;
  const box = target.getBoundingClientRect();
  const mine = tip.getBoundingClientRect();
  const left = Math.min(Math.max(8, box.left + box.width / 2 - mine.width / 2), innerWidth - mine.width - 8);
  const above = box.top - mine.height - 8;
  tip.style.left = `${Math.max(8, left)}px`;
  tip.style.top = `${above > 8 ? above : box.bottom + 8}px`;
}
const hideTip = () => { tip.hidden = true; };
function tipped(node, text) {
  node.addEventListener("mouseenter", () => showTip(node, text()));
  node.addEventListener("focus", () => showTip(node, text()));
  node.addEventListener("mouseleave", hideTip);
  node.addEventListener("blur", hideTip);
  return node;
}
addEventListener("keydown", (event) => { if (event.key === "Escape") hideTip(); });
addEventListener("scroll", hideTip, { passive: true });
