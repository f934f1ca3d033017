// The tab "Music".

import { Composer } from "./composer.js";
import { palette } from "./paint.js";
import { Organ } from "./sound.js";

const AHEAD = 0.25; // seconds: how early a chord is handed to WebAudio
const RANGE = [42, 98]; // MIDI notes that the picture shows
const $ = (id) => document.getElementById(id);

/** Set up the tab; return a function that pauses it. */
export async function musicTab(spec) {
  const composer = await Composer.load(spec);
  let organ; // made at the first click, which browsers require
  let roll = []; // keys of each time step
  let likely = []; // probabilities of the composed steps
  let given = 0; // number of given steps
  let total = 0; // number of steps when the piece is complete
  let head = -1; // step that sounds
  let piece = 0; // changes when another piece begins, or the music stops
  let clock;

  for (const { name } of spec.bars) $("bars").add(new Option(name));
  $("bars").addEventListener("change", begin);
  $("length").addEventListener("input", begin);
  $("compose").addEventListener("click", () => {
    begin();
    compose();
    listen();
  });
  $("replay").addEventListener("click", () => {
    halt();
    listen();
  });
  $("stop").addEventListener("click", halt);
  addEventListener("colours", draw);
  addEventListener("resize", draw);

  /** Put the chosen bars on an empty roll. */
  function begin() {
    halt();
    roll = spec.bars[$("bars").selectedIndex].roll.map((keys) => Uint8Array.from(keys));
    given = roll.length;
    total = given + Number($("length").value);
    likely = [];
    $("replay").disabled = true;
    $("heard").textContent = `${given} given quarter notes, ${total - given} to compose.`;
    draw();
  }

  /** Continue the given bars, one time step at a time. */
  async function compose() {
    const mine = ++piece;
    const feedback = $("music-feedback").checked;
    composer.reset();
    for (let t = 0; t < total - 1; t++) {
      const d = await composer.listen(roll[t], feedback);
      if (t + 1 >= given) {
        const chance = Float64Array.from(roll[0], Math.random);
        const { keys, p } = await composer.draw(d, chance);
        if (piece !== mine) return;
        roll.push(keys);
        likely[t + 1] = p;
        draw();
      }
      await new Promise((resume) => setTimeout(resume)); // let the page respond
      if (piece !== mine) return;
    }
    $("replay").disabled = false;
    $("heard").textContent = `The ladder has composed ${total - given} quarter notes.`;
  }

  /** Play the roll from its first step, while it may still grow. */
  function listen() {
    organ ??= new Organ();
    organ.context.resume();
    $("stop").disabled = false;
    let next = 0;
    let due = organ.time + 0.15;
    clock = setInterval(() => {
      while (due < organ.time + AHEAD) {
        if (next === total) {
          organ.chord([], due);
          setTimeout(halt, 1000 * (due - organ.time));
          clearInterval(clock);
          return;
        }
        if (next >= roll.length) return; // not composed yet
        due = Math.max(due, organ.time);
        organ.chord(notes(roll[next]), due);
        const step = next++;
        const mine = clock;
        setTimeout(() => {
          if (clock === mine) draw((head = step));
        }, 1000 * (due - organ.time));
        due += 60 / Number($("tempo").value);
      }
    }, 50);
  }

  function halt() {
    piece++;
    clearInterval(clock);
    clock = undefined;
    organ?.silence();
    head = -1;
    $("stop").disabled = true;
    draw();
  }

  /** MIDI notes of a time step, as high as in the score. */
  function notes(keys) {
    return [...keys.keys()].filter((key) => keys[key]).map((key) => key + spec.lowest - spec.above_score);
  }

  /** Draw the piano roll: time from left to right, keys from low to high. */
  function draw() {
    const canvas = $("roll");
    const { clientWidth: width, clientHeight: height } = canvas;
    if (!width) return; // the other tab is shown
    const ratio = devicePixelRatio;
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    const context = canvas.getContext("2d");
    context.scale(ratio, ratio);
    const { ink, composed } = palette();
    const rgb = (colour, alpha = 1) => `rgb(${colour.join(" ")} / ${alpha})`;
    const left = 34;
    const x = (t) => left + (t * (width - left)) / total;
    const tall = height / (RANGE[1] - RANGE[0]);
    const y = (note) => height - (note - RANGE[0] + 1) * tall;
    const box = (t, key, colour) => {
      context.fillStyle = colour;
      context.fillRect(x(t), y(key + spec.lowest) + 0.5, x(t + 1) - x(t) - 1, tall - 1);
    };

    context.font = "11px system-ui, sans-serif";
    for (let note = RANGE[0]; note < RANGE[1]; note++) {
      if (note % 12) continue; // a line below each C
      context.fillStyle = rgb(ink, 0.12);
      context.fillRect(left, y(note) + tall, width, 1);
      context.fillStyle = rgb(ink, 0.6);
      context.fillText(`C${(note - spec.above_score) / 12 - 1}`, 8, y(note) + tall - 1);
    }
    for (let t = 0; t < total; t += 4) {
      context.fillStyle = rgb(ink, 0.08);
      context.fillRect(x(t) - 0.5, 0, 1, height);
    }
    context.fillStyle = rgb(ink, 0.05);
    context.fillRect(left, 0, x(given) - left, height);
    roll.forEach((keys, t) => {
      likely[t]?.forEach((p, key) => {
        if (p > 0.02 && !keys[key]) box(t, key, rgb(composed, 0.5 * p));
      });
      keys.forEach((on, key) => {
        if (on) box(t, key, t < given ? rgb(ink, 0.55) : rgb(composed));
      });
    });
    if (head >= 0) {
      context.fillStyle = rgb(ink, 0.12);
      context.fillRect(x(head), 0, x(head + 1) - x(head), height);
    }
  }

  begin();
  $("about-music").textContent = `The ladder was trained on ${spec.trained_on}, in quarter notes.
    It draws the keys of a chord from the lowest to the highest, each with its probability given
    the keys below it.`;
  return { pause: halt, show: draw };
}
