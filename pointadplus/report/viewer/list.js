// The list of the scans: their order, and which of them are there.

const list = { order: "score", name: "", score: 0, alarms: false, shown: [] };

function wanted(scan) {
  const named = scan.name.toLowerCase().includes(list.name.toLowerCase());
  return named && scan.objectScore >= list.score && (!list.alarms || KINDS[scan.badge] === "bad");
}

function listScans() {
  list.shown = scans.map((_, index) => index).filter((index) => wanted(scans[index]));
  if (list.order === "score") list.shown.sort((a, b) => scans[b].objectScore - scans[a].objectScore);
  element("scans").replaceChildren(...list.shown.map(listItem));
  for (const button of element("sorting").children) {
    button.setAttribute("aria-pressed", String(button.dataset.order === list.order));
  }
  element("wanted-score-value").textContent = list.score.toFixed(2);
  element("listed").textContent = `${number(list.shown.length)} of ${number(scans.length)} listed`;
  markCurrent();
}

function listItem(index) {
  const scan = scans[index];
  const tags = ["li", "button", "img", "span", "span", "span", "i", "span"];
  const [item, button, picture, file, value, meter, filled, badge] = tags.map((tag) => document.createElement(tag));
  picture.src = scan.picture;
  picture.alt = "Seen from the side that shows its highest scores best:";
  for (const piece of scan.name.split(/[\\/]/).pop().split(/(?<=[_.-])/)) file.append(piece, document.createElement("wbr"));
  file.title = scan.name;
  file.className = "file";
  value.className = "value";
  value.textContent = scan.deviation ? signed(scan.deviation.largest) : score(scan.objectScore);
  if (scan.deviation) value.title = "Largest deviation";
  meter.className = "meter";
  filled.style.width = `${100 * scan.objectScore}%`;
  meter.append(filled);
  button.type = "button";
  button.dataset.index = index;
  button.append(picture, file, value, meter, fillBadge(badge, scan));
  button.addEventListener("click", () => select(index));
  item.append(button);
  return item;
}

function markCurrent() {
  for (const button of element("scans").querySelectorAll("button")) {
    const current = Number(button.dataset.index) === state.scan;
    button.setAttribute("aria-current", String(current));
    if (current) button.scrollIntoView({ block: "nearest" });
  }
}

/** The next or the previous of the listed scans; the first where the one shown is not among them. */
function step(by) {
  const place = list.shown.indexOf(state.scan);
  const next = place < 0 ? list.shown[0] : list.shown[place + by];
  if (next !== undefined) select(next);
}

for (const button of element("sorting").children) {
  button.addEventListener("click", () => {
    list.order = button.dataset.order;
    listScans();
  });
}
element("wanted-name").addEventListener("input", (event) => {
  list.name = event.target.value;
  listScans();
});
element("wanted-score").addEventListener("input", (event) => {
  list.score = Number(event.target.value) / 100;
  listScans();
});
element("wanted-alarms").addEventListener("change", (event) => {
  list.alarms = event.target.checked;
  listScans();
});
element("sorting").hidden = element("filter").hidden = scans.length < 2;
element("alarms").hidden = !scans.some((scan) => scan.verdict || scan.badge);
