"""Training a Glow: its likelihood on a folder of faces, and the transfer itself on people who share expressions."""

from flowxfer.glow.training.config import TrainingConfig
from flowxfer.glow.training.losses import likelihood_loss, paired_losses, transfer_loss
from flowxfer.glow.training.run import train
from flowxfer.glow.training.trainer import Figures, Trainer

__all__ = [
    "Figures",
    "Trainer",
    "TrainingConfig",
    "likelihood_loss",
    "paired_losses",
    "train",
    "transfer_loss",
]
