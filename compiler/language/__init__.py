"""The spec language: text, values, models and their mistakes."""
