// Occluded Moving MNIST: a port of zoo/data/digits/occlusion.py, for one sequence.
// The constants are those of the Python module; build.py writes them to page.json.

export class Scene {
  constructor({ canvas, digit, bar, gap, velocities }) {
    Object.assign(this, { canvas, digit, bar, gap, velocities });
    this.furthest = canvas - digit;
    this.shape = [1, canvas, canvas, 1]; // of a frame, as the ladder takes it
  }

  /** Visible pixels of a frame: 1, and 0 behind a bar. */
  visibility(phase) {
    const { canvas, bar, gap } = this;
    const period = bar + gap;
    const open = (i) => (i - phase + period) % period >= bar;
    return Uint8Array.from({ length: canvas * canvas }, (_, i) =>
      open(Math.floor(i / canvas)) && open(i % canvas) ? 1 : 0,
    );
  }

  /** A random position, uniform where the whole digit is in the frame, and velocity. */
  start(random = Math.random) {
    const below = (n) => Math.floor(random() * n);
    return {
      position: [below(this.furthest + 1), below(this.furthest + 1)],
      velocity: this.velocities[below(this.velocities.length)],
    };
  }

  /** Position and velocity in the next frame; the digit bounces off the edges. */
  move({ position, velocity }) {
    const next = { position: [], velocity: [] };
    for (const axis of [0, 1]) {
      let p = position[axis] + velocity[axis];
      let v = velocity[axis];
      if (p < 0) [p, v] = [-p, Math.abs(v)];
      else if (p > this.furthest) [p, v] = [2 * this.furthest - p, -Math.abs(v)];
      next.position.push(p);
      next.velocity.push(v);
    }
    return next;
  }

  /** The frame of a digit at a position, without bars. */
  paste(digit, [row, column]) {
    const frame = new Float32Array(this.canvas * this.canvas);
    for (let y = 0; y < this.digit; y++) {
      for (let x = 0; x < this.digit; x++) {
        frame[(row + y) * this.canvas + column + x] = digit[y * this.digit + x];
      }
    }
    return frame;
  }

  /** A frame behind the bars. */
  occlude(frame, visible) {
    return frame.map((value, i) => value * visible[i]);
  }
}
