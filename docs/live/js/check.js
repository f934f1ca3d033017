// The self-check of `index.html?check`: the outputs of this page and those of Keras.

import { Composer } from "./composer.js";
import { Ladder, tensor } from "./ladder.js";
import { Scene } from "./occlusion.js";

/** Return the largest absolute difference of digits and of music. */
export async function check(page, expected) {
  const digits = await checkDigits(page.digits, expected.digits);
  const music = await checkMusic(page.music, expected.music);
  return { digits, music };
}

function largest(found, wanted) {
  if (found.length !== wanted.length) return Infinity;
  const difference = (worst, x, i) => Math.max(worst, Math.abs(x - wanted[i]));
  const worst = Array.from(found).reduce(difference, 0);
  return Number.isNaN(worst) ? Infinity : worst;
}

async function checkDigits(spec, sequences) {
  const scene = new Scene(spec);
  const ladder = await Ladder.load(spec.ladder);
  let worst = 0;
  for (const { feedback, phase, digit, frames, outputs, ...start } of sequences) {
    const visible = scene.visibility(phase);
    let flight = start;
    ladder.reset();
    for (let t = 0; t < frames.length; t++) {
      const frame = scene.occlude(scene.paste(digit, flight.position), visible);
      const found = await ladder.step(tensor(frame, scene.shape), feedback);
      worst = Math.max(worst, largest(frame, frames[t]));
      for (const [name, x] of Object.entries(outputs)) {
        worst = Math.max(worst, largest(found[name].data, x[t]));
      }
      flight = scene.move(flight);
    }
  }
  return worst;
}

async function checkMusic(spec, pieces) {
  const composer = await Composer.load(spec);
  let worst = 0;
  for (const { bars, roll, chance, outputs } of pieces) {
    for (const { feedback, notes } of outputs) {
      composer.reset();
      for (let t = 0; t < notes.length; t++) {
        const d = await composer.listen(roll[t], feedback);
        const p = await composer.probabilities(d, roll[t + 1]);
        worst = Math.max(worst, largest(p, notes[t]));
      }
    }
    // With the same random numbers, the page draws the same keys.
    composer.reset();
    const composed = roll.slice(0, bars);
    for (let t = 0; t < roll.length - 1; t++) {
      const d = await composer.listen(composed[t], true);
      if (t + 1 >= bars) composed.push((await composer.draw(d, chance[t + 1 - bars])).keys);
      worst = Math.max(worst, largest(composed[t + 1], roll[t + 1]));
    }
  }
  return worst;
}
