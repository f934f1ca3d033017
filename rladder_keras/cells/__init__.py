"""The cells of the encoder and the decoder, and what they are made of."""
