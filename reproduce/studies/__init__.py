"""Questions that need pictures and weights which do not come with the project; their answers are committed."""
