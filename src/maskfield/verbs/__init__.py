"""L8: what a verb does where it takes more than one call; the API (L9) is made of these."""
