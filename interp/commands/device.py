"""On what an analysis computes: `--device`."""

import argparse


def add_device(parser: argparse.ArgumentParser) -> None:
    """Adds `--device`; whether there is such a one is seen before any model is opened."""
    parser.add_argument(
        "--device", default="cpu", metavar="D",
        help="cpu (default), cuda, cuda:N or mps; on a GPU one checkpoint at a time",
    )  # fmt: skip
