// The camera, the page and the hands on it.

const element = (id) => document.getElementById(id);
const FILL = 0.47; // of the view's shorter side, at zoom 1: the radius of the sphere around the cloud

const view = element("view");
const draw = webglRenderer(view) || softwareRenderer(view);
const camera = {};

function multiply(a, b) {
  return a.map((_, i) => [0, 1, 2].reduce((sum, k) => sum + a[3 * Math.floor(i / 3) + k] * b[3 * k + (i % 3)], 0));
}

/** Turn about the screen's axes: whatever axis the file calls up, the hand's movement is what is seen. */
function turn(aboutX, aboutY) {
  const [cx, sx, cy, sy] = [Math.cos(aboutX), Math.sin(aboutX), Math.cos(aboutY), Math.sin(aboutY)];
  const step = multiply([1, 0, 0, 0, cx, -sx, 0, sx, cx], [cy, 0, sy, 0, 1, 0, -sy, 0, cy]);
  camera.rotation = multiply(step, camera.rotation);
  redraw();
}

function zoom(factor) {
  camera.zoom = Math.min(Math.max(camera.zoom * factor, 0.2), 40);
  redraw();
}

function move(dx, dy) {
  camera.offset = [camera.offset[0] + dx, camera.offset[1] + dy];
  redraw();
}

/** The side that shows the scan's highest scores best. */
function reset() {
  Object.assign(camera, { rotation: scans[state.scan].rotation, zoom: 1, offset: [0, 0] });
  redraw();
}

// ---- the page ----

const state = { scan: 0, threshold: 0, frame: 0 };
const spans = { full: () => [0, LEVELS], report: () => levelSpan(scans), scan: () => levelSpan([scans[state.scan]]) };
const number = (value) => value.toLocaleString("en");
const score = (value) => value.toFixed(3);
const length = (value) => Number(value.toPrecision(4)).toString();

function redraw() {
  if (!state.frame) state.frame = requestAnimationFrame(paint);
}

function paint() {
  state.frame = 0;
  const ratio = window.devicePixelRatio || 1;
  const [width, height] = [view.clientWidth, view.clientHeight].map((side) => Math.max(1, Math.round(side * ratio)));
  if (view.width !== width || view.height !== height) Object.assign(view, { width, height });
  const cloud = decode(scans[state.scan]);
  camera.pixels = (FILL * Math.min(width, height) * DISTANCE * camera.zoom) / cloud.radius;
  camera.shift = camera.offset.map((value) => value * ratio);
  camera.dot = 2.4 * cloud.spacing * 2 ** (Number(element("size").value) / 4);
  camera.reach = Math.max(1, Math.round(1.5 * ratio));
  draw(cloud, camera, palette(spans[element("range").value](), state.threshold, cssColor("--muted-point")));
}

function fit(canvas) {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.max(1, Math.round(canvas.clientWidth * ratio));
  canvas.height = Math.max(1, Math.round(canvas.clientHeight * ratio));
  return canvas.getContext("2d");
}

/** The slider, the bar and the histogram share one axis: score 0 at the left, 1 at the right. */
function paintScale() {
  const { histogram } = scans[state.scan];
  const span = spans[element("range").value]();
  const colors = palette(span, state.threshold, cssColor("--muted-point"));
  const fill = (level) => `rgb(${colors.slice(4 * level, 4 * level + 3).join(" ")})`;
  const bar = fit(element("colorbar"));
  const bars = fit(element("histogram"));
  const tallest = Math.log1p(Math.max(...histogram));
  for (let level = 0; level < LEVELS; level++) {
    const [from, to] = [level, level + 1].map((edge) => Math.round((edge / LEVELS) * bar.canvas.width));
    const tall = (Math.log1p(histogram[level]) / tallest) * (bars.canvas.height - 2); // counts span decades
    bar.fillStyle = bars.fillStyle = fill(level);
    bar.fillRect(from, 0, to - from, bar.canvas.height);
    bars.fillRect(from, bars.canvas.height - tall, to - from, tall);
  }
}

function paintNumbers() {
  const scan = scans[state.scan];
  const above = scan.histogram.slice(state.threshold).reduce((sum, count) => sum + count, 0);
  element("threshold-value").textContent = score(state.threshold / LEVELS);
  element("above").textContent = `${number(above)} points at or above (${((100 * above) / scan.points).toFixed(2)} %)`;
  element("range-low").textContent = "0";
  element("range-high").textContent = "1";
}

function refresh() {
  paintScale();
  paintNumbers();
  redraw();
}

function details(scan) {
  const rows = [
    ["Size", `${scan.extents.map(length).join(" × ")} (file's unit)`],
    ["Highest point", `${score(scan.peak.score)} at (${scan.peak.position.map(length).join(", ")}), row ${number(scan.peak.row)}`],
  ];
  if (scan.verdict) {
    const { anomalous, pValue, promise, scans: count } = scan.verdict;
    const text = `${anomalous ? "anomalous" : "not anomalous"}, p = ${Number(pValue.toPrecision(3))}`;
    rows.unshift(["Verdict", `${text}; at most ${Number((100 * promise).toPrecision(3))} % false alarms, by ${number(count)} normal scans`]);
  }
  if (scan.dropped) rows.push(["Without a value", `${number(scan.dropped)} rows, not scored`]);
  const stages = Object.entries(scan.seconds);
  if (stages.length) rows.push(["Time", stages.map(([stage, value]) => `${stage} ${value.toFixed(2)} s`).join(" · ")]);
  element("details").replaceChildren(
    ...rows.flatMap(([name, value]) => {
      const pair = [document.createElement("dt"), document.createElement("dd")];
      pair[0].textContent = name;
      pair[1].textContent = value;
      return pair;
    }),
  );
}

const COLUMNS = [
  ["Region", (region) => region.number],
  ["Peak score", (region) => score(region.peak_score)],
  ["Mean score", (region) => score(region.mean_score)],
  ["Points", (region) => number(region.points)],
  ["Area (unit²)", (region) => length(region.area)],
  ["Length × width", (region) => region.extent.slice(0, 2).map(length).join(" × ")],
  ["Depth", (region) => (region.depth === null ? "–" : `${region.depth > 0 ? "+" : ""}${length(region.depth)}`)],
  ["Position", (region) => region.position.map(length).join(", ")],
  ["Word", (region) => region.word],
];

function cells(row, tag, values) {
  row.replaceChildren(...values.map((value) => Object.assign(document.createElement(tag), { textContent: value })));
  return row;
}

/** Depth is above (+) or below (−) the surface around the region, in the file's unit. */
function tabulate({ regions, regionCount, regionThreshold }) {
  const columns = COLUMNS.filter(([name]) => name !== "Word" || regions.some((region) => region.word !== null));
  const [table, count] = [element("regions").firstElementChild, `${number(regionCount)} ${regionCount === 1 ? "region" : "regions"}`];
  const shown = regions.length < regionCount ? `, ${number(regions.length)} shown` : "";
  element("region-caption").textContent = `${count} at ${score(regionThreshold)} or above${shown}`;
  table.tHead.hidden = !regions.length;
  cells(table.tHead.rows[0], "th", columns.map(([name]) => name));
  for (const cell of table.tHead.rows[0].cells) cell.scope = "col";
  table.tBodies[0].replaceChildren(
    ...regions.map((region) => cells(document.createElement("tr"), "td", columns.map(([, value]) => value(region)))),
  );
}

function select(index) {
  state.scan = index;
  const scan = scans[index];
  element("name").textContent = scan.name;
  element("object-score").textContent = score(scan.objectScore);
  element("counts").textContent =
    scan.shown < scan.points
      ? `${number(scan.shown)} of ${number(scan.points)} points shown, the highest-scoring among them`
      : `all ${number(scan.points)} points shown`;
  details(scan);
  tabulate(scan);
  reset();
  for (const button of element("scans").querySelectorAll("button")) {
    button.setAttribute("aria-current", String(Number(button.dataset.index) === index));
  }
  refresh();
}

function listScans(order) {
  const indices = scans.map((_, index) => index);
  if (order === "score") indices.sort((a, b) => scans[b].objectScore - scans[a].objectScore);
  const items = indices.map((index) => {
    const scan = scans[index];
    const [item, button, picture, file, value, meter, filled] = ["li", "button", "img", "span", "span", "span", "i"].map((tag) => document.createElement(tag));
    picture.src = scan.picture;
    picture.alt = "Seen from the side that shows its highest scores best:";
    file.textContent = scan.name.split(/[\\/]/).pop();
    file.title = scan.name;
    file.className = "file";
    value.textContent = score(scan.objectScore);
    meter.className = "meter";
    filled.style.width = `${100 * scan.objectScore}%`;
    meter.append(filled);
    button.type = "button";
    button.dataset.index = index;
    button.setAttribute("aria-current", String(index === state.scan));
    button.append(picture, file, value, meter);
    button.addEventListener("click", () => select(index));
    item.append(button);
    return item;
  });
  element("scans").replaceChildren(...items);
  for (const button of element("sorting").children) button.setAttribute("aria-pressed", String(button.dataset.order === order));
}

// ---- hands ----

const fingers = new Map();
const spread = () => {
  const [a, b] = [...fingers.values()];
  return Math.hypot(a.x - b.x, a.y - b.y) || 1;
};
view.addEventListener("pointerdown", (event) => {
  view.setPointerCapture(event.pointerId);
  fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
});
view.addEventListener("pointermove", (event) => {
  const last = fingers.get(event.pointerId);
  if (!last) return;
  const before = fingers.size === 2 ? spread() : 0;
  const [dx, dy] = [event.clientX - last.x, event.clientY - last.y];
  fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  if (fingers.size === 2) {
    zoom(spread() / before);
    move(dx / 2, dy / 2);
  } else if (event.shiftKey || event.buttons & 6) {
    move(dx, dy);
  } else {
    turn(dy * 0.008, dx * 0.008);
  }
});
for (const name of ["pointerup", "pointercancel"]) view.addEventListener(name, (event) => fingers.delete(event.pointerId));
view.addEventListener("contextmenu", (event) => event.preventDefault());
view.addEventListener("dblclick", reset);
view.addEventListener("wheel", (event) => {
  event.preventDefault();
  zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)));
}, { passive: false });

const KEYS = {
  ArrowLeft: () => turn(0, -0.12), ArrowRight: () => turn(0, 0.12), ArrowUp: () => turn(-0.12, 0), ArrowDown: () => turn(0.12, 0),
  "+": () => zoom(1.15), "=": () => zoom(1.15), "-": () => zoom(1 / 1.15), 0: reset,
};
document.addEventListener("keydown", (event) => {
  const act = KEYS[event.key];
  if (!act || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select")) return;
  event.preventDefault();
  act();
});
element("threshold").addEventListener("input", (event) => {
  state.threshold = Number(event.target.value);
  refresh();
});
element("range").addEventListener("change", refresh);
element("size").addEventListener("input", redraw);
for (const button of element("sorting").children) button.addEventListener("click", () => listScans(button.dataset.order));
window.addEventListener("resize", refresh);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", refresh);

element("summary").textContent = `${number(scans.length)} ${scans.length === 1 ? "scan" : "scans"} · higher is more anomalous`;
element("sorting").hidden = scans.length < 2;
listScans("given");
select(0);
