"""The topics: what each measures, and the goals it holds the figures against."""
