"""The cells of the encoder and the decoder, and their parts."""
