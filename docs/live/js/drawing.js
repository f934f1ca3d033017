// From the lines that a visitor draws to a digit as in the training data.

const FINE = 8; // pixels of the drawn picture for one pixel of the original images

/**
 * Return a digit of `size` x `size` pixels, from 0 (background) to 1 (ink).
 *
 * @param lines List of lines, each a list of points [x, y].
 * @param style `drawing` of page.json, see DRAWING in build.py.
 */
export function digitOf(lines, style, size) {
  const side = style.side * FINE;
  const points = lines.flat();
  const [left, right] = extent(points.map(([x]) => x));
  const [top, bottom] = extent(points.map(([, y]) => y));
  const room = (style.box - style.stroke) * FINE;
  const scale = room / Math.max(right - left, bottom - top, 1e-3);
  const middle = [(left + right) / 2, (top + bottom) / 2];
  const width = style.stroke * FINE;
  let ink = rasterised(lines, middle, scale, width, side);
  if (style.centre === "mass") {
    const [x, y] = centreOfMass(ink, side);
    const moved = [middle[0] + (x - side / 2) / scale, middle[1] + (y - side / 2) / scale];
    ink = rasterised(lines, moved, scale, width, side);
  }
  return resample(resample(ink, side, style.side), style.side, size);
}

function extent(values) {
  return [Math.min(...values), Math.max(...values)];
}

/** Draw lines on a square of `side` pixels, with `middle` in its middle. */
function rasterised(lines, [x, y], scale, width, side) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = side;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.translate(side / 2, side / 2);
  context.scale(scale, scale);
  context.translate(-x, -y);
  strokeLines(context, lines, width / scale);
  const { data } = context.getImageData(0, 0, side, side);
  return Float32Array.from({ length: side * side }, (_, i) => data[4 * i + 3] / 255);
}

/** Stroke lines in the current style; a single point is a dot. */
export function strokeLines(context, lines, width) {
  context.lineWidth = width;
  context.lineCap = context.lineJoin = "round";
  for (const line of lines) {
    context.beginPath();
    context.moveTo(...line[0]);
    for (const point of line) context.lineTo(...point);
    context.stroke();
  }
}

function centreOfMass(ink, side) {
  let sum = 0, x = 0, y = 0;
  ink.forEach((value, i) => {
    sum += value;
    x += value * ((i % side) + 0.5);
    y += value * (Math.floor(i / side) + 0.5);
  });
  return [x / sum, y / sum];
}

/** A port of `resample` of zoo/data/digits/sources.py, from n x n to m x m pixels. */
export function resample(image, n, m) {
  if (n === m) return image;
  const weights = m > n ? bilinear(n, m) : means(n, m);
  const rows = new Float32Array(m * n);
  const result = new Float32Array(m * m);
  for (let i = 0; i < m; i++) {
    for (let k = 0; k < n; k++) {
      const w = weights[i][k];
      if (w === 0) continue;
      for (let j = 0; j < n; j++) rows[i * n + j] += w * image[k * n + j];
    }
  }
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < m; j++) {
      let sum = 0;
      for (let k = 0; k < n; k++) sum += weights[j][k] * rows[i * n + k];
      result[i * m + j] = Math.min(Math.max(sum, 0), 1);
    }
  }
  return result;
}

function matrix(n, m, entry) {
  return Array.from({ length: m }, (_, i) => Array.from({ length: n }, (_, k) => entry(i, k)));
}

/** Weights that reduce n pixels to m by means over the area. */
function means(n, m) {
  const shared = (i, k) => Math.min(((i + 1) * n) / m, k + 1) - Math.max((i * n) / m, k);
  return matrix(n, m, (i, k) => (Math.max(0, shared(i, k)) * m) / n);
}

/** Weights that enlarge n pixels to m by linear interpolation. */
function bilinear(n, m) {
  const centre = (i) => Math.min(Math.max(((i + 0.5) * n) / m - 0.5, 0), n - 1);
  return matrix(n, m, (i, k) => Math.max(0, 1 - Math.abs(centre(i) - k)));
}
