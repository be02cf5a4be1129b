"""From a spec and facts to a plan, and what can be said about plans."""
