"""``python -m flowxfer.glow.training CONFIG.toml [--resume]``."""

from __future__ import annotations

import argparse
import logging
import sys

from flowxfer.errors import FlowxferError
from flowxfer.glow.training import TrainingConfig, train


def main() -> int:
    """Train as the file says; the exit status is 0, or 1 after an error that the run's owner can mend."""
    parser = argparse.ArgumentParser(prog="python -m flowxfer.glow.training", description="Train a Glow.")
    parser.add_argument("config", help="TOML file; its fields are those of TrainingConfig")
    parser.add_argument("--resume", action="store_true", help="continue from the checkpoint in the output folder")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        print(train(TrainingConfig.load(arguments.config), resume=arguments.resume))
    except FlowxferError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
