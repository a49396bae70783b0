// Drawing in plain JavaScript, for browsers without WebGL.

function softwareRenderer(canvas) {
  const context = canvas.getContext("2d");
  let image = null;
  let depths = null;
  return (cloud, camera, table) => {
    const { width, height } = canvas;
    if (!image || image.width !== width || image.height !== height) {
      image = context.createImageData(width, height);
      depths = new Float32Array(width * height);
    }
    const colors = new Uint32Array(image.data.buffer);
    const swatches = new Uint32Array(table.buffer);
    colors.fill(0);
    depths.fill(DISTANCE + 1);
    const [r0, r1, r2, r3, r4, r5, r6, r7, r8] = camera.rotation;
    const { positions, scores, center } = cloud;
    for (let i = 0; i < cloud.count; i++) {
      const x = positions[3 * i] / 65535 - center[0];
      const y = positions[3 * i + 1] / 65535 - center[1];
      const z = positions[3 * i + 2] / 65535 - center[2];
      const depth = DISTANCE - (r6 * x + r7 * y + r8 * z);
      const column = width / 2 + camera.shift[0] + ((r0 * x + r1 * y + r2 * z) * camera.pixels) / depth;
      const row = height / 2 + camera.shift[1] - ((r3 * x + r4 * y + r5 * z) * camera.pixels) / depth;
      const half = Math.max((camera.dot * camera.pixels) / depth, 1.5) / 2;
      const left = Math.max(Math.round(column - half), 0);
      const right = Math.min(Math.round(column + half), width);
      const bottom = Math.min(Math.round(row + half), height);
      for (let v = Math.max(Math.round(row - half), 0); v < bottom; v++) {
        for (let u = left, at = v * width + left; u < right; u++, at++) {
          if (depth < depths[at]) {
            depths[at] = depth;
            colors[at] = swatches[scores[i]];
          }
        }
      }
    }
    shadeSoftware(image.data, depths, width, height, camera.reach);
    context.putImageData(image, 0, 0);
  };
}

function shadeSoftware(data, depths, width, height, reach) {
  for (let row = 0, at = 0; row < height; row++) {
    const up = Math.min(row, reach) * width;
    const down = Math.min(height - 1 - row, reach) * width;
    for (let column = 0; column < width; column++, at++) {
      if (data[4 * at + 3] === 0) continue;
      const depth = depths[at];
      const hidden =
        Math.max(0, depth - depths[at - up]) + Math.max(0, depth - depths[at + down]) +
        Math.max(0, depth - depths[at - Math.min(column, reach)]) +
        Math.max(0, depth - depths[at + Math.min(width - 1 - column, reach)]);
      if (hidden > 0) {
        const light = Math.max(Math.exp(-14 * hidden), 0.3);
        data[4 * at] *= light;
        data[4 * at + 1] *= light;
        data[4 * at + 2] *= light;
      }
    }
  }
}
