// The tab "Occluded digit".

import { digitOf, strokeLines } from "./drawing.js";
import { Ladder, tensor } from "./ladder.js";
import { Scene } from "./occlusion.js";
import { paint, palette } from "./paint.js";

const COLUMNS = 10; // frames in the strip
const ROWS = { seen: "It saw", predicted: "It had predicted", probe: "Its probe" };
const $ = (id) => document.getElementById(id);

/** Set up the tab; return a function that pauses it. */
export async function digitsTab(spec) {
  const ladder = await Ladder.load(spec.ladder);
  const scene = new Scene(spec);
  const side = scene.canvas;
  let digit, label; // 14 x 14 pixels; its class, null if it was drawn
  let start, flight; // position and velocity at the first frame, and now
  let film = []; // what was seen and computed, frame by frame
  let playing = false;
  let timer;

  // A digit: ten given ones, or lines on the pad.
  const examples = spec.examples.map((pixels, i) => {
    const button = document.createElement("button");
    const canvas = document.createElement("canvas");
    button.type = "button";
    button.setAttribute("aria-label", `Digit ${spec.labels[i]}`);
    button.append(canvas);
    button.addEventListener("click", () => {
      pad.clear();
      choose(pixels, spec.labels[i]);
    });
    $("examples").append(button);
    return { button, canvas, pixels };
  });
  const pad = padOf($("pad"), (lines) => choose(digitOf(lines, spec.drawing, scene.digit), null));
  $("clear").addEventListener("click", () => pad.clear());

  function choose(pixels, name) {
    digit = pixels;
    label = name;
    for (const { button, pixels } of examples) {
      button.setAttribute("aria-pressed", pixels === digit);
    }
    fly(!matchMedia("(prefers-reduced-motion: reduce)").matches);
  }

  function fly(go) {
    start = scene.start();
    restart();
    go ? play() : advance();
  }

  function restart() {
    flight = { ...start, t: 0 };
    film = [];
    ladder.reset();
    show();
  }

  /** One iteration of the ladder, and one frame of the flight. */
  async function advance() {
    const now = flight;
    const visible = scene.visibility(Number($("phase").value));
    const truth = scene.paste(digit, now.position);
    const seen = scene.occlude(truth, visible);
    const outputs = await ladder.step(tensor(seen, scene.shape), $("feedback").checked);
    if (flight !== now) return; // another flight has begun
    const { class: belief, frame: next, probe } = outputs;
    film.push({ truth, seen, visible, next: next.data, probe: probe.data, belief: belief.data });
    flight = { ...scene.move(now), t: now.t + 1 };
    show();
  }

  async function play() {
    clearTimeout(timer);
    setPlaying(true);
    const begun = performance.now();
    await advance();
    const wait = 1000 / Number($("speed").value) - (performance.now() - begun);
    clearTimeout(timer);
    if (playing) timer = setTimeout(play, Math.max(0, wait));
  }

  function pause() {
    clearTimeout(timer);
    setPlaying(false);
    announce();
  }

  function setPlaying(value) {
    playing = value;
    $("play").textContent = playing ? "Pause" : "Play";
  }

  $("play").addEventListener("click", () => (playing ? pause() : play()));
  $("step").addEventListener("click", async () => {
    if (playing) pause();
    await advance();
    announce();
  });
  $("restart").addEventListener("click", () => {
    restart();
    if (!playing) advance();
  });
  $("fly").addEventListener("click", () => fly(playing));
  $("phase").value = spec.phase;
  $("phase").dispatchEvent(new Event("input")); // shows the value
  $("phase").addEventListener("input", show);
  addEventListener("colours", () => {
    drawExamples();
    pad.draw();
    show();
  });

  // What is shown.
  const classes = Array.from({ length: 10 }, (_, i) => {
    const row = document.createElement("li");
    row.innerHTML = `<span>${i}</span><div class="track"><div class="fill"></div></div>
      <span class="percent"></span>`;
    $("classes").append(row);
    return row;
  });
  const strip = {};
  for (const [key, name] of Object.entries({ ...ROWS, belief: "It believed" })) {
    const title = document.createElement("span");
    title.className = "row-name";
    title.textContent = name;
    strip[key] = document.createElement(key === "belief" ? "div" : "canvas");
    if (key === "belief") strip[key].className = "guesses";
    else strip[key].setAttribute("role", "img");
    strip[key].setAttribute("aria-label", `${name}, in the last ${COLUMNS} frames`);
    $("strip").append(title, strip[key]);
  }
  strip.belief.style.gridTemplateColumns = `repeat(${COLUMNS}, minmax(0, 1fr))`;

  function drawExamples() {
    for (const { canvas, pixels } of examples) paint(canvas, [{ values: pixels }], scene.digit);
  }

  function show() {
    const last = film.at(-1);
    const bars = scene.visibility(Number($("phase").value));
    const truth = last?.truth ?? scene.paste(digit, start.position);
    paint($("truth"), [{ values: truth, visible: bars }], side);
    paint($("seen"), [last && { values: last.seen, visible: last.visible }], side);
    paint($("predicted"), [last && { values: last.next }], side);
    paint($("probe"), [last && { values: last.probe }], side);
    $("time").textContent = `frame ${film.length}`;
    $("guess").textContent = last ? `, it believes: ${best(last.belief)}` : "";
    classes.forEach((row, i) => {
      const p = last ? last.belief[i] : 0;
      row.classList.toggle("first", Boolean(last) && i === best(last.belief));
      row.classList.toggle("true", i === label);
      row.querySelector(".fill").style.width = `${100 * p}%`;
      row.querySelector(".percent").textContent = last ? percent(p) : "";
    });
    // A prediction for a frame stands below that frame.
    const from = Math.max(0, film.length - COLUMNS);
    const columns = Array.from({ length: COLUMNS }, (_, i) => film[from + i]);
    const before = columns.map((_, i) => film[from + i - 1]);
    const frame = (values, visible) => (values ? { values, visible } : null);
    paint(strip.seen, columns.map((f) => frame(f?.seen, f?.visible)), side);
    paint(strip.predicted, columns.map((f, i) => frame(f && before[i]?.next)), side);
    paint(strip.probe, columns.map((f, i) => frame(f && before[i]?.probe)), side);
    strip.belief.replaceChildren(
      ...columns.map((f) => {
        const cell = document.createElement("span");
        cell.textContent = f ? best(f.belief) : "";
        if (f && best(f.belief) !== label && label !== null) cell.className = "wrong";
        return cell;
      }),
    );
    $("errors").textContent = errors();
  }

  /** The error of the predictions beside the error of a baseline. */
  function errors() {
    if (film.length < 2) return "";
    let ladder = 0, copy = 0;
    for (let t = 1; t < film.length; t++) {
      ladder += squared(film[t - 1].next, film[t].seen);
      copy += squared(film[t - 1].seen, film[t].seen);
    }
    const mean = (sum) => Math.round((1e5 * sum) / (film.length - 1));
    return `Mean squared error of the predicted frames so far, in 1e-5 per pixel:
      ladder ${mean(ladder)}, copy of the last frame ${mean(copy)}.`;
  }

  function announce() {
    const last = film.at(-1);
    if (!last) return;
    const i = best(last.belief);
    $("verdict").textContent = `Frame ${film.length}: the ladder believes in ${i}, ${percent(last.belief[i])}.`;
  }

  drawExamples();
  $("about-digits").textContent = `The ladder was trained on ${spec.trained_on}, in flights of
    ${spec.frames} frames with the bars at ${spec.phase} px.`;
  choose(spec.examples[7], spec.labels[7]); // as in the picture of the README
  return { pause };
}

function best(belief) {
  return belief.indexOf(Math.max(...belief));
}

function percent(p) {
  return `${Math.round(100 * p)} %`;
}

/** Mean squared difference of two frames. */
function squared(a, b) {
  return a.reduce((sum, x, i) => sum + (x - b[i]) ** 2, 0) / a.length;
}

/** Let a visitor draw lines on a canvas; `done` is called after each line. */
function padOf(canvas, done) {
  const context = canvas.getContext("2d");
  const side = canvas.width;
  let lines = [];
  let drawing = false;
  const point = ({ offsetX, offsetY }) => {
    const { clientWidth, clientHeight } = canvas;
    return [(offsetX * side) / clientWidth, (offsetY * side) / clientHeight];
  };

  function draw() {
    context.clearRect(0, 0, side, side);
    context.strokeStyle = `rgb(${palette().ink.join(" ")})`;
    strokeLines(context, lines, side / 13);
    document.getElementById("pad-hint").hidden = lines.length > 0;
  }

  function clear() {
    lines = [];
    draw();
  }

  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    drawing = true;
    lines.push([point(event)]);
    draw();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!drawing) return;
    lines.at(-1).push(point(event));
    draw();
  });
  for (const end of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(end, () => {
      if (!drawing) return;
      drawing = false;
      done(lines);
    });
  }
  return { clear, draw };
}
