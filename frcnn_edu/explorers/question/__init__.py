"""Question cards: the learner answers first; the lesson's number is then shown beside the answer."""

from frcnn_edu.explorers.question.card import Question, guesses

__all__ = ["Question", "guesses"]
