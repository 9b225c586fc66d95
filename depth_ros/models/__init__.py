"""Networks under their official parameter names, and where their weights come from."""
