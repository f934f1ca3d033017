"""Polyphonic music: corpora, MIDI files, piano rolls, sound."""

from zoo.data.music.corpora import Corpus, load_corpus
from zoo.data.music.midi import read_midi, write_midi
from zoo.data.music.rolls import PianoRolls, piano_rolls
from zoo.data.music.sound import sound_of, write_wav

__all__ = [
    "Corpus",
    "PianoRolls",
    "load_corpus",
    "piano_rolls",
    "read_midi",
    "sound_of",
    "write_midi",
    "write_wav",
]
