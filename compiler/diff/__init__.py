"""Differences between two plans: breaking changes for users of the bundle, stages that run again, and costs."""
