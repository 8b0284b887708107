"""The page of lesson 08 that takes a photograph and shows what a detector finds on it."""

from frcnn_edu.explorers.lesson_08_real_images.upload import (
    LONGEST_SIDE,
    MOST_BYTES,
    Answer,
    FileDrop,
    UploadPage,
    answer,
)

__all__ = ["LONGEST_SIDE", "MOST_BYTES", "Answer", "FileDrop", "UploadPage", "answer"]
