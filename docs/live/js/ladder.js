// The exported iteration of a ladder, run by ONNX Runtime Web.

import { address, get } from "./files.js";

let ort;
let queue = Promise.resolve(); // runs follow each other

/** Load the WebAssembly runtime from the folder of this page. */
export async function loadRuntime() {
  ort = await import(address("ort.wasm.bundle.min.mjs"));
  ort.env.wasm.numThreads = 1; // more threads need headers that a static site cannot set
  ort.env.wasm.wasmPaths = { wasm: address("ort-wasm-simd-threaded.wasm") };
}

/** Load an ONNX file from the folder of this page. */
export async function loadSession(file) {
  const bytes = new Uint8Array(await (await get(file)).arrayBuffer());
  return ort.InferenceSession.create(bytes, { executionProviders: ["wasm"] });
}

/** Run a session on arrays by name; return the tensors of its outputs by name. */
export function run(session, feeds) {
  const result = queue.then(() => session.run(feeds));
  queue = result.catch(() => {});
  return result;
}

export function tensor(data, shape) {
  return new ort.Tensor("float32", data, shape);
}

/** The counterpart of `model.init_state` and `model.step`, for one sequence. */
export class Ladder {
  static async load(spec) {
    return new Ladder(await loadSession(spec.file), spec);
  }

  constructor(session, spec) {
    this.session = session;
    this.spec = spec;
    this.first = {};
    for (const { name, shape, type } of spec.state) {
      const size = shape.reduce((a, b) => a * b, 1);
      const zeros = type === "int32" ? new Int32Array(size) : new Float32Array(size);
      this.first[name] = new ort.Tensor(type, zeros, shape);
    }
    this.reset();
  }

  /** Return to the state before the first frame. */
  reset() {
    this.state = { ...this.first };
  }

  /**
   * Process one frame, a tensor. Without feedback, the last outputs of the decoders,
   * which are part of the state, are zeros as before the first frame.
   */
  async step(frame, feedback = true) {
    const before = this.state;
    const state = { ...before };
    if (!feedback) {
      for (const name of this.spec.feedback) state[name] = this.first[name];
    }
    const outputs = await run(this.session, { [this.spec.frame]: frame, ...state });
    if (this.state === before) { // not after a reset during this step
      this.state = {};
      for (const { name } of this.spec.state) {
        this.state[name] = outputs[`next_${name}`];
      }
    }
    return outputs;
  }
}
