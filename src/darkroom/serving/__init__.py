"""Run an exported model or a bundle: image bytes in, probabilities out; torch is not needed."""

from darkroom.serving.label_set_prediction import LabelSetPrediction
from darkroom.serving.mask_prediction import MaskPrediction
from darkroom.serving.prediction import Prediction
from darkroom.serving.predictor import Predictor
from darkroom.serving.runtimes import RUNTIMES, Answer, Carried, Runtime, Session, find, open_session

__all__ = [
    "RUNTIMES",
    "Answer",
    "Carried",
    "LabelSetPrediction",
    "MaskPrediction",
    "Prediction",
    "Predictor",
    "Runtime",
    "Session",
    "find",
    "open_session",
]
