// Loads what the page needs, and switches between its tabs.

import { check } from "./check.js";
import { digitsTab } from "./digits.js";
import { get } from "./files.js";
import { loadRuntime } from "./ladder.js";
import { musicTab } from "./music.js";

const BUILDERS = { digits: digitsTab, music: musicTab };
const tabs = {}; // the tabs that are ready, by name
// A module with a single instruction of WebAssembly SIMD.
const SIMD = [
  ...[0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0],
  ...[10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11],
];
const button = (name) => document.getElementById(`tab-${name}`);
const status = document.getElementById("status");
const output = document.getElementById("check");
let page; // page.json

async function main() {
  if (!globalThis.WebAssembly?.validate(Uint8Array.from(SIMD))) {
    throw new Error("This page needs WebAssembly SIMD. Use a current browser.");
  }
  page = await (await get("page.json")).json();
  const credits = `The ladders run in ${page.runtime.replace("@", " ")} (Microsoft, MIT licence).`;
  document.getElementById("credits").textContent = credits;
  await loadRuntime();
  if (new URLSearchParams(location.search).has("check")) return selfCheck();
  const names = Object.keys(BUILDERS);
  for (const [i, name] of names.entries()) {
    button(name).addEventListener("click", () => {
      history.replaceState(null, "", `#${name}`);
      select(name).catch(fail);
    });
    button(name).addEventListener("keydown", ({ key }) => {
      if (key !== "ArrowLeft" && key !== "ArrowRight") return;
      const other = button(names[(i + 1) % names.length]);
      other.focus();
      other.click();
    });
  }
  document.querySelectorAll("input[data-unit]").forEach(showValue);
  await select(location.hash === "#music" ? "music" : "digits");
}

/** Show the value of a slider beside it. */
function showValue(slider) {
  const value = document.createElement("span");
  value.setAttribute("aria-hidden", "true"); // `aria-valuetext` says the same
  const update = () => {
    value.textContent = `${slider.value} ${slider.dataset.unit}`;
    slider.setAttribute("aria-valuetext", value.textContent);
  };
  slider.addEventListener("input", update);
  slider.after(value);
  update();
}

/** Show a tab; load its ladder when it is shown for the first time. */
async function select(name) {
  for (const other of Object.keys(BUILDERS)) {
    button(other).setAttribute("aria-selected", other === name);
    button(other).tabIndex = other === name ? 0 : -1;
    document.getElementById(other).hidden = other !== name;
    if (other !== name) tabs[other]?.pause?.();
  }
  const panel = document.getElementById(name);
  if (!(name in tabs)) {
    tabs[name] = {}; // until it is loaded
    panel.setAttribute("aria-busy", "true");
    say("Loading the ladder ...");
    tabs[name] = await BUILDERS[name](page[name]);
    panel.removeAttribute("aria-busy");
    say("");
    if (panel.hidden) tabs[name].pause(); // the visitor has chosen the other tab
  }
  tabs[name].show?.();
}

/** Write the largest differences from Keras into the page, as JSON. */
async function selfCheck() {
  say("Comparing the ladders with Keras ...");
  const expected = await (await get("check.json")).json();
  const differences = await check(page, expected);
  output.hidden = false;
  output.textContent = JSON.stringify(differences);
  say("Largest absolute differences from the outputs of Keras:");
}

function say(text) {
  status.textContent = text;
  status.hidden = !text;
}

/** Show an error in place of the tabs. */
function fail(error) {
  say(`The page cannot run the ladder. ${error.message}`);
  status.classList.add("error");
  for (const name of Object.keys(BUILDERS)) document.getElementById(name).hidden = true;
}

main().catch(fail);
