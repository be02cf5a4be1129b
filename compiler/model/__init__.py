"""The torch modules that graftc itself defines."""
