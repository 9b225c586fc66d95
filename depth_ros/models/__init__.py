"""Networks under their official parameter names."""
