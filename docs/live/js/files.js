// The files beside this page.

/** The address of a file that docs/live/build.py has written. */
export function address(file) {
  return new URL(`../${file}`, import.meta.url).href;
}

/** Fetch a file, or throw an error that says how to make it. */
export async function get(file) {
  const response = await fetch(address(file)).catch(() => undefined);
  if (!response?.ok) {
    const commands = '"python docs/live/build.py", then "mkdocs build"';
    throw new Error(`The file ${file} is missing. Run ${commands}.`);
  }
  return response;
}
