"""Plans: made of a spec and facts, shown, explained and compared."""
