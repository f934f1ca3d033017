// An organ of WebAudio: a voice for each key that sounds.

const ATTACK = 0.03, RELEASE = 0.18; // seconds
const PARTIALS = [1, 0.45, 0.22, 0.08]; // amplitudes of a tone and its overtones

export class Organ {
  constructor() {
    this.context = new AudioContext();
    const { context } = this;
    const imaginary = Float32Array.from([0, ...PARTIALS]);
    this.wave = context.createPeriodicWave(new Float32Array(imaginary.length), imaginary);
    const compressor = context.createDynamicsCompressor();
    this.volume = context.createGain();
    this.volume.gain.value = 0.16;
    this.volume.connect(compressor).connect(context.destination);
    this.voices = new Map();
  }

  get time() {
    return this.context.currentTime;
  }

  /** From `time` on, let exactly these MIDI notes sound. */
  chord(notes, time) {
    for (const [note, voice] of this.voices) {
      if (!notes.includes(note)) this.release(note, voice, time);
    }
    for (const note of notes) {
      if (!this.voices.has(note)) this.strike(note, time);
    }
  }

  strike(note, time) {
    const { context } = this;
    const tone = context.createOscillator();
    const gain = context.createGain();
    tone.setPeriodicWave(this.wave);
    tone.frequency.value = 440 * 2 ** ((note - 69) / 12);
    gain.gain.setValueAtTime(0, time);
    gain.gain.linearRampToValueAtTime(1, time + ATTACK);
    tone.connect(gain).connect(this.volume);
    tone.start(time);
    this.voices.set(note, { tone, gain });
  }

  release(note, { tone, gain }, time) {
    gain.gain.setTargetAtTime(0, time, RELEASE / 4);
    tone.stop(time + RELEASE);
    this.voices.delete(note);
  }

  silence() {
    this.chord([], this.time);
  }
}
