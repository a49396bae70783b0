// The camera: where the eye stands, and where places of the scan fall on the screen.

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
  camera.flight = null;
  camera.rotation = multiply(tilt(aboutX, aboutY), camera.rotation);
  redraw();
}

function zoom(factor) {
  camera.flight = null;
  camera.zoom = Math.min(Math.max(camera.zoom * factor, 0.2), 40);
  redraw();
}

function move(dx, dy) {
  camera.flight = null;
  camera.offset = [camera.offset[0] + dx, camera.offset[1] + dy];
  redraw();
}

/** The side that shows the scan's highest scores best. */
function reset() {
  Object.assign(camera, { rotation: scans[state.scan].rotation, zoom: 1, offset: [0, 0], flight: null });
  redraw();
}

/** What a renderer needs to draw `cloud` in a picture of that many pixels. */
function framed(seen, cloud, [width, height], ratio, size = 0) {
  return {
    rotation: seen.rotation,
    pixels: (FILL * Math.min(width, height) * DISTANCE * seen.zoom) / cloud.radius,
    shift: seen.offset.map((value) => value * ratio),
    dot: 2.4 * cloud.spacing * 2 ** (size / 4),
    reach: Math.max(1, Math.round(1.5 * ratio)),
  };
}

/** Where a place of the file's frame lies among the positions that are drawn, which are in [0, 1]. */
function local(scan, position) {
  const longest = longestSide(scan);
  return position.map((value, axis) => (value - scan.corner[axis]) / longest - decode(scan).score.center[axis]);
}

/** Column, row and depth of a place about the cloud's centre; pixels. */
function project([x, y, z], { rotation: r, pixels, shift }, [width, height]) {
  const depth = DISTANCE - (r[6] * x + r[7] * y + r[8] * z);
  const column = width / 2 + shift[0] + ((r[0] * x + r[1] * y + r[2] * z) * pixels) / depth;
  return [column, height / 2 + shift[1] - ((r[3] * x + r[4] * y + r[5] * z) * pixels) / depth, depth];
}

/** Which of the places are hidden by points in front of them. */
function hidden(places, cloud, frame, size) {
  const seen = places.map((place) => project(place, frame, size));
  const covered = places.map(() => false);
  const near = Math.max(1.5 * cloud.spacing, 0.004);
  const point = [0, 0, 0];
  for (let i = 0; i < cloud.count; i++) {
    for (let axis = 0; axis < 3; axis++) point[axis] = cloud.positions[3 * i + axis] / 65535 - cloud.center[axis];
    const [column, row, depth] = project(point, frame, size);
    const reach = (near * frame.pixels) / depth;
    for (let k = 0; k < seen.length; k++) {
      if (depth < seen[k][2] - 6 * near && Math.abs(column - seen[k][0]) < reach && Math.abs(row - seen[k][1]) < reach) covered[k] = true;
    }
  }
  return covered;
}

const dot = (a, b) => a.reduce((sum, value, axis) => sum + value * b[axis], 0);
const cross = ([a, b, c], [d, e, f]) => [b * f - c * e, c * d - a * f, a * e - b * d];
const unit = (a) => a.map((value) => value / (Math.hypot(...a) || 1));

/** The rotation that turns a direction to the eye and leaves up where it is, as far as can be; a little from the side. */
function facing(direction, from) {
  const z = unit(direction);
  const upright = [from.slice(3, 6), from.slice(0, 3)].map((axis) => axis.map((value, i) => value - dot(axis, z) * z[i]));
  const y = unit(upright.find((axis) => Math.hypot(...axis) > 0.2) ?? upright[0]);
  return multiply(tilt(0.35, 0.3), [...cross(y, z), ...y, ...z]);
}

function tilt(aboutX, aboutY) {
  const [cx, sx, cy, sy] = [Math.cos(aboutX), Math.sin(aboutX), Math.cos(aboutY), Math.sin(aboutY)];
  return multiply([1, 0, 0, 0, cx, -sx, 0, sx, cx], [cy, 0, sy, 0, 1, 0, -sy, 0, cy]);
}

/** A share of the way from one rotation to another (Rodrigues' formula). */
function between(from, to, share) {
  const back = [0, 3, 6, 1, 4, 7, 2, 5, 8].map((at) => from[at]);
  const turned = multiply(to, back);
  const angle = Math.acos(Math.min(1, Math.max(-1, (turned[0] + turned[4] + turned[8] - 1) / 2)));
  if (angle < 1e-4 || angle > 3.1) return share < 1 ? from : to;
  const k = [turned[7] - turned[5], turned[2] - turned[6], turned[3] - turned[1]].map((value) => value / (2 * Math.sin(angle)));
  const skew = [0, -k[2], k[1], k[2], 0, -k[0], -k[1], k[0], 0];
  const square = multiply(skew, skew);
  const [s, c] = [Math.sin(share * angle), 1 - Math.cos(share * angle)];
  return multiply([1, 0, 0, 0, 1, 0, 0, 0, 1].map((one, at) => one + s * skew[at] + c * square[at]), from);
}
