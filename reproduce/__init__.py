"""The two papers, experiment by experiment: results, tables, figures."""
