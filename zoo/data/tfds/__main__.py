"""Builds data sets: `python -m zoo.data.tfds occluded_mnist/mnist piano_rolls/jsb`.

What `tfds build` does, which besides TensorFlow needs Apache Beam.
"""

import argparse
import sys

import tensorflow_datasets as tfds

import zoo.data.tfds  # noqa: F401


def main(argv=None):
    parser = argparse.ArgumentParser(
        prog="python -m zoo.data.tfds",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("datasets", nargs="+", help="such as occluded_mnist or occluded_mnist/sklearn")
    add(
        "--data_dir",
        help="where to, by default $TFDS_DATA_DIR or ~/tensorflow_datasets",
    )
    add("--manual_dir", help="where from, by default $RLADDER_DATA_DIR")
    args = parser.parse_args(argv)
    config = tfds.download.DownloadConfig(manual_dir=args.manual_dir)
    try:
        for name in args.datasets:
            builder = tfds.builder(name, data_dir=args.data_dir)
            builder.download_and_prepare(download_config=config)
    except (ValueError, OSError, ImportError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
