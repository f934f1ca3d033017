// Pictures on canvases, in the colours of live.css.

let colours;
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  colours = undefined;
  dispatchEvent(new Event("colours")); // the tabs draw again
});

/** The colours of live.css, as [red, green, blue]. */
export function palette() {
  if (!colours) {
    const style = getComputedStyle(document.documentElement);
    const read = (name) => style.getPropertyValue(`--${name}`).trim().split(/\s+/).map(Number);
    const names = ["paper", "ink", "bar", "bar-ink", "composed"];
    colours = Object.fromEntries(names.map((name) => [name, read(name)]));
  }
  return colours;
}

/**
 * Paint square frames side by side, pixel by pixel. A frame is `{ values, visible }`;
 * with `visible`, the bars are tinted. `null` is an empty frame.
 */
export function paint(canvas, frames, side, gap = 1) {
  const { paper, ink, bar, "bar-ink": behind } = palette();
  canvas.width = frames.length * (side + gap) - gap; // also clears it
  canvas.height = side;
  const context = canvas.getContext("2d");
  frames.forEach((frame, n) => {
    const { values, visible } = frame ?? { values: new Float32Array(side * side) };
    const image = context.createImageData(side, side);
    values.forEach((value, i) => {
      const hidden = visible && !visible[i];
      const [low, high] = hidden ? [bar, behind] : [paper, ink];
      const x = Math.min(Math.max(value, 0), 1);
      for (let c = 0; c < 3; c++) image.data[4 * i + c] = low[c] + x * (high[c] - low[c]);
      image.data[4 * i + 3] = 255;
    });
    context.putImageData(image, n * (side + gap), 0);
  });
}
