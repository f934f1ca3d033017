"""Build datasets: `python -m zoo.data.tfds occluded_mnist/mnist piano_rolls/jsb`.

`tfds build` does the same, but needs TensorFlow and Apache Beam.
"""

import argparse
import sys
from collections.abc import Sequence

import tensorflow_datasets as tfds

import zoo.data.tfds  # noqa: F401


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m zoo.data.tfds",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    names = "name of a builder, with or without a configuration"
    add("datasets", nargs="+", help=f"{names}, such as occluded_mnist/sklearn")
    add(
        "--data_dir",
        help="folder to write to; default: $TFDS_DATA_DIR or ~/tensorflow_datasets",
    )
    add("--manual_dir", help="folder of local files; default: $RLADDER_DATA_DIR")
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
