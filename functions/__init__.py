"""Triggers: a decorator and a call each. They parse nothing and decide nothing."""
