"""Polyphonic music: corpora, MIDI files, piano rolls."""

from zoo.data.music.corpora import Corpus, load_corpus
from zoo.data.music.midi import read_midi, write_midi
from zoo.data.music.rolls import PianoRolls, piano_rolls

__all__ = [
    "Corpus",
    "PianoRolls",
    "load_corpus",
    "piano_rolls",
    "read_midi",
    "write_midi",
]
