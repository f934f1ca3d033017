"""BibTeX entries of the paper and of the data that its datasets are made from."""

PAPER = r"""
@inproceedings{premont-schwarz2017recurrent,
  title     = {Recurrent Ladder Networks},
  author    = {Pr{\'e}mont-Schwarz, Isabeau and Ilin, Alexander and Hao, Tele Hotloo and
               Rasmus, Antti and Boney, Rinu and Valpola, Harri},
  booktitle = {Advances in Neural Information Processing Systems},
  year      = {2017}
}
"""
MNIST = r"""
@article{lecun1998gradient,
  title   = {Gradient-based learning applied to document recognition},
  author  = {LeCun, Yann and Bottou, L{\'e}on and Bengio, Yoshua and Haffner, Patrick},
  journal = {Proceedings of the IEEE},
  volume  = {86},
  number  = {11},
  pages   = {2278--2324},
  year    = {1998}
}
"""
MOVING_MNIST = r"""
@inproceedings{srivastava2015unsupervised,
  title     = {Unsupervised Learning of Video Representations using {LSTM}s},
  author    = {Srivastava, Nitish and Mansimov, Elman and Salakhutdinov, Ruslan},
  booktitle = {International Conference on Machine Learning},
  year      = {2015}
}
"""
BRODATZ = r"""
@book{brodatz1966textures,
  title     = {Textures: A Photographic Album for Artists and Designers},
  author    = {Brodatz, Phil},
  publisher = {Dover},
  year      = {1966}
}
"""
MUSIC = r"""
@inproceedings{boulanger-lewandowski2012modeling,
  title     = {Modeling Temporal Dependencies in High-Dimensional Sequences: Application
               to Polyphonic Music Generation and Transcription},
  author    = {Boulanger-Lewandowski, Nicolas and Bengio, Yoshua and Vincent, Pascal},
  booktitle = {International Conference on Machine Learning},
  year      = {2012}
}
"""
