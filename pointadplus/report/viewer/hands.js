// Fingers, mouse and keys; then the page begins.

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
  n: () => step(1), p: () => step(-1),
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
for (const button of element("layer").children) {
  button.addEventListener("click", () => {
    state.layer = button.dataset.layer;
    makeCallouts(scans[state.scan]);
    refresh();
  });
}
element("range").addEventListener("change", refresh);
element("size").addEventListener("input", redraw);
window.addEventListener("resize", refresh);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", refresh);

element("summary").textContent = [`${number(scans.length)} ${scans.length === 1 ? "scan" : "scans"}`, ...verdicts()].join(" · ");
listScans();
select(list.shown[0]);
