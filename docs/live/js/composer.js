// Music: a port of `generate` and `draw` of zoo/models/generation.py.

import { Ladder, loadSession, run, tensor } from "./ladder.js";

export class Composer {
  static async load(spec) {
    const ladder = await Ladder.load(spec.ladder);
    return new Composer(ladder, await loadSession(spec.readout.file));
  }

  constructor(ladder, readout) {
    this.ladder = ladder;
    this.readout = readout;
  }

  /** Return to the state before the first time step. */
  reset() {
    this.ladder.reset();
  }

  /** Process the keys of one time step; return `d_1`, the input of the read-out. */
  async listen(keys, feedback) {
    const frame = tensor(Float32Array.from(keys), [1, keys.length]);
    return (await this.ladder.step(frame, feedback)).output;
  }

  /** Probability of each key of the next step, given its keys below that key. */
  async probabilities(d, next) {
    const [first, second] = this.readout.inputNames;
    const feeds = { [first]: d, [second]: tensor(Float32Array.from(next), [1, next.length]) };
    return (await run(this.readout, feeds))[this.readout.outputNames[0]].data;
  }

  /**
   * Draw the next time step from the lowest key to the highest. `chance` has a random
   * number from 0 to 1 for each key. Returns the keys and their probabilities.
   */
  async draw(d, chance) {
    const keys = new Uint8Array(chance.length);
    let last = -1;
    for (;;) {
      // A key depends on the keys below it: the lowest drawn key is kept, and those
      // above it are drawn again.
      const p = await this.probabilities(d, keys);
      const lowest = chance.findIndex((c, key) => key > last && c < p[key]);
      if (lowest < 0) return { keys, p };
      keys[(last = lowest)] = 1;
    }
  }
}
